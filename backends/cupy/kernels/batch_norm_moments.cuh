// Mean and variance of one part of a tile, which passes through shared memory on the way.
#pragma once
#include "reduction.cuh"

// Weights of an item; what is of weight 0 is not looked at.
template <int V, typename S>
__device__ inline void read_weights(S (&w)[V], const S* weights, Int at, Int step) {
#pragma unroll
    for (int v = 0; v < V; ++v) w[v] = weights == 0 ? (S)1 : weights[at + v * step];
}

// A number near those of each channel: its first one, so that a constant channel is 0 throughout.
template <typename L, typename T, typename S>
__device__ inline void first_of(S (&shift)[L::LANES], const L& walk, const T* x, const S* weights) {
#pragma unroll
    for (int v = 0; v < L::LANES; ++v) {
        S first = widen(x[walk.origin + v]);
        bool counts = weights == 0 || weights[walk.weight_origin + v * walk.weight_step] > 0;
        shift[v] = counts && first - first == 0 ? first : (S)0;
    }
}

// Count and mean; the elements read are kept in `slab`, a column of it for each thread.
template <typename L, typename T, typename S>
__device__ inline void read_part(L walk, const T* __restrict__ x, const S* __restrict__ weights,
                                 Pack<T, L::VECTOR>* slab, double* scratch, int width,
                                 Moments (&m)[L::LANES]) {
    const int V = L::VECTOR, LANES = L::LANES;
    S shift[LANES];
    first_of(shift, walk, x, weights);
    Sum<S> count[LANES], total[LANES];
    int items = 0;
    Pack<T, V>* own = slab + threadIdx.x;
#pragma unroll(LANES > 4 ? 1 : V > 1 ? 2 : 4)
    for (; walk.more(); walk.next(), ++items, own += blockDim.x) {
        Pack<T, V> pack = load<V>(x + walk.offset);
        *own = pack;
        S terms[V], w[V];
        read_weights(w, weights, walk.weight, walk.weight_step);
#pragma unroll
        for (int v = 0; v < V; ++v)
            terms[v] = w[v] > 0 ? w[v] * (widen(pack.at[v]) - shift[L::lane(v)]) : (S)0;
        gather<L>(total, terms);
        if (weights != 0) gather<L>(count, w);
    }
    double n[LANES], mean[LANES];
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        n[v] = weights == 0 ? (double)items * (V / LANES) : count[v].value();
        mean[v] = total[v].value();
    }
    block_sum(n, scratch, width);
    block_sum(mean, scratch, width);
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        m[v].n = n[v];
        m[v].mean = shift[v] + (n[v] > 0 ? mean[v] / n[v] : mean[v]);
    }
}

// Σ w·(x - mean)², and what the mean lacks, from the elements kept.
template <typename L, typename T, typename S>
__device__ inline void centre_part(L walk, const S* __restrict__ weights,
                                   const Pack<T, L::VECTOR>* slab, double* scratch, int width,
                                   Moments (&m)[L::LANES]) {
    const int V = L::VECTOR, LANES = L::LANES;
    Centre<S> centre[LANES];
#pragma unroll
    for (int v = 0; v < LANES; ++v) centre[v] = Centre<S>(m[v].mean);
    Sum<S> rest[LANES], square[LANES];
    const Pack<T, V>* own = slab + threadIdx.x;
    for (; walk.more(); walk.next(), own += blockDim.x) {
        Pack<T, V> pack = *own;
        S terms[V], squares[V], w[V];
        read_weights(w, weights, walk.weight, walk.weight_step);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            S c = w[v] > 0 ? centre[L::lane(v)].of(widen(pack.at[v])) : (S)0;
            terms[v] = w[v] * c;
            squares[v] = terms[v] * c;
        }
        gather<L>(rest, terms);
        gather<L>(square, squares);
    }
    double a[LANES], q[LANES];
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        a[v] = rest[v].value();
        q[v] = square[v].value();
    }
    block_sum(a, scratch, width);
    block_sum(q, scratch, width);
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        double lack = m[v].n > 0 ? a[v] / m[v].n : a[v];
        m[v].mean = ((double)centre[v].high + centre[v].low) + lack;
        m[v].square = q[v] - lack * lack * m[v].n;
    }
}
