"""Normalization of x of shape (G, N, C, L): each statistic is N runs of L neighbours in memory.

G is 1 for batch norm; ghost batches and instance norm have statistics for each of G groups, which
share gamma and beta: statistic i has the parameters i mod C. What a statistic is made of is read
from memory once if it fits the second-level cache: sums and map follow one another in the same
thread. Runs are walked in chunks; the map walks them in reverse and finds the last ones in the
first-level cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .arithmetic import (
    RELU,
    affine,
    finish_statistics,
    is_far,
    minus,
    slopes,
    uncentred_statistics,
)
from .rows import activate, add_to

CHUNK = 1024
"""Terms of a sum in the dtype of x: a few dozen for each lane of a vector register."""


@kernel
def sums(row: Any, shift: Any) -> Any:
    """Σ(x - shift) and Σ(x - shift)² of a chunk."""
    first = second = row.dtype.type(0)
    for i in range(row.size):
        d = minus(row[i], shift)
        first += d
        second += d * d
    return first, second


@kernel
def slab_sums(x: Any, shift: Any) -> Any:
    """Σ(x - shift) and Σ(x - shift)² of a slab (N, L)."""
    first = second = 0.0
    for n in range(x.shape[0]):
        for i in range(0, x.shape[1], CHUNK):
            a, b = sums(x[n, i : i + CHUNK], shift)
            first += a
            second += b
    return first, second


@kernel
def slab_statistics(x: Any, center: Any, eps: Any, stats: Any, c: Any) -> None:
    """Mean, low, var, rstd of a slab (N, L)."""
    zero = x.dtype.type(0)
    n = x.shape[0] * x.shape[1]
    if not center:
        _, second = slab_sums(x, zero)
        uncentred_statistics(second, n, eps, stats, c)
        return
    start = x[0, :CHUNK]
    first, second = sums(start, zero)
    shift = x.dtype.type(first / start.size)
    first, second = slab_sums(x, shift)
    if is_far(first, second, n):
        shift = x.dtype.type(shift + first / n)
        first, second = slab_sums(x, shift)
    finish_statistics(first, second, n, shift, eps, stats, c)


@kernel
def write_run(x: Any, y: Any, mean: Any, scale: Any, offset: Any) -> None:
    """y = (x - mean)·scale + offset of a chunk."""
    for i in range(x.size):
        y[i] = minus(x[i], mean) * scale + offset


@kernel
def write_slab(
    x: Any,
    residual: Any,
    add: Any,
    y: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
) -> None:
    """The output of a slab (N, L), its last run first."""
    for m in range(x.shape[0]):
        n = x.shape[0] - 1 - m
        for i in range(0, x.shape[1], CHUNK):
            hi = x.shape[1] - i
            lo = hi - min(CHUNK, hi)
            part = y[n, lo:hi]
            write_run(x[n, lo:hi], part, mean, scale, offset)
            if add:
                add_to(part, residual[n, lo:hi])
            if act:
                activate(part, act, slope)


@driver
def forward(
    x: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    add: Any,
    y: Any,
    stats: Any,
    center: Any,
    eps: Any,
    act: Any,
    slope: Any,
) -> None:
    """y and the statistics, slab by slab."""
    channels = x.shape[2]
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        slab = x[k, :, c]
        slab_statistics(slab, center, eps, stats, i)
        centre, scale, offset = affine(
            stats[0], stats[1], stats[3], gamma, beta, i, i % gamma.size, x
        )
        write_slab(slab, residual[k, :, c], add, y[k, :, c], centre, scale, offset, act, slope)


@driver
def statistics(x: Any, center: Any, eps: Any, stats: Any) -> None:
    """Mean, low, var, rstd of every slab: rows of `stats`."""
    channels = x.shape[2]
    for i in prange(x.shape[0] * channels):
        slab_statistics(x[i // channels, :, i % channels], center, eps, stats, i)


@driver
def write(
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    add: Any,
    y: Any,
    act: Any,
    slope: Any,
) -> None:
    """y = act((x - mean)·rstd·gamma + beta + residual)."""
    channels = x.shape[2]
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        write_slab(
            x[k, :, c], residual[k, :, c], add, y[k, :, c], centre, scale, offset, act, slope
        )


# ------------------------------------------------------------------------------------ gradient


@kernel
def grad_sums(g: Any, x: Any, mean: Any) -> Any:
    """Σ g and Σ g·(x - mean) of a chunk."""
    first = second = x.dtype.type(0)
    for i in range(x.size):
        first += g[i]
        second += g[i] * minus(x[i], mean)
    return first, second


@kernel
def gate_run(
    g: Any, x: Any, mean: Any, scale: Any, offset: Any, act: Any, slope: Any, h: Any
) -> None:
    """h = g·act′(z) of a chunk."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        h[i] = g[i] if z > zero else (zero if relu else g[i] * below)


