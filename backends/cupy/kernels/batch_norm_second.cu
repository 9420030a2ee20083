// Batch normalization, second order: the gradient of the backward for the cotangents u, v, t of dx,
// dgamma, dbeta. Per channel, with g multiplied by act'(z), xhat = (x - mean)·rstd, p = w/n and
//
//     G0 = Σ g,  G1 = Σ g·xhat,  U0 = Σ p·u,  U1 = Σ p·u·xhat,  D = Σ u·g,  H1 = gamma·G1:
//
//     q = rstd·(u - U0 - xhat·U1),   c = g·v - rstd·(gamma·g·U1 + p·u·H1),
//     dg = (gamma·q + v·xhat + t)·act'(z),   dgamma = Σ g·q = rstd·(D - U0·G0 - U1·G1),
//     dx = rstd·(c - p·(Σc + xhat·(Σ c·xhat + rstd·gamma·(D - U0·G0 - U1·G1)))),
//     Σc = v·G0 - rstd·(gamma·G0·U1 + U0·H1),   Σ c·xhat = v·G1 - 2·rstd·U1·H1.
//
// So one pass over u, g and x gives all sums, a second one the results.
#include "batch_norm_map.cuh"

enum { SUMS = 5, SECOND_THREADS = 256 };  // half as many as elsewhere: twice the registers

// One element: g and act'(z) (0 at padding), xhat and p.
template <typename S> struct Element {
    S gate, g, xhat, p;
    __device__ Element(S g_, S x, const Affine<S>& map, S rstd, S share, const S* weight,
                       const Problem& problem) {
        S c = map.centre.of(x), w = weight == 0 ? (S)1 : *weight;
        bool padding = problem.masked && !(w > 0);
        gate = padding ? (S)0 : gated((S)1, c * map.scale + map.shift, problem);
        g = padding ? (S)0 : gate * g_;
        xhat = padding ? (S)0 : c * rstd;
        p = w * share;
    }
};

// 1/n of each channel.
template <typename L, typename S>
__device__ inline void read_shares(S (&share)[L::LANES], const L& walk, const S* count,
                                   const Problem& p) {
#pragma unroll
    for (int v = 0; v < L::LANES; ++v) {
        double n = count == 0 ? (double)p.rows * p.length : (double)count[walk.statistic + v];
        share[v] = (S)(1 / (n > 0 ? n : 1));
    }
}

// partials[part][G0, G1, U0, U1, D][statistic]; block (tile, part).
template <typename T, typename L>
__global__ void __launch_bounds__(SECOND_THREADS, 1)
    second_partials(const T* __restrict__ u, const T* __restrict__ g, const T* __restrict__ x,
                    const typename Wide<T>::Type* __restrict__ mean,
                    const typename Wide<T>::Type* __restrict__ low,
                    const typename Wide<T>::Type* __restrict__ rstd,
                    const typename Wide<T>::Type* __restrict__ gamma,
                    const typename Wide<T>::Type* __restrict__ beta,
                    const typename Wide<T>::Type* __restrict__ weights,
                    const typename Wide<T>::Type* __restrict__ count, double* partials,
                    Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR, LANES = L::LANES;
    SHARED_MEMORY(memory);
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[LANES];
    S deviation[LANES], share[LANES];
    read_maps(map, deviation, walk, mean, low, rstd, gamma, beta, p);
    read_shares(share, walk, count, p);
    Sum<S> sums[SUMS][LANES];
    for (L at = walk; at.more(); at.next()) {
        Pack<T, V> us = load<V>(u + at.offset), gs = load<V>(g + at.offset);
        Pack<T, V> xs = load<V>(x + at.offset);
        S terms[SUMS][V];
#pragma unroll
        for (int v = 0; v < V; ++v) {
            const int k = L::lane(v);
            Element<S> e(widen(gs.at[v]), widen(xs.at[v]), map[k], deviation[k], share[k],
                         at_or_null(weights, at.weight + v * at.weight_step), p);
            S own = widen(us.at[v]);
            terms[0][v] = e.g;
            terms[1][v] = e.g * e.xhat;
            terms[2][v] = e.p * own;
            terms[3][v] = e.p * own * e.xhat;
            terms[4][v] = own * e.g;
        }
#pragma unroll
        for (int n = 0; n < SUMS; ++n) gather<L>(sums[n], terms[n]);
    }
    write_partials(sums, reinterpret_cast<double*>(memory), walk, partials, p);
}

