// Batch normalization, backward. With g already multiplied by act'(z) and c = x - mean,
//
//     dbeta = Σ g,   dgamma = rstd·Σ g·c,   dx = scale·(g - w·(Σ g + c·rstd²·Σ g·c)/n).
//
// `backward_resident` reads g and x once: a cluster of blocks keeps a tile of both in shared memory.
// Else `backward_partials` sums over parts of a tile and `backward_apply` merges the sums.
#include "batch_norm_map.cuh"

// g·act'(z) and c of one element; nothing is looked at where a mask has 0.
template <typename S> struct Term {
    S g, c, w;
    __device__ Term(S g_, S x, const Affine<S>& map, const S* weight, const Problem& p)
        : g(g_), c(map.centre.of(x)), w(weight == 0 ? (S)1 : *weight) {
        g = gated(g, c * map.scale + map.shift, p);
        if (p.masked && !(w > 0)) g = c = 0;
    }
};

// Adds an item to Σ g and Σ g·c.
template <typename L, typename T, typename S>
__device__ inline void add_item(Sum<S> (&sums)[2][L::LANES], const L& walk,
                                const Pack<T, L::VECTOR>& gs, const Pack<T, L::VECTOR>& xs,
                                const Affine<S> (&map)[L::LANES], const S* weights,
                                const Problem& p) {
    const int V = L::VECTOR;
    S plain[V], product[V];
#pragma unroll
    for (int v = 0; v < V; ++v) {
        Term<S> term(widen(gs.at[v]), widen(xs.at[v]), map[L::lane(v)],
                     at_or_null(weights, walk.weight + v * walk.weight_step), p);
        plain[v] = term.g;
        product[v] = term.g * term.c;
    }
    gather<L>(sums[0], plain);
    gather<L>(sums[1], product);
}

// What dx takes away, for each channel: (shift + c·slope)·w.
template <typename S> struct Projection {
    S shift, slope;
};

template <typename L, typename T, typename S>
__device__ inline void write_dx(const L& walk, Pack<T, L::VECTOR> gs,
                                const Pack<T, L::VECTOR>& xs, const Affine<S> (&map)[L::LANES],
                                const Projection<S> (&away)[L::LANES], const S* weights, T* dx,
                                const Problem& p) {
#pragma unroll
    for (int v = 0; v < L::VECTOR; ++v) {
        const Affine<S>& own = map[L::lane(v)];
        const Projection<S>& less = away[L::lane(v)];
        Term<S> term(widen(gs.at[v]), widen(xs.at[v]), own,
                     at_or_null(weights, walk.weight + v * walk.weight_step), p);
        gs.at[v] = Narrow<T>::of((term.g - term.w * (less.shift + term.c * less.slope)) * own.scale);
    }
    store(dx + walk.offset, gs);
}

// From Σ g and Σ g·c in `found`: what dx takes away.
template <typename L, typename S>
__device__ inline void projections(Projection<S> (&away)[L::LANES], const L& walk,
                                   const S (&rstd)[L::LANES], const double* found, int width,
                                   const S* count, const Problem& p) {
    const int LANES = L::LANES;
    int lane = threadIdx.x % width * LANES;
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        double n = count == 0 ? (double)p.rows * p.length : (double)count[walk.statistic + v];
        if (!(n > 0)) n = 1;
        S square = rstd[v] * rstd[v];
        away[v].shift = (S)(found[lane + v] / n);
        away[v].slope = (S)((S)found[width * LANES + lane + v] * square / n);
    }
}

template <typename S>
__device__ inline void write_sums(double s0, double s1, int statistic, const S* rstd, S* dgamma,
                                  S* dbeta) {
    dgamma[statistic] = (S)s1 * rstd[statistic];
    dbeta[statistic] = (S)s0;
}

template <typename T, typename L, int BLOCKS>
__global__ void CLUSTER(BLOCKS) __launch_bounds__(MOST_THREADS, 1)
    backward_resident(const T* __restrict__ g, const T* __restrict__ x,
                      const typename Wide<T>::Type* __restrict__ mean,
                      const typename Wide<T>::Type* __restrict__ low,
                      const typename Wide<T>::Type* __restrict__ rstd,
                      const typename Wide<T>::Type* __restrict__ gamma,
                      const typename Wide<T>::Type* __restrict__ beta,
                      const typename Wide<T>::Type* __restrict__ weights,
                      const typename Wide<T>::Type* __restrict__ count, T* __restrict__ dx,
                      typename Wide<T>::Type* dgamma, typename Wide<T>::Type* dbeta, Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR, LANES = L::LANES;
    SHARED_MEMORY(memory);
    int wide = p.width * LANES, tile = blockIdx.x / BLOCKS, rank = cluster_rank();
    double* scratch = reinterpret_cast<double*>(memory);
    double* found = scratch + (blockDim.x / WARP) * wide;
    double* shares = found + 2 * wide;
    Pack<T, V>* slab = reinterpret_cast<Pack<T, V>*>(scratch + slab_offset(wide));
    const L walk(p, tile, rank);
    Affine<S> map[LANES];
    S deviation[LANES];
    read_maps(map, deviation, walk, mean, low, rstd, gamma, beta, p);

    Sum<S> sums[2][LANES];
    Pack<T, V>* own = slab + threadIdx.x;
#pragma unroll(LANES > 4 ? 1 : 2)
    for (L at = walk; at.more(); at.next(), own += 2 * blockDim.x) {
        Pack<T, V> gs = load<V>(g + at.offset), xs = load<V>(x + at.offset);
        own[0] = gs;
        own[blockDim.x] = xs;
        add_item(sums, at, gs, xs, map, weights, p);
    }
#pragma unroll
    for (int n = 0; n < 2; ++n) {
        double total[LANES];
#pragma unroll
        for (int v = 0; v < LANES; ++v) total[v] = sums[n][v].value();
        block_sum(total, scratch, p.width);
        if ((int)threadIdx.x < p.width) {
#pragma unroll
            for (int v = 0; v < LANES; ++v) shares[n * wide + threadIdx.x * LANES + v] = total[v];
        }
    }
    cluster_barrier();
    for (int i = threadIdx.x; i < wide; i += blockDim.x) {
        double s0 = 0, s1 = 0;
        for (int r = 0; r < BLOCKS; ++r) {
            s0 += cluster_read(shares + i, r);
            s1 += cluster_read(shares + wide + i, r);
        }
        found[i] = s0;
        found[wide + i] = s1;
        int statistic = L::statistic_of(p, tile, i);
        if (rank == 0 && statistic >= 0) write_sums(s0, s1, statistic, rstd, dgamma, dbeta);
    }
    __syncthreads();
    Projection<S> away[LANES];
    projections(away, walk, deviation, found, p.width, count, p);
    own = slab + threadIdx.x;
    for (L at = walk; at.more(); at.next(), own += 2 * blockDim.x) {
        Pack<T, V> gs = own[0], xs = own[blockDim.x];
        write_dx(at, gs, xs, map, away, weights, dx, p);
    }
    cluster_barrier();  // a block's shared memory has to outlive the reading of others
}

