"""Normalization of x of shape (G, R, W): the gradient and the gate of an activation.

Rows, strips and streams are those of `rows`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, maker
from .arithmetic import RELU, minus, slopes
from .rows import RUN, flush, merge, parameters, spread, strips_of


@kernel
def add_grad_rows(
    g0: Any,
    g1: Any,
    g2: Any,
    g3: Any,
    x0: Any,
    x1: Any,
    x2: Any,
    x3: Any,
    mean: Any,
    first: Any,
    second: Any,
) -> None:
    """Four rows added to Σ g and Σ g·(x - mean)."""
    for c in range(mean.size):
        m = mean[c]
        a, b, d, e = minus(x0[c], m), minus(x1[c], m), minus(x2[c], m), minus(x3[c], m)
        first[c] += (g0[c] + g1[c]) + (g2[c] + g3[c])
        second[c] += (a * g0[c] + b * g1[c]) + (d * g2[c] + e * g3[c])


@kernel
def add_grad_row(g: Any, x: Any, mean: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(mean.size):
        first[c] += g[c]
        second[c] += g[c] * minus(x[c], mean[c])


@kernel
def gate_row(g: Any, x: Any, maps: Any, act: Any, slope: Any, h: Any) -> None:
    """h = g·act′(z) of a row."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    for c in range(g.size):
        z = minus(x[c], mean[c]) * scale[c] + offset[c]
        h[c] = g[c] if z > zero else (zero if relu else g[c] * below)


@kernel
def gate_residual_row(
    g: Any, x: Any, residual: Any, maps: Any, act: Any, slope: Any, h: Any
) -> None:
    """h = g·act′(z) of a row, z with its residual."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    for c in range(g.size):
        z = minus(x[c], mean[c]) * scale[c] + offset[c] + residual[c]
        h[c] = g[c] if z > zero else (zero if relu else g[c] * below)


@kernel
def add_plain_strip(g: Any, x: Any, mean: Any, sums: Any, total: Any) -> None:
    """The sums of the rows of a strip, in float64; `sums` is scratch, all 0."""
    first, second = sums[0], sums[1]
    q = x.shape[0] // 4
    for start in range(0, q, RUN):
        for r in range(start, min(start + RUN, q)):
            add_grad_rows(
                g[r],
                g[r + q],
                g[r + 2 * q],
                g[r + 3 * q],
                x[r],
                x[r + q],
                x[r + 2 * q],
                x[r + 3 * q],
                mean,
                first,
                second,
            )
        flush(sums, total)
    for r in range(4 * q, x.shape[0]):
        add_grad_row(g[r], x[r], mean, first, second)
    flush(sums, total)


@kernel
def gate_strip(g: Any, x: Any, residual: Any, maps: Any, act: Any, slope: Any, h: Any) -> None:
    """h = g·act′(z) of the rows of a strip, z with its residual."""
    for r in range(x.shape[0]):
        gate_residual_row(g[r], x[r], residual[r], maps, act, slope, h[r])


@kernel
def add_gated_strip(
    g: Any, x: Any, maps: Any, act: Any, slope: Any, sums: Any, row: Any, total: Any
) -> None:
    """The same for h = g·act′(z); `row` is scratch."""
    for start in range(0, x.shape[0], RUN):
        for r in range(start, min(start + RUN, x.shape[0])):
            gate_row(g[r], x[r], maps, act, slope, row)
            add_grad_row(row, x[r], maps[0], sums[0], sums[1])
        flush(sums, total)


@kernel
def write_grad_row(g: Any, x: Any, dx: Any, mean: Any, a: Any, b: Any, e: Any) -> None:
    """dx = a·g + b·(x - mean) + e of a row."""
    for c in range(mean.size):
        dx[c] = a[c] * g[c] + (b[c] * minus(x[c], mean[c]) + e[c])


@kernel
def write_grad_strip(
    g: Any, x: Any, maps: Any, terms: Any, dx: Any, act: Any, slope: Any, row: Any
) -> None:
    """dx of the rows of a strip; `row` is scratch."""
    a, b, e = terms[0], terms[1], terms[2]
    for r in range(x.shape[0]):
        if act:
            gate_row(g[r], x[r], maps, act, slope, row)
            write_grad_row(row, x[r], dx[r], maps[0], a, b, e)
        else:
            write_grad_row(g[r], x[r], dx[r], maps[0], a, b, e)


@maker
def finish_grad(
    totals: Any,
    x: Any,
    k: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
) -> Any:
    """dgamma and dbeta of group k, and the factors of dx."""
    channels, width = low.size // x.shape[0], x.shape[2]
    n = x.shape[1] * width // channels
    at = k * channels
    terms = np.empty((3, width), x.dtype)
    for c in range(channels):
        i = at + c
        s0, s1 = totals[0, 0, c], totals[0, 1, c]
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        terms[0, c], terms[1, c], terms[2, c] = slopes(
            low[i], rstd[i], gamma[i % gamma.size], s0, s1, n, center
        )
    spread(terms, channels)
    return terms


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
    """dx, and dgamma and dbeta of every group; if `add`, h = g·act′(z) as well."""
    height, width = x.shape[1], x.shape[2]
    for k in range(x.shape[0]):
        strips = strips_of(x[k])
        maps = parameters(x, k, mean, low, rstd, gamma, beta)
        totals = np.zeros((strips, 2, width), np.float64)
        for t in prange(strips):
            lo, hi = height * t // strips, height * (t + 1) // strips
            gs, xs, sums = g[k, lo:hi], x[k, lo:hi], np.zeros((2, width), x.dtype)
            if add:
                hs = h[k, lo:hi]
                gate_strip(gs, xs, residual[k, lo:hi], maps, act, slope, hs)
                add_plain_strip(hs, xs, maps[0], sums, totals[t])
            elif act:
                row = np.empty(width, x.dtype)
                add_gated_strip(gs, xs, maps, act, slope, sums, row, totals[t])
            else:
                add_plain_strip(gs, xs, maps[0], sums, totals[t])
        merge(totals, mean.size // x.shape[0])
        terms = finish_grad(totals, x, k, low, rstd, gamma, center, dgamma, dbeta)
        for t in prange(strips):
            lo, hi = height * t // strips, height * (t + 1) // strips
            row, xs, out = np.empty(width, x.dtype), x[k, lo:hi], dx[k, lo:hi]
            if add:
                write_grad_strip(h[k, lo:hi], xs, maps, terms, out, 0, slope, row)
            else:
                write_grad_strip(g[k, lo:hi], xs, maps, terms, out, act, slope, row)
