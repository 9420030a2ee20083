"""Normalization of weighted x of shape (G, R, W): the gradient, and the gate alone.

Rows, weights and strips are those of `weighted_rows`. What has a weight of `floor` or less is
padding: it counts as xhat = 0 and g = 0 whatever it holds. The floor is 0 with a mask, and -inf
with mere weights, where nothing is padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, maker
from .arithmetic import RELU, minus, slopes
from .weighted_rows import (
    RUN,
    add_strips,
    begin_of,
    collect,
    floor_of,
    map_row,
    maps_of,
    repeat_channels,
    spread_weights,
    strips_of,
)


@kernel
def pass_row(g: Any, z: Any, w: Any, floor: Any, act: Any, slope: Any, h: Any) -> None:
    """h = g·act′(z), 0 at padding."""
    zero = g.dtype.type(0)
    relu, below = act == RELU, g.dtype.type(slope)
    if act:
        for c in range(g.size):
            passed = g[c] if z[c] > zero else (zero if relu else g[c] * below)
            h[c] = passed if w[c] > floor else zero
    else:
        for c in range(g.size):
            h[c] = g[c] if w[c] > floor else zero


@kernel
def gate_row(
    g: Any,
    x: Any,
    w: Any,
    floor: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    z: Any,
    h: Any,
) -> None:
    """h = g·act′(z), z = (x - mean)·scale + offset + residual; `z` is scratch."""
    if act:
        map_row(x, maps, residual, add, z)
    pass_row(g, z, w, floor, act, slope, h)


@driver
def gate(
    g: Any,
    x: Any,
    w: Any,
    masked: Any,
    residual: Any,
    add: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    h: Any,
    act: Any,
    slope: Any,
) -> None:
    """h = g·act′(z), 0 at padding."""
    floor = floor_of(x, masked)
    for k in range(x.shape[0]):
        strips = strips_of(x[k])
        maps = maps_of(x, k, mean, low, rstd, gamma, beta)
        for t in prange(strips):
            scratch = np.empty((2, x.shape[2]), x.dtype)
            row, z = scratch[0], scratch[1]
            for r in range(begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)):
                spread_weights(w[k, r], row)
                rs, out = residual[k, r], h[k, r]
                gate_row(g[k, r], x[k, r], row, floor, rs, add, maps, act, slope, z, out)


@kernel
def add_grad_row(h: Any, x: Any, w: Any, floor: Any, mean: Any, sums: Any) -> None:
    """A row added to Σ h and Σ h·(x - mean)."""
    zero = x.dtype.type(0)
    first, second = sums[0], sums[1]
    for c in range(x.size):
        d = minus(x[c], mean[c]) if w[c] > floor else zero
        first[c] += h[c]
        second[c] += h[c] * d


@kernel
def write_grad_row(h: Any, x: Any, w: Any, floor: Any, mean: Any, terms: Any, dx: Any) -> None:
    """dx = a·h + w·(b·(x - mean) + e)."""
    zero = x.dtype.type(0)
    a, b, e = terms[0], terms[1], terms[2]
    for c in range(x.size):
        d = minus(x[c], mean[c]) if w[c] > floor else zero
        dx[c] = a[c] * h[c] + w[c] * (b[c] * d + e[c])


@maker
def finish_grad(
    totals: Any,
    x: Any,
    k: Any,
    n: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
) -> Any:
    """dgamma and dbeta of group k, and rows a, b, e of all places of a row."""
    channels = low.size // x.shape[0]
    terms = np.empty((3, x.shape[2]), x.dtype)
    for c in range(channels):
        i = k * channels + c
        s0, s1 = totals[0, 0, c], totals[0, 1, c]
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        terms[0, c], terms[1, c], terms[2, c] = slopes(
            low[i], rstd[i], gamma[i % gamma.size], s0, s1, n[i], center
        )
    repeat_channels(terms, channels)
    return terms


@driver
def backward(
    g: Any,
    x: Any,
    w: Any,
    n: Any,
    masked: Any,
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
    """dx, and dgamma and dbeta of every group; with an activation or a mask h = g·act′(z) as well.

    n is Σw of each statistic, or 1 where that is 0. h has the shape of x, and goes from the sums to
    the map: to compute it again would take as long as to read it.
    """
    width, floor, gated = x.shape[2], floor_of(x, masked), act or masked
    for k in range(x.shape[0]):
        strips = strips_of(x[k])
        maps = maps_of(x, k, mean, low, rstd, gamma, beta)
        totals = np.zeros((strips, 2, width), np.float64)
        for t in prange(strips):
            lo, hi = begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)
            scratch, sums = np.empty((2, width), x.dtype), np.zeros((2, width), x.dtype)
            row, z = scratch[0], scratch[1]
            for r in range(lo, hi):
                spread_weights(w[k, r], row)
                gs, hs, rs = g[k, r], h[k, r], residual[k, r]
                if gated:
                    gate_row(gs, x[k, r], row, floor, rs, add, maps, act, slope, z, hs)
                else:
                    hs = gs
                add_grad_row(hs, x[k, r], row, floor, maps[0], sums)
                if (r - lo) % RUN == RUN - 1:
                    collect(sums, totals[t])
            collect(sums, totals[t])
        add_strips(totals, mean.size // x.shape[0])
        terms = finish_grad(totals, x, k, n, low, rstd, gamma, center, dgamma, dbeta)
        for t in prange(strips):
            row = np.empty(width, x.dtype)
            for r in range(begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)):
                spread_weights(w[k, r], row)
                hs = h[k, r] if gated else g[k, r]
                write_grad_row(hs, x[k, r], row, floor, maps[0], terms, dx[k, r])
