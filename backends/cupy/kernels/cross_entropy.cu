// Softmax cross-entropy: -ln softmax(x)[target] and its slope softmax(x) - onehot(target).
//
// x is (samples, classes, inner) in C order, target (samples, inner). The losses go to `narrow` in
// the dtype of x or to `wide` in that of the accumulators, whichever is not null.
#include "reduction.cuh"

// The largest number so far, and Σ e^(x - largest).
template <typename S> struct Exponentials {
    S top, sum;
    __device__ Exponentials() : top(-infinity<S>()), sum(0) {}
    __device__ void merge(S other_top, S other_sum) {
        if (other_top > top) {
            sum *= exp(top - other_top);
            top = other_top;
            sum += other_sum;
        } else {
            sum += other_top == top ? other_sum : other_sum * exp(other_top - top);
        }
    }
    template <int V> __device__ void add(const S (&x)[V]) {
        S highest = x[0];
#pragma unroll
        for (int v = 1; v < V; ++v) highest = x[v] > highest ? x[v] : highest;
        if (highest > top) {
            sum *= exp(top - highest);
            top = highest;
        }
        S terms[V];
#pragma unroll
        for (int v = 0; v < V; ++v) terms[v] = x[v] == -infinity<S>() ? (S)0 : exp(x[v] - top);
        sum += tree(terms);
    }
    __device__ void merge_lane(int away) {
        S other_top = __shfl_xor_sync(0xffffffffu, top, away);
        S other_sum = __shfl_xor_sync(0xffffffffu, sum, away);
        // The lower lane's first in both, so that the two agree to the bit.
        if (threadIdx.x & away) {
            Exponentials<S> lower;
            lower.top = other_top;
            lower.sum = other_sum;
            lower.merge(top, sum);
            *this = lower;
        } else {
            merge(other_top, other_sum);
        }
    }
};

// ln of the sum less the label's logit; what has no such class has no loss.
template <typename T, typename S>
__device__ inline S loss_of(const Exponentials<S>& e, const T* logits, Int step, Int label,
                            int classes) {
    if (label < 0 || label >= classes) return infinity<S>() - infinity<S>();
    return log(e.sum) - (widen(logits[label * step]) - e.top);
}

template <typename T, typename S>
__device__ inline void write_loss(T* narrow, S* wide, Int at, S loss) {
    if (narrow != 0) narrow[at] = Narrow<T>::of(loss);
    if (wide != 0) wide[at] = loss;
}

// inner = 1. A row of classes for each warp, or if `together` for each block.
template <typename T, int V>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    entropy_rows(const T* __restrict__ x, const Int* __restrict__ target, T* __restrict__ slope,
                 T* narrow, typename Wide<T>::Type* wide, Int samples, int classes, int together,
                 double divisor) {
    typedef typename Wide<T>::Type S;
    SHARED_MEMORY(memory);
    S* shared = reinterpret_cast<S*>(memory);
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
    Int row = together ? blockIdx.x : (Int)blockIdx.x * warps + warp;
    if (row >= samples) return;  // whole warps, and none of a block that works together
    int first = together ? (int)threadIdx.x : lane, step = together ? (int)blockDim.x : (int)WARP;
    const T* own = x + row * classes;

    Exponentials<S> e;
    for (int i = first * V; i < classes; i += step * V) {
        Pack<T, V> pack = load<V>(own + i);
        S values[V];
#pragma unroll
        for (int v = 0; v < V; ++v) values[v] = widen(pack.at[v]);
        e.add(values);
    }
    for (int away = 1; away < WARP; away *= 2) e.merge_lane(away);
    if (together) {
        if (lane == 0) {
            shared[warp] = e.top;
            shared[warps + warp] = e.sum;
        }
        __syncthreads();
        e = Exponentials<S>();
        for (int w = 0; w < warps; ++w) e.merge(shared[w], shared[warps + w]);
    }
    Int label = target[row];
    S scale = (S)divisor;
    for (int i = first * V; i < classes; i += step * V) {
        Pack<T, V> pack = load<V>(own + i);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            S share = exp(widen(pack.at[v]) - e.top) / e.sum;
            pack.at[v] = Narrow<T>::of((share - (i + v == label ? (S)1 : (S)0)) / scale);
        }
        store(slope + row * classes + i, pack);
    }
    if (first == 0) write_loss(narrow, wide, row, loss_of(e, own, 1, label, classes));
}

// A position of (samples, inner) for each thread.
template <typename T>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    entropy_columns(const T* __restrict__ x, const Int* __restrict__ target,
                    T* __restrict__ slope, T* narrow, typename Wide<T>::Type* wide, Int samples,
                    int classes, Int inner, double divisor) {
    typedef typename Wide<T>::Type S;
    Int at = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= samples * inner) return;
    Int base = at / inner * classes * inner + at % inner;
    Exponentials<S> e;
    for (int i = 0; i < classes; ++i) {
        S value[1] = {widen(x[base + i * inner])};
        e.add(value);
    }
    Int label = target[at];
    for (int i = 0; i < classes; ++i) {
        S share = exp(widen(x[base + i * inner]) - e.top) / e.sum;
        slope[base + i * inner] =
            Narrow<T>::of((share - (i == label ? (S)1 : (S)0)) / (S)divisor);
    }
    write_loss(narrow, wide, at, loss_of(e, x + base, inner, label, classes));
}

// Σ losses / divisor, by one block.
template <typename T>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    total_loss(const typename Wide<T>::Type* __restrict__ losses, T* out, Int count,
               double divisor) {
    typedef typename Wide<T>::Type S;
    SHARED_MEMORY(memory);
    Sum<S> own;
    for (Int i = threadIdx.x; i < count; i += blockDim.x) own.add(losses[i]);
    double total[1] = {own.value()};
    block_sum(total, reinterpret_cast<double*>(memory), 1);
    if (threadIdx.x == 0) *out = Narrow<T>::of((S)(total[0] / divisor));
}
