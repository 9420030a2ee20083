// Steps of the optimizers over many parameters in one launch.
//
// A table, passed by value, has a row for each parameter; a block works on `chunk` elements of one
// of them. Row i owns the blocks from first[i] to first[i + 1].
#include "reduction.cuh"

enum { ROWS = 48 };

template <int ARRAYS> struct Table {
    void* array[ARRAYS][ROWS];
    Int size[ROWS];
    double scale[2][ROWS];
    int first[ROWS + 1];
    int fresh[ROWS];  // no momentum yet
};

struct Descent {
    double lr, momentum, dampening, weight_decay;
    int nesterov, maximize, chunk;
};

struct Adaption {
    double lr, beta1, beta2, eps, weight_decay;
    int decoupled, amsgrad, maximize, chunk;
};

// The row that this block works on, and its elements from `at` to `end`.
template <int ARRAYS> struct Share {
    int row;
    Int at, end;
    __device__ Share(const Table<ARRAYS>& table, int chunk) : row(0) {
        while (table.first[row + 1] <= (int)blockIdx.x) ++row;
        Int begin = (Int)((int)blockIdx.x - table.first[row]) * chunk;
        end = begin + chunk < table.size[row] ? begin + chunk : table.size[row];
        at = begin + threadIdx.x;
    }
};

template <typename S>
__device__ inline S direction(S p, S g, double weight_decay, int maximize) {
    S d = maximize ? -g : g;
    return weight_decay != 0 ? d + p * (S)weight_decay : d;
}

// Arrays: parameter, gradient, momentum.
template <typename T>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    sgd(const __grid_constant__ Table<3> table, const Descent o) {
    typedef typename Wide<T>::Type S;
    Share<3> share(table, o.chunk);
    T* params = static_cast<T*>(table.array[0][share.row]);
    const T* grads = static_cast<const T*>(table.array[1][share.row]);
    T* buffers = static_cast<T*>(table.array[2][share.row]);
    int fresh = table.fresh[share.row];
#pragma unroll 4
    for (Int i = share.at; i < share.end; i += blockDim.x) {
        S p = widen(params[i]), d = direction<S>(p, widen(grads[i]), o.weight_decay, o.maximize);
        if (o.momentum != 0) {
            S buffer = d;
            if (!fresh) buffer = widen(buffers[i]) * (S)o.momentum + d * (S)(1 - o.dampening);
            buffers[i] = Narrow<T>::of(buffer);
            d = o.nesterov ? d + buffer * (S)o.momentum : buffer;
        }
        params[i] = Narrow<T>::of(p - d * (S)o.lr);
    }
}

// Arrays: parameter, gradient, mean, square, peak. Scales: 1/sqrt(1 - beta2^t), lr/(1 - beta1^t).
template <typename T>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    adam(const __grid_constant__ Table<5> table, const Adaption o) {
    typedef typename Wide<T>::Type S;
    Share<5> share(table, o.chunk);
    T* params = static_cast<T*>(table.array[0][share.row]);
    const T* grads = static_cast<const T*>(table.array[1][share.row]);
    T* means = static_cast<T*>(table.array[2][share.row]);
    T* squares = static_cast<T*>(table.array[3][share.row]);
    T* peaks = static_cast<T*>(table.array[4][share.row]);
    S root = (S)table.scale[0][share.row], rate = (S)table.scale[1][share.row];
#pragma unroll 2
    for (Int i = share.at; i < share.end; i += blockDim.x) {
        S p = widen(params[i]), mean = widen(means[i]), square = widen(squares[i]);
        S d = direction<S>(p, widen(grads[i]), o.decoupled ? 0.0 : o.weight_decay, o.maximize);
        if (o.decoupled) p *= (S)(1 - o.lr * o.weight_decay);
        mean += (d - mean) * (S)(1 - o.beta1);
        square = square * (S)o.beta2 + d * d * (S)(1 - o.beta2);
        S top = square;
        if (o.amsgrad) {
            S peak = widen(peaks[i]);
            top = square > peak || square != square ? square : peak;
            peaks[i] = Narrow<T>::of(top);
        }
        means[i] = Narrow<T>::of(mean);
        squares[i] = Narrow<T>::of(square);
        params[i] = Narrow<T>::of(p - mean / (sqrt(top) * root + (S)o.eps) * rate);
    }
}