@kernel
def slab_grad_sums(
    g: Any, x: Any, mean: Any, scale: Any, offset: Any, act: Any, slope: Any, buffer: Any
) -> Any:
    """Σ h and Σ h·(x - mean) of a slab (N, L), h = g·act′."""
    s0 = s1 = 0.0
    for n in range(x.shape[0]):
        for i in range(0, x.shape[1], CHUNK):
            gs, xs = g[n, i : i + CHUNK], x[n, i : i + CHUNK]
            if act:
                h = buffer[: xs.size]
                gate_run(gs, xs, mean, scale, offset, act, slope, h)
                p, q = grad_sums(h, xs, mean)
            else:
                p, q = grad_sums(gs, xs, mean)
            s0 += p
            s1 += q
    return s0, s1


@kernel
def write_grad_run(g: Any, x: Any, dx: Any, mean: Any, a: Any, b: Any, e: Any) -> None:
    """dx = a·g + b·(x - mean) + e of a chunk."""
    for i in range(x.size):
        dx[i] = a * g[i] + (b * minus(x[i], mean) + e)


@kernel
def write_grad_slab(
    g: Any,
    x: Any,
    dx: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    a: Any,
    b: Any,
    e: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> None:
    """dx of a slab (N, L), its last run first."""
    for m in range(x.shape[0]):
        n = x.shape[0] - 1 - m
        for i in range(0, x.shape[1], CHUNK):
            hi = x.shape[1] - i
            lo = hi - min(CHUNK, hi)
            gs, xs = g[n, lo:hi], x[n, lo:hi]
            if act:
                h = buffer[: hi - lo]
                gate_run(gs, xs, mean, scale, offset, act, slope, h)
                write_grad_run(h, xs, dx[n, lo:hi], mean, a, b, e)
            else:
                write_grad_run(gs, xs, dx[n, lo:hi], mean, a, b, e)


@driver
def backward(
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    dx: Any,
    dgamma: Any,
    dbeta: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dx, and dgamma and dbeta of every slab."""
    channels, size = x.shape[2], x.shape[1] * x.shape[3]
    number = x.dtype.type
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        gs, xs, out = g[k, :, c], x[k, :, c], dx[k, :, c]
        buffer = np.empty(CHUNK, x.dtype)
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        s0, s1 = slab_grad_sums(gs, xs, centre, scale, offset, act, slope, buffer)
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        p, q, r = slopes(low[i], rstd[i], gamma[i % gamma.size], s0, s1, size, center)
        a, b, e = number(p), number(q), number(r)
        write_grad_slab(gs, xs, out, centre, scale, offset, a, b, e, act, slope, buffer)


@kernel
def gate_residual_run(
    g: Any,
    x: Any,
    residual: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    relu: Any,
    below: Any,
    zero: Any,
    h: Any,
) -> None:
    """h = g·act′(z) of a run, z with its residual."""
    for j in range(g.size):
        z = minus(x[j], mean) * scale + offset + residual[j]
        h[j] = g[j] if z > zero else (zero if relu else g[j] * below)


@driver
def gate(
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    h: Any,
    act: Any,
    slope: Any,
) -> None:
    """h = g·act′(z), z = (x - mean)·rstd·gamma + beta + residual."""
    channels = x.shape[2]
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        for n in range(x.shape[1]):
            gate_residual_run(
                g[k, n, c],
                x[k, n, c],
                residual[k, n, c],
                centre,
                scale,
                offset,
                relu,
                below,
                zero,
                h[k, n, c],
            )
