// The affine map of a channel, the activation behind it, and the derivative of that.
#pragma once
#include "reduction.cuh"

// z = (x - mean)·scale + shift.
template <typename S> struct Affine {
    Centre<S> centre;
    S scale, shift;
    __device__ S of(S x) const { return centre.of(x) * scale + shift; }
};

template <typename S> __device__ inline S activated(S z, const Problem& p) {
    if (p.activation == RELU) return z > 0 || z != z ? z : (S)0;
    return p.activation == LEAKY_RELU && !(z > 0) ? (S)(z * (S)p.slope) : z;
}

// g·act'(z); act' is 0 at 0 for relu, and where z is not a number.
template <typename S> __device__ inline S gated(S g, S z, const Problem& p) {
    if (p.activation == NO_ACTIVATION || z > 0) return g;
    return p.activation == RELU ? (S)0 : (S)(g * (S)p.slope);
}

// The maps of the walk's channels from arrays of statistics and parameters.
template <typename L, typename S>
__device__ inline void read_maps(Affine<S> (&map)[L::LANES], S (&deviation)[L::LANES],
                                 const L& walk, const S* mean, const S* low, const S* rstd,
                                 const S* gamma, const S* beta, const Problem& p) {
#pragma unroll
    for (int v = 0; v < L::LANES; ++v) {
        int k = walk.statistic + v, at = k % p.parameters;
        map[v].centre = Centre<S>(mean[k], low[k]);
        deviation[v] = rstd[k];
        map[v].scale = gamma == 0 ? rstd[k] : rstd[k] * gamma[at];
        map[v].shift = beta == 0 ? (S)0 : beta[at];
    }
}