// partials[part][Σ g, Σ g·c][statistic]; block (tile, part).
template <typename T, typename L>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    backward_partials(const T* __restrict__ g, const T* __restrict__ x,
                      const typename Wide<T>::Type* __restrict__ mean,
                      const typename Wide<T>::Type* __restrict__ low,
                      const typename Wide<T>::Type* __restrict__ rstd,
                      const typename Wide<T>::Type* __restrict__ gamma,
                      const typename Wide<T>::Type* __restrict__ beta,
                      const typename Wide<T>::Type* __restrict__ weights, double* partials,
                      Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR, LANES = L::LANES;
    SHARED_MEMORY(memory);
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[LANES];
    S deviation[LANES];
    read_maps(map, deviation, walk, mean, low, rstd, gamma, beta, p);
    Sum<S> sums[2][LANES];
#pragma unroll(LANES > 4 ? 1 : 2)
    for (L at = walk; at.more(); at.next())
        add_item(sums, at, load<V>(g + at.offset), load<V>(x + at.offset), map, weights, p);
    write_partials(sums, reinterpret_cast<double*>(memory), walk, partials, p);
}

template <typename T, typename L>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    backward_apply(const T* __restrict__ g, const T* __restrict__ x,
                   const typename Wide<T>::Type* __restrict__ mean,
                   const typename Wide<T>::Type* __restrict__ low,
                   const typename Wide<T>::Type* __restrict__ rstd,
                   const typename Wide<T>::Type* __restrict__ gamma,
                   const typename Wide<T>::Type* __restrict__ beta,
                   const typename Wide<T>::Type* __restrict__ weights,
                   const typename Wide<T>::Type* __restrict__ count,
                   const double* __restrict__ partials, T* __restrict__ dx,
                   typename Wide<T>::Type* dgamma, typename Wide<T>::Type* dbeta, Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR, LANES = L::LANES;
    SHARED_MEMORY(memory);
    int wide = p.width * LANES;
    double* found = reinterpret_cast<double*>(memory);
    for (int i = threadIdx.x / WARP; i < wide; i += blockDim.x / WARP) {
        int statistic = L::statistic_of(p, blockIdx.x, i);
        if (statistic < 0) continue;
        double sums[2];
        merged_sums(sums, partials, statistic, p.outer * p.channels, p.parts);
        if (threadIdx.x % WARP != 0) continue;
        found[i] = sums[0];
        found[wide + i] = sums[1];
        if (blockIdx.y == 0) write_sums(sums[0], sums[1], statistic, rstd, dgamma, dbeta);
    }
    __syncthreads();
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[LANES];
    S deviation[LANES];
    read_maps(map, deviation, walk, mean, low, rstd, gamma, beta, p);
    Projection<S> away[LANES];
    projections(away, walk, deviation, found, p.width, count, p);
    for (L at = walk; at.more(); at.next())
        write_dx(at, load<V>(g + at.offset), load<V>(x + at.offset), map, away, weights, dx, p);
}

// g·act'(z) with the residual in z; block (tile, part).
template <typename T, typename L>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    gate(const T* __restrict__ g, const T* __restrict__ x,
         const typename Wide<T>::Type* __restrict__ mean,
         const typename Wide<T>::Type* __restrict__ low,
         const typename Wide<T>::Type* __restrict__ rstd,
         const typename Wide<T>::Type* __restrict__ gamma,
         const typename Wide<T>::Type* __restrict__ beta, const T* __restrict__ residual,
         const typename Wide<T>::Type* __restrict__ weights, T* __restrict__ out, Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR;
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[L::LANES];
    S deviation[L::LANES];
    read_maps(map, deviation, walk, mean, low, rstd, gamma, beta, p);
    for (L at = walk; at.more(); at.next()) {
        Pack<T, V> pack = load<V>(g + at.offset), xs = load<V>(x + at.offset), more;
        if (residual != 0) more = load<V>(residual + at.offset);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            S z = map[L::lane(v)].of(widen(xs.at[v]));
            if (residual != 0) z += widen(more.at[v]);
            S value = gated((S)widen(pack.at[v]), z, p);
            if (p.masked && !(weights[at.weight + v * at.weight_step] > 0)) value = 0;
            pack.at[v] = Narrow<T>::of(value);
        }
        store(out + at.offset, pack);
    }
}
