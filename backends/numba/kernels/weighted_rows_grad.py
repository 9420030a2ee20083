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
from . import shared_rows as shared
from .arithmetic import minus, slopes
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
def gate_strip(
    g: Any,
    x: Any,
    w: Any,
    masked: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    row: Any,
    h: Any,
) -> None:
    """h = g·act′(z) of the rows of a strip, 0 at padding; `row` is scratch."""
    for r in range(x.shape[0]):
        gate_row(g[r], x[r], residual[r], add, maps, act, slope, row, h[r])
        if masked:
            ws = row if spreads(w[r], row) else w[r]
            clear_padding(h[r], ws)


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
    for k in range(x.shape[0]):
        strips = strips_of(x[k])
        maps = maps_of(x, k, mean, low, rstd, gamma, beta)
        for t in prange(strips):
            lo, hi = begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)
            gs, xs, ws, rs = g[k, lo:hi], x[k, lo:hi], w[k, lo:hi], residual[k, lo:hi]
            row = np.empty(x.shape[2], x.dtype)
            if w.shape[2] == 1:
                shared.gate_strip(gs, xs, ws, masked, rs, add, maps, act, slope, row, h[k, lo:hi])
            else:
                gate_strip(gs, xs, ws, masked, rs, add, maps, act, slope, row, h[k, lo:hi])


@kernel
def add_grad_row(h: Any, x: Any, w: Any, floor: Any, mean: Any, sums: Any) -> None:
    """A row added to Σ h and Σ h·(x - mean)."""
    zero = x.dtype.type(0)
    first, second = sums[0], sums[1]
    for c in range(x.size):
        d = minus(x[c], mean[c]) if w[c] > floor else zero
        passed = h[c] if w[c] > floor else zero
        first[c] += passed
        second[c] += passed * d


@kernel
def add_grad_strip(
    h: Any, x: Any, w: Any, floor: Any, mean: Any, row: Any, sums: Any, total: Any
) -> None:
    """The sums of the rows of a strip, in float64; `row` is scratch, and `sums`, all 0."""
    for start in range(0, x.shape[0], RUN):
        for r in range(start, min(start + RUN, x.shape[0])):
            ws = row if spreads(w[r], row) else w[r]
            add_grad_row(h[r], x[r], ws, floor, mean, sums)
        collect(sums, total)


@kernel
def write_grad_row(h: Any, x: Any, w: Any, floor: Any, mean: Any, terms: Any, dx: Any) -> None:
    """dx = a·h + w·(b·(x - mean) + e), 0 at padding."""
    zero = x.dtype.type(0)
    a, b, e = terms[0], terms[1], terms[2]
    for c in range(x.size):
        found = a[c] * h[c] + product(w[c], b[c] * minus(x[c], mean[c]) + e[c])
        dx[c] = found if w[c] > floor else zero


@kernel
def write_grad_strip(
    h: Any, x: Any, w: Any, floor: Any, mean: Any, terms: Any, row: Any, dx: Any
) -> None:
    """dx of the rows of a strip; `row` is scratch."""
    for r in range(x.shape[0]):
        ws = row if spreads(w[r], row) else w[r]
        write_grad_row(h[r], x[r], ws, floor, mean, terms, dx[r])


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
    """dx, and dgamma and dbeta of every group.

    n is Σw of each statistic, or 1 where that is 0. With an activation, or a residual behind a
    mask, h = g·act′(z) goes from the sums to the map: to compute it again would take as long as to
    read it. Else h is not written.
    """
    width, floor, gated = x.shape[2], floor_of(x, masked), act or (masked and add)
    for k in range(x.shape[0]):
        strips, one = strips_of(x[k]), w.shape[2] == 1
        maps = maps_of(x, k, mean, low, rstd, gamma, beta)
        totals = np.zeros((strips, 2, width), np.float64)
        for t in prange(strips):
            lo, hi = begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)
            gs, xs, ws, hs = g[k, lo:hi], x[k, lo:hi], w[k, lo:hi], h[k, lo:hi]
            row, sums = np.empty(width, x.dtype), np.zeros((2, width), x.dtype)
            if gated and one:
                rs = residual[k, lo:hi]
                shared.gate_strip(gs, xs, ws, masked, rs, add, maps, act, slope, row, hs)
            elif gated:
                rs = residual[k, lo:hi]
                gate_strip(gs, xs, ws, masked, rs, add, maps, act, slope, row, hs)
            else:
                hs = gs
            if one:
                rows = np.empty(hi - lo, np.intp)
                shared.add_grad_strip(hs, xs, ws, masked, maps[0], rows, sums, totals[t])
            else:
                add_grad_strip(hs, xs, ws, floor, maps[0], row, sums, totals[t])
        add_strips(totals, mean.size // x.shape[0])
        terms = finish_grad(totals, x, k, n, low, rstd, gamma, center, dgamma, dbeta)
        for t in prange(strips):
            lo, hi = begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)
            xs, ws, out = x[k, lo:hi], w[k, lo:hi], dx[k, lo:hi]
            hs = h[k, lo:hi] if gated else g[k, lo:hi]
            if one:
                shared.write_grad_strip(hs, xs, ws, masked, maps[0], terms, out)
            else:
                row = np.empty(width, x.dtype)
                write_grad_strip(hs, xs, ws, floor, maps[0], terms, row, out)
