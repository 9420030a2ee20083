"""Normalization of x of shape (G, R, W): the gradient and the gate of an activation.

Rows are those of `rows`, dealt out by `tiles`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, strict, walk
from ..lanes import filled, load, multiply_add, store, where_positive
from .arithmetic import RELU, minus, slopes
from .meeting import board_for, claim, forth, tell, wait
from .rows import of_statistics, parameters
from .rows_grad_map import gate_row, write_grad_strips
from .rows_statistics import DONE, gather, merge, repeat
from .tiles import RUN, column, strips_of, tiles_of


@strict
def sum_grad_tile(g: Any, x: Any, maps: Any, c: Any, sums: Any) -> None:
    """Σ g and Σ g·(x - mean) of a tile of a run of rows, four at a time as `sum_tile` does."""
    mean, first = load(maps[0], c), filled(x[0], 0.0)
    second, fours = first, x.shape[0] // 4 * 4
    for r in range(0, fours, 4):
        h, i, j, k = load(g[r], c), load(g[r + 1], c), load(g[r + 2], c), load(g[r + 3], c)
        a, b = load(x[r], c) - mean, load(x[r + 1], c) - mean
        d, e = load(x[r + 2], c) - mean, load(x[r + 3], c) - mean
        first = first + ((h + i) + (j + k))
        second = second + (multiply_add(h, a, i * b) + multiply_add(j, d, k * e))
    for r in range(fours, x.shape[0]):
        h = load(g[r], c)
        first, second = first + h, multiply_add(h, load(x[r], c) - mean, second)
    store(sums[0], c, first)
    store(sums[1], c, second)


@strict
def sum_gated_tile(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    c: Any,
    kept: Any,
    sums: Any,
) -> None:
    """The same for h = g·act′(z); if `add`, z has a residual and h is kept."""
    mean, scale, offset = load(maps[0], c), load(maps[1], c), load(maps[2], c)
    leaky, below = filled(x[0], act != RELU), filled(x[0], slope)
    first = second = zero = filled(x[0], 0.0)
    for start in range(0, x.shape[0], 4):
        a = b = zero
        for r in range(start, min(start + 4, x.shape[0])):
            h, d = load(g[r], c), load(x[r], c) - mean
            z = multiply_add(d, scale, offset)
            if add:
                z = z + load(residual[r], c)
            h = where_positive(z, h, where_positive(leaky, h * below, zero))
            if add:
                store(kept[r], c, h)
            a, b = a + h, multiply_add(h, d, b)
        first, second = first + a, second + b
    store(sums[0], c, first)
    store(sums[1], c, second)


@kernel
def add_grad_row(g: Any, x: Any, mean: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(mean.size):
        first[c] += g[c]
        second[c] += g[c] * minus(x[c], mean[c])


@walk
def sum_narrow(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    kept: Any,
    row: Any,
    sums: Any,
) -> None:
    """The sums of a run of rows that are narrower than a tile; `row` is scratch."""
    sums[:] = 0
    for r in range(x.shape[0]):
        h = g[r]
        if act:
            h = kept[r] if add else row
            gate_row(g[r], x[r], residual[r], add, maps, act, slope, h)
        add_grad_row(h, x[r], maps[0], sums[0], sums[1])


@walk
def sum_strip(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    kept: Any,
    scratch: Any,
    total: Any,
) -> None:
    """The sums of the rows of a strip, in float64; `scratch` are three rows."""
    sums = scratch[:2]
    for lo in range(0, x.shape[0], RUN):
        hi = lo + RUN
        gs, xs, rs, hs = g[lo:hi], x[lo:hi], residual[lo:hi], kept[lo:hi]
        for tile in range(tiles_of(x)):
            c = column(x, tile)
            if act:
                sum_gated_tile(gs, xs, rs, add, maps, act, slope, c, hs, sums)
            else:
                sum_grad_tile(gs, xs, maps, c, sums)
        if tiles_of(x) == 0:
            sum_narrow(gs, xs, rs, add, maps, act, slope, hs, scratch[2], sums)
        gather(sums, total, lo)


@kernel
def finish_channels(
    sum_g: Any,
    sum_gx: Any,
    n: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
    terms: Any,
) -> None:
    """dgamma, dbeta and the factors of dx of all channels."""
    a, b, e = terms[0], terms[1], terms[2]
    for c in range(low.size):
        s0 = sum_g[c]
        s1 = sum_gx[c] - low[c] * s0
        dgamma[c] = s1 * rstd[c]
        dbeta[c] = s0
        a[c], b[c], e[c] = slopes(low[c], rstd[c], gamma[c], s0, s1, n, center)


@walk
def sum_strips(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    k: Any,
    strips: Any,
    workers: Any,
    w: Any,
    board: Any,
    maps: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    act: Any,
    slope: Any,
    kept: Any,
    scratch: Any,
    totals: Any,
    dgamma: Any,
    dbeta: Any,
    terms: Any,
) -> None:
    """The part of worker w in the sums of group k; returns when dgamma, dbeta and the factors of dx
    are there. `gamma` is the group's own; the first row of the board is for the sums."""
    height, row, channels = x.shape[1], board[0], gamma.size
    for i in range(strips):
        t = forth(strips, workers, w, i)
        if claim(row, t):
            lo, hi = height * t // strips, height * (t + 1) // strips
            gs, xs, rs, hs = g[k, lo:hi], x[k, lo:hi], residual[k, lo:hi], kept[k, lo:hi]
            sum_strip(gs, xs, rs, add, maps, act, slope, hs, scratch, totals[t])
            if merge(totals, strips, row, t, channels):
                n, at, end = height * x.shape[2] // channels, k * channels, (k + 1) * channels
                finish_channels(
                    totals[0, 0],
                    totals[0, 1],
                    n,
                    low[at:end],
                    rstd[at:end],
                    gamma,
                    center,
                    dgamma[at:end],
                    dbeta[at:end],
                    terms,
                )
                for j in range(3):
                    repeat(terms[j], channels)
                tell(row, DONE)
    wait(row)


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
    """dx, and dgamma and dbeta of every group; if `add`, h = g·act′(z) as well."""
    channels, width = mean.size // x.shape[0], x.shape[2]
    for k in range(x.shape[0]):
        strips, lo, hi = strips_of(x[k]), k * channels, (k + 1) * channels
        own, board = of_statistics(gamma, lo, hi), board_for(2, strips)
        maps = parameters(width, mean, low, rstd, gamma, beta, lo, hi)
        totals, terms = np.empty((strips, 2, width), np.float64), np.empty((3, width), x.dtype)
        for w in prange(workers):
            scratch = np.empty((3, width), x.dtype)
            sum_strips(
                g,
                x,
                residual,
                add,
                k,
                strips,
                workers,
                w,
                board,
                maps,
                low,
                rstd,
                own,
                center,
                act,
                slope,
                h,
                scratch,
                totals,
                dgamma,
                dbeta,
                terms,
            )
            if add:
                write_grad_strips(
                    h, x, k, strips, workers, w, board, maps, terms, 0, slope, scratch, dx
                )
            else:
                write_grad_strips(
                    g, x, k, strips, workers, w, board, maps, terms, act, slope, scratch, dx
                )
