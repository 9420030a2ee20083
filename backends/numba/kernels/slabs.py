"""Normalization of x of shape (G, N, C, L): each statistic is N runs of L neighbours in memory.

G is 1 for batch norm; ghost batches and instance norm have statistics for each of G groups, which
share gamma and beta: statistic i has the parameters i mod C. What a statistic is made of is read
from memory once if it fits the second-level cache: sums and map follow one another in the same
thread. Runs are walked in chunks; the map walks them in reverse and finds the last ones in the
first-level cache.
"""

from __future__ import annotations

from collections.abc import Iterator
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
    first = second = 0.0
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
    start = x[k, 0, c, :CHUNK]
    first, second = sums(start, zero)
    shift = x.dtype.type(first / start.size)
    first, second = slab_sums(x, k, c, shift)
    if is_far(first, second, n):
        shift = x.dtype.type(shift + first / n)
        first, second = slab_sums(x, k, c, shift)
    finish_statistics(first, second, n, shift, eps, stats, i)


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
    for i in range(x.size):
        y[i] = minus(x[i], mean) * scale + offset
    if add:
        add_to(y, residual)
    if act:
        activate(y, act, slope)


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
    g: Any,
    x: Any,
    k: Any,
    c: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> Any:
    """Σ h and Σ h·(x - mean) of channel c of group k, h = g·act′."""
    s0 = s1 = 0.0
    for n in range(x.shape[1]):
        for i in range(0, x.shape[3], CHUNK):
            gs, xs = g[k, n, c, i : i + CHUNK], x[k, n, c, i : i + CHUNK]
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
    k: Any,
    c: Any,
    dx: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    a: Any,
    b: Any,
    e: Any,
    act: Any,
    slope: Any,
    gates: Any,
    buffer: Any,
) -> None:
    """dx of channel c of group k, its last run first, past the caches by a buffer."""
    large = buffer.size > 0
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for lo in range(0, x.shape[3], CHUNK):
            hi = min(lo + CHUNK, x.shape[3])
            gs, xs, out = g[k, n, c, lo:hi], x[k, n, c, lo:hi], dx[k, n, c, lo:hi]
            if act:
                gate_run(gs, xs, mean, scale, offset, act, slope, gates[: hi - lo])
                gs = gates[: hi - lo]
            if large:
                write_grad_run(gs, xs, buffer[: hi - lo], mean, a, b, e)
                store(buffer, out)
            else:
                write_grad_run(gs, xs, out, mean, a, b, e)
    if large:
        settle()


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
    channels, size, large = x.shape[2], x.shape[1] * x.shape[3], is_large(x)
    number = x.dtype.type
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        gates, buffer = np.empty(CHUNK, x.dtype), np.empty(CHUNK if large else 0, x.dtype)
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        s0, s1 = slab_grad_sums(g, x, k, c, centre, scale, offset, act, slope, gates)
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        p, q, r = slopes(low[i], rstd[i], gamma[i % gamma.size], s0, s1, size, center)
        a, b, e = number(p), number(q), number(r)
        write_grad_slab(g, x, k, c, dx, centre, scale, offset, a, b, e, act, slope, gates, buffer)


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


# -------------------------------------------------------------------------------------- examples

_SHAPES = (((1, 7, 5, 33), 0), ((2, 3, 4, 1030), 1))


@forward.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for shape, act in _SHAPES:
        x = rng.standard_normal(shape).astype(dtype)
        gamma, beta = rng.standard_normal((2, shape[2])).astype(dtype)
        stats = np.zeros((4, shape[0] * shape[2]), dtype)
        yield x, gamma, beta, x.copy(), act, np.zeros_like(x), stats, 1, 1e-5, act, 0.0


@statistics.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for shape, _ in _SHAPES:
        x = rng.standard_normal(shape).astype(dtype)
        yield x, 1, 1e-5, np.zeros((4, shape[0] * shape[2]), dtype)


@write.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    x = rng.standard_normal((1, 3, 4, 1030)).astype(dtype)
    vectors = rng.random((5, 4)).astype(dtype)
    yield x, *vectors, x.copy(), 1, np.zeros_like(x), 2, 0.1


@backward.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for shape, act in _SHAPES:
        g, x = rng.standard_normal((2, *shape)).astype(dtype)
        mean, low, rstd = rng.random((3, shape[0] * shape[2])).astype(dtype)
        gamma, beta = rng.standard_normal((2, shape[2])).astype(dtype)
        sums = np.zeros((2, mean.size), dtype)
        yield g, x, mean, low, rstd, gamma, beta, np.zeros_like(x), *sums, 1, act, 0.1


@gate.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    g, x = rng.standard_normal((2, 1, 3, 4, 1030)).astype(dtype)
    vectors = rng.random((5, 4)).astype(dtype)
    yield g, x, *vectors, x.copy(), np.zeros_like(x), 1, 0.0
