// Batch normalization, forward: y = act((x - mean)·rstd·gamma + beta + residual).
//
// `forward_resident` reads x once: a cluster of blocks keeps a tile in shared memory. Where a tile
// is larger, `forward_partials` takes the moments of its parts and `forward_apply` merges them,
// each block for itself in the same order, and normalises.
#include "batch_norm_map.cuh"
#include "batch_norm_moments.cuh"

template <typename L, typename T, typename S>
__device__ inline void finish(const L& walk, Pack<T, L::VECTOR> pack,
                              const Affine<S> (&map)[L::LANES], const T* residual,
                              const S* weights, T* y, const Problem& p) {
    const int V = L::VECTOR;
    Pack<T, V> more;
    if (residual != 0) more = load<V>(residual + walk.offset);
#pragma unroll
    for (int v = 0; v < V; ++v) {
        S z = map[L::lane(v)].of(widen(pack.at[v]));
        if (residual != 0) z += widen(more.at[v]);
        z = activated(z, p);
        if (p.masked && !(weights[walk.weight + v * walk.weight_step] > 0)) z = 0;
        pack.at[v] = Narrow<T>::of(z);
    }
    store(y + walk.offset, pack);
}

template <typename L, typename S>
__device__ inline void affine_maps(Affine<S> (&map)[L::LANES], const L& walk, const double* found,
                                   int width, const S* gamma, const S* beta, const Problem& p) {
    const int LANES = L::LANES;
    int wide = width * LANES, lane = threadIdx.x % width * LANES;
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        int at = (walk.statistic + v) % p.parameters;
        map[v].centre = Centre<S>((S)found[lane + v], (S)found[wide + lane + v]);
        map[v].scale = (S)found[2 * wide + lane + v];
        if (gamma != 0) map[v].scale *= gamma[at];
        map[v].shift = beta == 0 ? (S)0 : beta[at];
    }
}

template <typename S> struct Results {
    S *mean, *low, *var, *rstd, *count;
};

// Mean, low and rstd of a channel into `found`, and if it is to be `told` into the results.
template <typename S>
__device__ inline void conclude(const Moments& m, double* found, int wide, int statistic,
                                bool told, Results<S> out, double eps) {
    S var = (S)(m.square / (m.n > 0 ? m.n : 1)), rstd = reciprocal_deviation<S>(var, eps);
    Centre<S> centre(m.mean);
    found[0] = centre.high;
    found[wide] = centre.low;
    found[2 * wide] = rstd;
    if (!told) return;
    out.mean[statistic] = centre.high;
    out.low[statistic] = centre.low;
    out.var[statistic] = var;
    out.rstd[statistic] = rstd;
    if (out.count != 0) out.count[statistic] = (S)m.n;
}

template <typename T, typename L, int BLOCKS>
__global__ void CLUSTER(BLOCKS) __launch_bounds__(MOST_THREADS, 1)
    forward_resident(const T* __restrict__ x, const typename Wide<T>::Type* __restrict__ gamma,
                     const typename Wide<T>::Type* __restrict__ beta,
                     const T* __restrict__ residual,
                     const typename Wide<T>::Type* __restrict__ weights, T* __restrict__ y,
                     typename Wide<T>::Type* mean, typename Wide<T>::Type* low,
                     typename Wide<T>::Type* var, typename Wide<T>::Type* rstd,
                     typename Wide<T>::Type* count, Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR, LANES = L::LANES;
    SHARED_MEMORY(memory);
    int wide = p.width * LANES, tile = blockIdx.x / BLOCKS, rank = cluster_rank();
    double* scratch = reinterpret_cast<double*>(memory);
    double* found = scratch + (blockDim.x / WARP) * wide;
    double* moments = found + 3 * wide;
    Pack<T, V>* slab = reinterpret_cast<Pack<T, V>*>(scratch + slab_offset(wide));
    const L walk(p, tile, rank);

    Moments m[LANES];
    read_part(walk, x, weights, slab, scratch, p.width, m);
    centre_part(walk, weights, slab, scratch, p.width, m);
    if ((int)threadIdx.x < p.width) {
#pragma unroll
        for (int v = 0; v < LANES; ++v) {
            double* at = moments + threadIdx.x * LANES + v;
            at[0] = m[v].n;
            at[wide] = m[v].mean;
            at[2 * wide] = m[v].square;
        }
    }
    cluster_barrier();
    for (int i = threadIdx.x; i < wide; i += blockDim.x) {
        Moments all = {0, 0, 0};
        for (int r = 0; r < BLOCKS; ++r) {
            const double* at = moments + i;
            Moments part = {cluster_read(at, r), cluster_read(at + wide, r),
                            cluster_read(at + 2 * wide, r)};
            all.merge(part);
        }
        int statistic = L::statistic_of(p, tile, i);
        Results<S> out = {mean, low, var, rstd, count};
        conclude<S>(all, found + i, wide, statistic, rank == 0 && statistic >= 0, out, p.eps);
    }
    __syncthreads();
    Affine<S> map[LANES];
    affine_maps(map, walk, found, p.width, gamma, beta, p);
    const Pack<T, V>* kept = slab + threadIdx.x;
    for (L at = walk; at.more(); at.next(), kept += blockDim.x)
        finish(at, *kept, map, residual, weights, y, p);
    cluster_barrier();  // a block's shared memory has to outlive the reading of others
}

