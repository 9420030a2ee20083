"""Normalization of x of shape (N, C, L): each channel is N runs of L neighbours in memory.

A channel whose run of data fits the second-level cache is read from memory once: statistics and
map follow one another in the same thread. Its runs are walked in chunks; the map walks them in
reverse and finds the last ones in the first-level cache.
"""

from __future__ import annotations

from typing import Any

from numba import prange

from ..compiler import driver, kernel
from .arithmetic import (
    RELU,
    affine,
    finish_statistics,
    is_far,
    minus,
    slopes,
)

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
def channel_sums(x: Any, c: Any, shift: Any) -> Any:
    """Σ(x - shift) and Σ(x - shift)² of a channel."""
    first = second = 0.0
    for n in range(x.shape[0]):
        for i in range(0, x.shape[2], CHUNK):
            a, b = sums(x[n, c, i : i + CHUNK], shift)
            first += a
            second += b
    return first, second


@kernel
def channel_statistics(x: Any, c: Any, center: Any, eps: Any, stats: Any) -> None:
    """Mean, low, var, rstd of a channel."""
    zero = x.dtype.type(0)
    n = x.shape[0] * x.shape[2]
    if not center:
        first, second = channel_sums(x, c, zero)
        finish_statistics(0.0, second, n, zero, eps, stats, c)
        return
    start = x[0, c, :CHUNK]
    first, second = sums(start, zero)
    shift = zero + first / start.size
    first, second = channel_sums(x, c, shift)
    if is_far(first, second, n):
        shift = x.dtype.type(shift + first / n)
        first, second = channel_sums(x, c, shift)
    finish_statistics(first, second, n, shift, eps, stats, c)


@kernel
def write_run(x: Any, residual: Any, y: Any, mean: Any, scale: Any, offset: Any) -> None:
    """y = (x - mean)·scale + offset + residual of a run."""
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        if residual is not None:
            z += residual[i]
        y[i] = z


@kernel
def activate(y: Any, act: Any, slope: Any) -> None:
    """relu or leaky_relu of a run, in place; NaN stays."""
    zero = y.dtype.type(0)
    if act == RELU:
        for i in range(y.size):
            y[i] = zero if y[i] <= zero else y[i]
    else:
        number = y.dtype.type(slope)
        for i in range(y.size):
            y[i] = y[i] * number if y[i] <= zero else y[i]


@kernel
def write_channel(
    x: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    stats: Any,
    y: Any,
    c: Any,
    n: Any,
    act: Any,
    slope: Any,
) -> None:
    """The output of run n of a channel."""
    mean, scale, offset = affine(stats, gamma, beta, c, x)
    length = x.shape[2]
    for i in range(0, length, CHUNK):
        lo = length - i - min(CHUNK, length - i)
        hi = length - i
        part = y[n, c, lo:hi]
        if residual is None:
            write_run(x[n, c, lo:hi], None, part, mean, scale, offset)
        else:
            write_run(x[n, c, lo:hi], residual[n, c, lo:hi], part, mean, scale, offset)
        if act:
            activate(part, act, slope)


@driver
def forward(
    x: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    y: Any,
    stats: Any,
    center: Any,
    eps: Any,
    act: Any,
    slope: Any,
) -> None:
    """y and the statistics, channel by channel."""
    for c in prange(x.shape[1]):
        channel_statistics(x, c, center, eps, stats)
        for i in range(x.shape[0]):
            n = x.shape[0] - 1 - i
            write_channel(x, gamma, beta, residual, stats, y, c, n, act, slope)


@kernel
def grad_sums(g: Any, x: Any, mean: Any, scale: Any, offset: Any, act: Any, slope: Any) -> Any:
    """Σ h and Σ h·(x - mean) of a chunk, h = g·act′."""
    zero = x.dtype.type(0)
    first = second = zero
    if act == 0:
        for i in range(x.size):
            first += g[i]
            second += g[i] * minus(x[i], mean)
    else:
        relu, below = act == RELU, x.dtype.type(slope)
        for i in range(x.size):
            d = minus(x[i], mean)
            h = g[i] if d * scale + offset > zero else (zero if relu else g[i] * below)
            first += h
            second += h * d
    return first, second


@kernel
def write_grad(
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
) -> None:
    """dx = a·h + b·(x - mean) + e of a chunk."""
    if act == 0:
        for i in range(x.size):
            dx[i] = a * g[i] + (b * minus(x[i], mean) + e)
    else:
        zero = x.dtype.type(0)
        relu, below = act == RELU, x.dtype.type(slope)
        for i in range(x.size):
            d = minus(x[i], mean)
            h = g[i] if d * scale + offset > zero else (zero if relu else g[i] * below)
            dx[i] = a * h + (b * d + e)


@driver
def backward(
    g: Any,
    x: Any,
    stats: Any,
    gamma: Any,
    beta: Any,
    dx: Any,
    dgamma: Any,
    dbeta: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dx, dgamma and dbeta, channel by channel."""
    length = x.shape[2]
    for c in prange(x.shape[1]):
        mean, scale, offset = affine(stats, gamma, beta, c, x)
        s0 = s1 = 0.0
        for n in range(x.shape[0]):
            for i in range(0, length, CHUNK):
                p, q = grad_sums(
                    g[n, c, i : i + CHUNK], x[n, c, i : i + CHUNK], mean, scale, offset, act, slope
                )
                s0 += p
                s1 += q
        s1 -= stats[1, c] * s0
        dgamma[c] = s1 * stats[3, c]
        dbeta[c] = s0
        a, b, e = slopes(stats, gamma, s0, s1, x.shape[0] * length, center, c, x)
        for m in range(x.shape[0]):
            n = x.shape[0] - 1 - m
            for i in range(0, length, CHUNK):
                hi = length - i
                lo = hi - min(CHUNK, hi)
                write_grad(
                    g[n, c, lo:hi],
                    x[n, c, lo:hi],
                    dx[n, c, lo:hi],
                    mean,
                    scale,
                    offset,
                    a,
                    b,
                    e,
                    act,
                    slope,
                )
