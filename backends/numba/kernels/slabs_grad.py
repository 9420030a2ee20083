"""Normalization of x of shape (G, N, C, L): the gradient and the gate of an activation.

Slabs and their walk are those of `slabs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, walk
from .arithmetic import RELU, minus, slopes
from .bundles import bundle_maps, bundle_of, bundles_of, is_straight, room_beside, room_for
from .slabs_grad_map import write_grad_channels
from .stream import SHORT


@kernel
def grad_sums(g: Any, x: Any, mean: Any) -> Any:
    """Σ g and Σ g·(x - mean) of a chunk."""
    first = second = x.dtype.type(0)
    for i in range(x.size):
        first += g[i]
        second += g[i] * minus(x[i], mean)
    return first, second


@kernel
def gated_sums(g: Any, x: Any, mean: Any, scale: Any, offset: Any, relu: Any, below: Any) -> Any:
    """The same sums for h = g·act′(z)."""
    zero = x.dtype.type(0)
    first = second = zero
    for i in range(x.size):
        d = minus(x[i], mean)
        h = g[i] if d * scale + offset > zero else (zero if relu else g[i] * below)
        first += h
        second += h * d
    return first, second


@kernel
def residual_sums(
    g: Any,
    x: Any,
    residual: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    relu: Any,
    below: Any,
) -> Any:
    """The same sums, z with its residual."""
    zero = x.dtype.type(0)
    first = second = zero
    for i in range(x.size):
        d = minus(x[i], mean)
        z = d * scale + offset + residual[i]
        h = g[i] if z > zero else (zero if relu else g[i] * below)
        first += h
        second += h * d
    return first, second


@kernel
def add_grad_run(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    totals: Any,
) -> None:
    """Σ h and Σ h·(x - mean) of a run added to `totals`, h = g·act′(z)."""
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    for lo in range(0, x.size, SHORT):
        gs, xs = g[lo : lo + SHORT], x[lo : lo + SHORT]
        if add:
            rs = residual[lo : lo + SHORT]
            p, q = residual_sums(gs, xs, rs, mean, scale, offset, relu, below)
        elif act:
            p, q = gated_sums(gs, xs, mean, scale, offset, relu, below)
        else:
            p, q = grad_sums(gs, xs, mean)
        totals[0] += p
        totals[1] += q


@walk
def add_bundle(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    k: Any,
    lo: Any,
    hi: Any,
    maps: Any,
    act: Any,
    slope: Any,
    totals: Any,
) -> None:
    """The sums of channels lo to hi of group k."""
    for n in range(x.shape[1]):
        for c in range(lo, hi):
            gs, xs, rs, own = g[k, n, c], x[k, n, c], residual[k, n, c], totals[c - lo]
            add_grad_run(gs, xs, rs, add, maps[c - lo], act, slope, own)


@kernel
def finish_bundle(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    totals: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
    terms: Any,
) -> None:
    """dgamma, dbeta and the factors of dx of channels lo to hi of group k."""
    for c in range(lo, hi):
        i, s0 = k * x.shape[2] + c, totals[c - lo, 0]
        s1 = totals[c - lo, 1] - low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        terms[c - lo, 0], terms[c - lo, 1], terms[c - lo, 2] = slopes(
            low[i],
            rstd[i],
            gamma[i % gamma.size],
            s0,
            s1,
            x.shape[1] * x.shape[3],
            center,
        )


@driver
def backward(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    h: Any,
    dx: Any,
    dgamma: Any,
    dbeta: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dx, and dgamma and dbeta of every slab; if `add`, h = g·act′(z) as well."""
    wide, count = bundle_of(x), bundles_of(x)
    flat = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    pulled, xs, rs, out = g.reshape(flat), x.reshape(flat), residual.reshape(flat), dx.reshape(flat)
    kept = h.reshape(flat) if add else out
    straight = is_straight(x, out, kept)
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        maps, terms = np.empty((wide, 3), x.dtype), np.empty((wide, 3), x.dtype)
        totals = np.zeros((wide, 2), np.float64)
        bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
        add_bundle(g, x, residual, add, k, lo, hi, maps, act, slope, totals)
        finish_bundle(x, k, lo, hi, totals, low, rstd, gamma, center, dgamma, dbeta, terms)
        buffer = np.empty((2, room_for(x, straight)), x.dtype)
        own = np.empty((6, room_beside(x, straight)), x.dtype)
        write_grad_channels(
            g,
            x,
            k,
            lo,
            hi,
            residual,
            add,
            pulled,
            xs,
            rs,
            kept,
            out,
            maps,
            terms,
            act,
            slope,
            straight,
            buffer,
            own,
        )
