"""Normalization of x of shape (G, N, C, L): the gradient and the gate of an activation.

Slabs and their walk are those of `slabs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, walk
from .arithmetic import RELU, minus, slopes
from .bundles import (
    bundle_maps,
    bundle_of,
    bundles_of,
    claims_of,
    is_straight,
    room_for,
    rows_for,
    spread,
    take,
)
from .slabs_grad_map import write_grad_bundle
from .slabs_statistics import fold
from .stream import SHORT, is_large, settle
from .tiles import RUN


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


@kernel
def add_two_grad(g: Any, h: Any, a: Any, b: Any, mean: Any, first: Any, second: Any) -> None:
    """Two rows g and h, and those of x, a and b, added to the sums of their numbers."""
    for i in range(mean.size):
        p, q = g[i] * minus(a[i], mean[i]), h[i] * minus(b[i], mean[i])
        first[i] += g[i] + h[i]
        second[i] += p + q


@kernel
def add_gated(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
    first: Any,
    second: Any,
) -> None:
    """A row added to the sums of its numbers, h = g·act′(z) in the place of g."""
    zero, relu, below = x.dtype.type(0), act == RELU, x.dtype.type(slope)
    for i in range(x.size):
        h, d = g[i], minus(x[i], mean[i])
        if add or act:
            z = d * scale[i] + offset[i]
            if add:
                z += residual[i]
            h = h if z > zero else (zero if relu else h * below)
        first[i] += h
        second[i] += h * d


@walk
def add_grad_together(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    k: Any,
    lo: Any,
    hi: Any,
    act: Any,
    slope: Any,
    length: Any,
    rows: Any,
    totals: Any,
) -> None:
    """The sums of the numbers lo to hi over all images of group k, as `add_together` makes them.
    The first three rows hold their maps, the next two are scratch."""
    mean, scale, offset = rows[0, : hi - lo], rows[1], rows[2]
    first, second = rows[3, : hi - lo], rows[4, : hi - lo]
    for start in range(0, x.shape[1], RUN):
        end = min(start + RUN, x.shape[1])
        pairs = start if add or act else start + (end - start) // 2 * 2
        first[:] = 0
        second[:] = 0
        for n in range(start, pairs, 2):
            gs, hs, xs, ys = g[k, n, lo:hi], g[k, n + 1, lo:hi], x[k, n, lo:hi], x[k, n + 1, lo:hi]
            add_two_grad(gs, hs, xs, ys, mean, first, second)
        for n in range(pairs, end):
            gs, xs, rs = g[k, n, lo:hi], x[k, n, lo:hi], residual[k, n, lo:hi]
            add_gated(gs, xs, rs, add, mean, scale, offset, act, slope, first, second)
        fold(first, second, length, totals, start)


@walk
def add_grad_bundle(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    k: Any,
    lo: Any,
    hi: Any,
    length: Any,
    maps: Any,
    act: Any,
    slope: Any,
    totals: Any,
    rows: Any,
) -> None:
    """The sums of channels lo to hi of group k. Of `rows` the first three become their maps; the
    others are scratch."""
    first, last = lo * length, hi * length
    if rows.size:
        for i in range(3):
            spread(length, maps[i], rows[i, : last - first])
        add_grad_together(g, x, residual, add, k, first, last, act, slope, length, rows, totals)
    else:
        totals[:] = 0
        for n in range(x.shape[1]):
            gs, xs, rs = g[k, n, first:last], x[k, n, first:last], residual[k, n, first:last]
            add_grad_run(gs, xs, rs, add, maps[:, 0], act, slope, totals[:, 0])


@kernel
def finish_bundle(
    n: Any,
    i: Any,
    wide: Any,
    totals: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
    terms: Any,
) -> None:
    """dgamma, dbeta and the factors of dx of statistics i to i + wide, of n numbers each."""
    for c in range(wide):
        s0 = totals[0, c]
        s1 = totals[1, c] - low[i + c] * s0
        dgamma[i + c] = s1 * rstd[i + c]
        dbeta[i + c] = s0
        scale = gamma[(i + c) % gamma.size]
        terms[0, c], terms[1, c], terms[2, c] = slopes(
            low[i + c], rstd[i + c], scale, s0, s1, n, center
        )


@driver
def backward(
    workers: Any,
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
    wide, count, length = bundle_of(x), bundles_of(x), x.shape[3]
    flat = x.shape[0], x.shape[1], x.shape[2] * length
    gs, xs, rs, out = g.reshape(flat), x.reshape(flat), residual.reshape(flat), dx.reshape(flat)
    hs = h.reshape(flat) if add else out
    straight = is_straight(x, out, hs)
    claims = claims_of(x)
    for w in prange(workers):
        maps, terms = np.empty((3, wide), x.dtype), np.empty((3, wide), x.dtype)
        totals, rows = np.empty((2, wide), np.float64), rows_for(x, 6)
        buffer = np.empty((2, room_for(x, straight)), x.dtype)
        for i in range(x.shape[0] * count):
            k, lo, hi = take(x, claims, wide, count, workers, w, i)
            if lo == hi:
                continue
            bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
            add_grad_bundle(gs, xs, rs, add, k, lo, hi, length, maps, act, slope, totals, rows)
            finish_bundle(
                x.shape[1] * length,
                k * x.shape[2] + lo,
                hi - lo,
                totals,
                low,
                rstd,
                gamma,
                center,
                dgamma,
                dbeta,
                terms,
            )
            write_grad_bundle(
                gs,
                xs,
                k,
                lo,
                hi,
                length,
                rs,
                add,
                hs,
                out,
                maps,
                terms,
                rows,
                act,
                slope,
                straight,
                buffer,
            )
        settle(is_large(x))
