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
    uncentred_statistics,
)
from .stream import CHUNK, is_large, settle, store

# A chunk is also what is summed in the dtype of x: a few dozen terms for each lane of a vector.


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
def slab_sums(x: Any, k: Any, c: Any, shift: Any) -> Any:
    """Σ(x - shift) and Σ(x - shift)² of channel c of group k."""
    first = second = np.float64(0)
    for n in range(x.shape[1]):
        for i in range(0, x.shape[3], CHUNK):
            a, b = sums(x[k, n, c, i : i + CHUNK], shift)
            first += a
            second += b
    return first, second


@kernel
def slab_statistics(x: Any, k: Any, c: Any, center: Any, eps: Any, stats: Any) -> None:
    """Mean, low, var, rstd of channel c of group k."""
    zero = x.dtype.type(0)
    n, i = x.shape[1] * x.shape[3], k * x.shape[2] + c
    if not center:
        _, second = slab_sums(x, k, c, zero)
        uncentred_statistics(second, n, eps, stats, i)
        return
    start, total = x[k, 0, c, :CHUNK], np.float64(0)
    for m in range(start.size):
        total += start[m]
    shift = x.dtype.type(total / start.size)
    first, second = slab_sums(x, k, c, shift)
    if is_far(first, second, n):
        shift = x.dtype.type(shift + first / n)
        first, second = slab_sums(x, k, c, shift)
    finish_statistics(first, second, n, shift, eps, stats, i)


@kernel
def write_plain(x: Any, y: Any, mean: Any, scale: Any, offset: Any) -> None:
    """(x - mean)·scale + offset of a chunk."""
    for i in range(x.size):
        y[i] = minus(x[i], mean) * scale + offset


@kernel
def write_active(x: Any, y: Any, mean: Any, scale: Any, offset: Any, relu: Any, below: Any) -> None:
    """The same through relu or leaky_relu; NaN stays."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        y[i] = (zero if relu else z * below) if z <= zero else z


@kernel
def write_sum(
    x: Any, residual: Any, y: Any, mean: Any, scale: Any, offset: Any, relu: Any, below: Any
) -> None:
    """The same of the sum with a residual."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset + residual[i]
        y[i] = (zero if relu else z * below) if z <= zero else z


@kernel
def write_run(
    x: Any,
    y: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    residual: Any,
    add: Any,
    act: Any,
    slope: Any,
) -> None:
    """act((x - mean)·scale + offset + residual) of a chunk."""
    number = x.dtype.type
    below = number(slope) if act else number(1)
    if add:
        write_sum(x, residual, y, mean, scale, offset, act == RELU, below)
    elif act:
        write_active(x, y, mean, scale, offset, act == RELU, below)
    else:
        write_plain(x, y, mean, scale, offset)


@kernel
def write_slab(
    x: Any,
    k: Any,
    c: Any,
    residual: Any,
    add: Any,
    y: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> None:
    """The output of channel c of group k, its last run first, past the caches by a buffer."""
    large = buffer.size > 0
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for lo in range(0, x.shape[3], CHUNK):
            hi = min(lo + CHUNK, x.shape[3])
            xs, rs, out = x[k, n, c, lo:hi], residual[k, n, c, lo:hi], y[k, n, c, lo:hi]
            if large:
                write_run(xs, buffer[: hi - lo], mean, scale, offset, rs, add, act, slope)
                store(buffer, out)
            else:
                write_run(xs, out, mean, scale, offset, rs, add, act, slope)
    if large:
        settle()


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
    channels, large = x.shape[2], is_large(x)
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        slab_statistics(x, k, c, center, eps, stats)
        centre, scale, offset = affine(
            stats[0], stats[1], stats[3], gamma, beta, i, i % gamma.size, x
        )
        buffer = np.empty(CHUNK if large else 0, x.dtype)
        write_slab(x, k, c, residual, add, y, centre, scale, offset, act, slope, buffer)


@driver
def statistics(x: Any, center: Any, eps: Any, stats: Any) -> None:
    """Mean, low, var, rstd of every slab: rows of `stats`."""
    channels = x.shape[2]
    for i in prange(x.shape[0] * channels):
        slab_statistics(x, i // channels, i % channels, center, eps, stats)


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
    channels, large = x.shape[2], is_large(x)
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        buffer = np.empty(CHUNK if large else 0, x.dtype)
        write_slab(x, k, c, residual, add, y, centre, scale, offset, act, slope, buffer)