// What the results need of a channel.
template <typename S> struct Second {
    S gamma, v, t, u0, u1, h1, sum, slope;  // sum = Σc, slope what stands behind xhat
};

template <typename S>
__device__ inline Second<S> second_of(const double* found, int wide, S rstd, const S* gamma,
                                      S v, S t, int at) {
    double g0 = found[0], g1 = found[wide], u0 = found[2 * wide], u1 = found[3 * wide];
    double scale = gamma == 0 ? 1.0 : (double)gamma[at], rest = found[4 * wide] - u0 * g0 - u1 * g1;
    Second<S> s;
    s.gamma = (S)scale;
    s.v = v;
    s.t = t;
    s.u0 = (S)u0;
    s.u1 = (S)u1;
    s.h1 = (S)(scale * g1);
    s.sum = (S)(v * g0 - rstd * scale * (g0 * u1 + u0 * g1));
    s.slope = (S)(v * g1 - rstd * scale * (2 * u1 * g1 - rest));
    return s;
}

template <typename T, typename L>
__global__ void __launch_bounds__(SECOND_THREADS, 1)
    second_apply(const T* __restrict__ u, const typename Wide<T>::Type* __restrict__ v_,
                 const typename Wide<T>::Type* __restrict__ t_, const T* __restrict__ g,
                 const T* __restrict__ x, const typename Wide<T>::Type* __restrict__ mean,
                 const typename Wide<T>::Type* __restrict__ low,
                 const typename Wide<T>::Type* __restrict__ rstd,
                 const typename Wide<T>::Type* __restrict__ gamma,
                 const typename Wide<T>::Type* __restrict__ beta,
                 const typename Wide<T>::Type* __restrict__ weights,
                 const typename Wide<T>::Type* __restrict__ count,
                 const double* __restrict__ partials, T* __restrict__ dg, T* __restrict__ dx,
                 typename Wide<T>::Type* dgamma, Problem p) {
    typedef typename Wide<T>::Type S;
    const int V = L::VECTOR, LANES = L::LANES;
    SHARED_MEMORY(memory);
    int wide = p.width * LANES, lane = threadIdx.x % p.width * LANES;
    double* found = reinterpret_cast<double*>(memory);
    for (int i = threadIdx.x / WARP; i < wide; i += blockDim.x / WARP) {
        int statistic = L::statistic_of(p, blockIdx.x, i);
        if (statistic < 0) continue;
        double sums[SUMS];
        merged_sums(sums, partials, statistic, p.outer * p.channels, p.parts);
        if (threadIdx.x % WARP != 0) continue;
#pragma unroll
        for (int n = 0; n < SUMS; ++n) found[n * wide + i] = sums[n];
        if (blockIdx.y == 0)
            dgamma[statistic] =
                (S)(rstd[statistic] * (sums[4] - sums[2] * sums[0] - sums[3] * sums[1]));
    }
    __syncthreads();
    const L walk(p, blockIdx.x, blockIdx.y);
    Affine<S> map[LANES];
    S deviation[LANES], share[LANES];
    Second<S> own[LANES];
    read_maps(map, deviation, walk, mean, low, rstd, gamma, beta, p);
    read_shares(share, walk, count, p);
#pragma unroll
    for (int v = 0; v < LANES; ++v) {
        int at = (walk.statistic + v) % p.parameters;
        own[v] = second_of(found + lane + v, wide, deviation[v], gamma, v_[at], t_[at], at);
    }
    for (L at = walk; at.more(); at.next()) {
        Pack<T, V> us = load<V>(u + at.offset), gs = load<V>(g + at.offset);
        Pack<T, V> xs = load<V>(x + at.offset);
#pragma unroll
        for (int v = 0; v < V; ++v) {
            const Second<S>& s = own[L::lane(v)];
            S r = deviation[L::lane(v)], direction = widen(us.at[v]);
            Element<S> e(widen(gs.at[v]), widen(xs.at[v]), map[L::lane(v)], r, share[L::lane(v)],
                         at_or_null(weights, at.weight + v * at.weight_step), p);
            S q = (direction - s.u0 - e.xhat * s.u1) * r;
            S c = e.g * s.v - r * (s.gamma * e.g * s.u1 + e.p * direction * s.h1);
            gs.at[v] = Narrow<T>::of((q * s.gamma + s.v * e.xhat + s.t) * e.gate);
            xs.at[v] = Narrow<T>::of((c - e.p * (s.sum + e.xhat * s.slope)) * r);
        }
        store(dg + at.offset, gs);
        store(dx + at.offset, xs);
    }
}
