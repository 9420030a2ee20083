// Sums over the threads of a block, and moments merged over parts: always in the same order.
#pragma once
#include "layout.cuh"

enum { WARP = 32, MOST_THREADS = 512 };

// Where the slab begins in shared memory, in doubles from its start: behind the scratch of
// block_sum and 6 numbers for each channel of the tile, at a multiple of 16 bytes.
__device__ inline int slab_offset(int wide) {
    return ((int)(blockDim.x / WARP) * wide + 6 * wide + 1) / 2 * 2;
}

// Each a[v] becomes its sum over the threads that share its channel, in every one of them.
// `scratch` holds warps·width·LANES numbers and is free again on return.
template <int LANES>
__device__ inline void block_sum(double (&a)[LANES], double* scratch, int width) {
    int lane = threadIdx.x % WARP, warp = threadIdx.x / WARP, warps = blockDim.x / WARP;
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        for (int away = WARP / 2; away >= width; away /= 2)
            a[v] += __shfl_down_sync(0xffffffffu, a[v], away);
        if (lane < width) scratch[(warp * width + lane) * LANES + v] = a[v];
    }
    __syncthreads();
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        double total = 0;
        for (int w = 0; w < warps; ++w) total += scratch[(w * width + lane % width) * LANES + v];
        a[v] = total;
    }
    __syncthreads();
}

// Count (Σ of the weights), mean and Σ w·(x - mean)² of some elements.
struct Moments {
    double n, mean, square;

    // With those of other elements, by Chan's formula.
    __device__ void merge(const Moments& b) {
        double both = n + b.n, delta = b.mean - mean, share = both > 0 ? b.n / both : 0;
        mean += delta * share;
        square += b.square + delta * (delta * (n * share));  // 0 from nothing, however far away
        n = both;
    }
};

// The mean in two numbers of S, whose sum is the mean to about twice the precision of S.
template <typename S> struct Centre {
    S high, low;
    __device__ Centre() : high(0), low(0) {}
    __device__ explicit Centre(double mean) : high((S)mean), low((S)(mean - (double)(S)mean)) {}
    __device__ Centre(S h, S l) : high(h), low(l) {}
    __device__ S of(S x) const { return (x - high) - low; }
};

// (var + eps)^(-1/2), and 0 where that is a division by zero.
template <typename S> __device__ inline S reciprocal_deviation(S var, double eps) {
    double shifted = (double)var + eps;
    return shifted > 0 ? (S)(1.0 / sqrt(shifted)) : (S)(0 * var);
}

// N sums of a statistic from partials[part][sum][statistic]: each lane of a warp adds neighbouring
// parts, then the lanes are added by halves. The result is lane 0's.
template <int N>
__device__ inline void merged_sums(double (&sums)[N], const double* partials, int statistic,
                                   int statistics, int parts) {
    int lane = threadIdx.x % WARP, share = (parts + WARP - 1) / WARP;
#pragma unroll
    for (int n = 0; n < N; ++n) sums[n] = 0;
    for (int i = lane * share; i < (lane + 1) * share && i < parts; ++i) {
#pragma unroll
        for (int n = 0; n < N; ++n) sums[n] += partials[((Int)i * N + n) * statistics + statistic];
    }
#pragma unroll
    for (int n = 0; n < N; ++n) {
        for (int away = 1; away < WARP; away *= 2)
            sums[n] += __shfl_down_sync(0xffffffffu, sums[n], away);
    }
}

// Adds the sums of the threads of a block, one after the other, and writes those of this part.
template <typename L, typename S, int N>
__device__ inline void write_partials(Sum<S> (&sums)[N][L::LANES], double* scratch, const L& walk,
                                      double* partials, const Problem& p) {
    int statistics = p.outer * p.channels;
#pragma unroll
    for (int n = 0; n < N; ++n) {
        double total[L::LANES];
#pragma unroll
        for (int v = 0; v < L::LANES; ++v) total[v] = sums[n][v].value();
        block_sum(total, scratch, p.width);
        if ((int)threadIdx.x >= p.width || !walk.valid) continue;
#pragma unroll
        for (int v = 0; v < L::LANES; ++v)
            partials[((Int)blockIdx.y * N + n) * statistics + walk.statistic + v] = total[v];
    }
}