// partials[part][n, mean, square][statistic]; block (tile, part).
template <typename T, typename L>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    forward_partials(const T* __restrict__ x, const typename Wide<T>::Type* __restrict__ weights,
                     double* partials, Problem p) {
    const int LANES = L::LANES;
    SHARED_MEMORY(memory);
    int wide = p.width * LANES, statistics = p.outer * p.channels;
    double* scratch = reinterpret_cast<double*>(memory);
    Pack<T, L::VECTOR>* slab =
        reinterpret_cast<Pack<T, L::VECTOR>*>(scratch + slab_offset(wide));
    const L walk(p, blockIdx.x, blockIdx.y);
    Moments m[LANES];
    read_part(walk, x, weights, slab, scratch, p.width, m);
    centre_part(walk, weights, slab, scratch, p.width, m);
    if ((int)threadIdx.x >= p.width || !walk.valid) return;
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        double* at = partials + (Int)blockIdx.y * 3 * statistics + walk.statistic + v;
        at[0] = m[v].n;
        at[statistics] = m[v].mean;
        at[2 * statistics] = m[v].square;
    }
}

// The moments of a statistic from those of its parts: each lane of a warp merges neighbouring
// parts, then the lanes are merged by halves. The result is lane 0's.
__device__ inline Moments merged(const double* partials, int statistic, int statistics, int parts) {
    int lane = threadIdx.x % WARP, share = (parts + WARP - 1) / WARP;
    Moments m = {0, 0, 0};
    for (int i = lane * share; i < (lane + 1) * share && i < parts; ++i) {
        const double* at = partials + (Int)i * 3 * statistics + statistic;
        Moments part = {at[0], at[statistics], at[2 * statistics]};
        m.merge(part);
    }
    for (int away = 1; away < WARP; away *= 2) {
        Moments other;
        other.n = __shfl_down_sync(0xffffffffu, m.n, away);
        other.mean = __shfl_down_sync(0xffffffffu, m.mean, away);
        other.square = __shfl_down_sync(0xffffffffu, m.square, away);
        m.merge(other);
    }
    return m;
}

// Block (tile, part); y may be null: then the statistics are all that is wanted.
template <typename T, typename L>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    forward_apply(const T* __restrict__ x, const typename Wide<T>::Type* __restrict__ gamma,
                  const typename Wide<T>::Type* __restrict__ beta, const T* __restrict__ residual,
                  const typename Wide<T>::Type* __restrict__ weights,
                  const double* __restrict__ partials, T* __restrict__ y,
                  typename Wide<T>::Type* mean, typename Wide<T>::Type* low,
                  typename Wide<T>::Type* var, typename Wide<T>::Type* rstd,
                  typename Wide<T>::Type* count, Problem p) {
    typedef typename Wide<T>::Type S;
    const int LANES = L::LANES;
    SHARED_MEMORY(memory);
    int wide = p.width * LANES;
    double* found = reinterpret_cast<double*>(memory);
    for (int i = threadIdx.x / WARP; i < wide; i += blockDim.x / WARP) {
        int statistic = L::statistic_of(p, blockIdx.x, i);
        if (statistic < 0) continue;
        Moments all = merged(partials, statistic, p.outer * p.channels, p.parts);
        Results<S> out = {mean, low, var, rstd, count};
        if (threadIdx.x % WARP == 0)
            conclude<S>(all, found + i, wide, statistic, blockIdx.y == 0, out, p.eps);
    }
    __syncthreads();
    if (y == 0) return;
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[LANES];
    affine_maps(map, walk, found, p.width, gamma, beta, p);
    for (L at = walk; at.more(); at.next())
        finish(at, load<L::VECTOR>(x + at.offset), map, residual, weights, y, p);
}

// y = act((x - mean)·(var + eps)^(-1/2)·gamma + beta + residual); block (tile, part).
template <typename T, typename L>
__global__ void __launch_bounds__(MOST_THREADS, 1)
    normalize_by(const T* __restrict__ x, const typename Wide<T>::Type* __restrict__ mean,
                 const typename Wide<T>::Type* __restrict__ var,
                 const typename Wide<T>::Type* __restrict__ gamma,
                 const typename Wide<T>::Type* __restrict__ beta, const T* __restrict__ residual,
                 T* __restrict__ y, Problem p) {
    typedef typename Wide<T>::Type S;
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[L::LANES];
#pragma unroll
    for (int v = 0; v < L::LANES; ++v) {
        int k = walk.statistic + v, at = k % p.parameters;
        map[v].centre = Centre<S>(mean[k], (S)0);
        map[v].scale = reciprocal_deviation<S>(var[k], p.eps);
        if (gamma != 0) map[v].scale *= gamma[at];
        map[v].shift = beta == 0 ? (S)0 : beta[at];
    }
    for (L at = walk; at.more(); at.next())
        finish(at, load<L::VECTOR>(x + at.offset), map, residual, (const S*)0, y, p);
}
