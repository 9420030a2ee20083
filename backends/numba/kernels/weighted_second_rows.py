"""The gradient of the gradient of weighted batch norm, for x of shape (G, R, W).

Rows, weights and strips are those of `weighted_rows`, sums and terms those of `weighted_second`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, maker
from .arithmetic import minus
from .second import solve
from .shared_rows import gate_row
from .weighted_steps import (
    RUN,
    add_strips,
    begin_of,
    clear_padding,
    collect,
    floor_of,
    maps_of,
    product,
    repeat_channels,
    spreads,
    strips_of,
)


@kernel
def add_row(u: Any, h: Any, x: Any, w: Any, floor: Any, mean: Any, sums: Any) -> None:
    """A row added to Σ w·u, Σ w·u·(x - mean), Σh, Σh·(x - mean), Σu·h; padding is not read."""
    zero = x.dtype.type(0)
    u0, u1, h0, h1, uh = sums[0], sums[1], sums[2], sums[3], sums[4]
    for c in range(x.size):
        d = minus(x[c], mean[c]) if w[c] > floor else zero
        a = u[c] if w[c] > floor else zero
        u0[c] += w[c] * a
        u1[c] += w[c] * a * d
        h0[c] += h[c]
        h1[c] += h[c] * d
        uh[c] += a * h[c]


@kernel
def write_row(
    u: Any, h: Any, x: Any, w: Any, floor: Any, mean: Any, terms: Any, dg: Any, dx: Any
) -> None:
    """dg, before the gate, and dx of a row, 0 at padding."""
    zero = x.dtype.type(0)
    q, r, s = terms[0], terms[1], terms[2]
    v, b, y, z = terms[3], terms[4], terms[5], terms[6]
    for c in range(x.size):
        d = minus(x[c], mean[c])
        first = q[c] * u[c] + (r[c] * d + s[c])
        second = v[c] * h[c] + product(w[c], b[c] * u[c] + (y[c] * d + z[c]))
        dg[c] = first if w[c] > floor else zero
        dx[c] = second if w[c] > floor else zero


@kernel
def gated_row(
    g: Any, x: Any, w: Any, masked: Any, maps: Any, act: Any, slope: Any, z: Any, h: Any
) -> None:
    """h = g·act′(z), 0 at padding; `z` is scratch."""
    gate_row(g, x, x, 0, maps, act, slope, z, h)
    if masked:
        clear_padding(h, w)


@maker
def terms_of(
    totals: Any,
    x: Any,
    k: Any,
    n: Any,
    v: Any,
    t: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
) -> Any:
    """dgamma of group k, and the seven terms of all places of a row."""
    channels = low.size // x.shape[0]
    terms = np.empty((7, x.shape[2]), x.dtype)
    sums, found = np.empty(5, np.float64), np.empty(7, np.float64)
    for c in range(channels):
        i, j = k * channels + c, (k * channels + c) % gamma.size
        for m in range(5):
            sums[m] = totals[0, m, c]
        dgamma[i] = solve(sums, n[i], center, rstd[i], gamma[j], low[i], v[j], t[j], found)
        for m in range(7):
            terms[m, c] = found[m]
    repeat_channels(terms, channels)
    return terms


@driver
def second(
    u: Any,
    v: Any,
    t: Any,
    g: Any,
    x: Any,
    w: Any,
    n: Any,
    masked: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    dg: Any,
    dx: Any,
    dgamma: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dg, dx and dgamma of every group."""
    width, floor = x.shape[2], floor_of(x, masked)
    for k in range(x.shape[0]):
        strips, maps = strips_of(x[k]), maps_of(x, k, mean, low, rstd, gamma, beta)
        totals = np.zeros((strips, 5, width), np.float64)
        for s in prange(strips):
            rows, sums = np.empty((3, width), x.dtype), np.zeros((5, width), x.dtype)
            row, z, h = rows[0], rows[1], rows[2]
            lo = begin_of(x[k], s, strips)
            for r in range(lo, begin_of(x[k], s + 1, strips)):
                xs, ws = x[k, r], (row if spreads(w[k, r], row) else w[k, r])
                gated_row(g[k, r], xs, ws, masked, maps, act, slope, z, h)
                add_row(u[k, r], h, xs, ws, floor, maps[0], sums)
                if (r - lo) % RUN == RUN - 1:
                    collect(sums, totals[s])
            collect(sums, totals[s])
        add_strips(totals, mean.size // x.shape[0])
        terms = terms_of(totals, x, k, n, v, t, low, rstd, gamma, center, dgamma)
        for s in prange(strips):
            rows = np.empty((4, width), x.dtype)
            row, z, h, d = rows[0], rows[1], rows[2], rows[3]
            for r in range(begin_of(x[k], s, strips), begin_of(x[k], s + 1, strips)):
                xs, ws = x[k, r], (row if spreads(w[k, r], row) else w[k, r])
                gated_row(g[k, r], xs, ws, masked, maps, act, slope, z, h)
                write_row(u[k, r], h, xs, ws, floor, maps[0], terms, d, dx[k, r])
                gate_row(d, xs, xs, 0, maps, act, slope, z, dg[k, r])
