// What follows a matrix product: bias and activation; and the mask of dropout.
#include "reduction.cuh"

// out = act(x + bias), the bias along the last axis (or null); out may be x.
template <typename T, int V>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    epilogue(const T* x, const T* __restrict__ bias, T* out, Int size, int columns, int relu) {
    typedef typename Wide<T>::Type S;
    Int at = ((Int)blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (at >= size) return;
    Pack<T, V> pack = load<V>(x + at), add;
    if (bias != 0) add = load<V>(bias + at % columns);
#pragma unroll
    for (int v = 0; v < V; ++v) {
        S z = widen(pack.at[v]);
        if (bias != 0) z += widen(add.at[v]);
        pack.at[v] = Narrow<T>::of(!relu || z > 0 || z != z ? z : (S)0);
    }
    store(out + at, pack);
}

// Four random words of a counter: Philox4x32-10.
// Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as 1, 2, 3", 2011.
struct Philox {
    Bits32 word[4];
    __device__ Philox(Bits64 key, Bits64 counter) {
        word[0] = (Bits32)counter;
        word[1] = (Bits32)(counter >> 32);
        word[2] = word[3] = 0;
        Bits32 k0 = (Bits32)key, k1 = (Bits32)(key >> 32);
#pragma unroll
        for (int round = 0; round < 10; ++round) {
            Bits64 a = (Bits64)0xD2511F53u * word[0], b = (Bits64)0xCD9E8D57u * word[2];
            Bits32 w0 = (Bits32)(b >> 32) ^ word[1] ^ k0, w2 = (Bits32)(a >> 32) ^ word[3] ^ k1;
            word[0] = w0;
            word[1] = (Bits32)b;
            word[2] = w2;
            word[3] = (Bits32)a;
            k0 += 0x9E3779B9u;
            k1 += 0xBB67AE85u;
        }
    }
};

// 1/(1 - p) with probability 1 - p, else 0. Number i depends on key and i alone: a uniform number
// of 24 bits, kept where it is at least p.
template <typename T>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    dropout_mask(T* __restrict__ mask, Int size, Bits64 key, double p) {
    typedef typename Wide<T>::Type S;
    Int group = (Int)blockIdx.x * blockDim.x + threadIdx.x;
    const Philox random(key, (Bits64)group);
    T kept = Narrow<T>::of((S)(1 / (1 - p))), dropped = Narrow<T>::of((S)0);
#pragma unroll
    for (int v = 0; v < 4; ++v) {
        Int at = group * 4 + v;
        double uniform = (random.word[v] >> 8) * (1.0 / 16777216.0);
        if (at < size) mask[at] = uniform >= p ? kept : dropped;
    }
}
