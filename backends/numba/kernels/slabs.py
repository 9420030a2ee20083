"""Normalization of x of shape (G, N, C, L): each statistic is N runs of L neighbours in memory.

G is 1 for batch norm; ghost batches and instance norm have statistics for each of G groups, which
share gamma and beta: statistic i has the parameters i mod C. What a statistic is made of is read
from memory once if it fits the second-level cache: sums and map follow one another in the same
thread. Short runs of neighbouring channels are walked side by side, as one `bundle`, for memory
gives long stretches faster: (32, 256, 14, 14) took twice as long by channels of 784 bytes an image.
Runs are walked in chunks; the map walks the images in reverse and finds the last ones in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, walk
from .arithmetic import RELU, affine, is_far, minus
from .moments import store_centred, store_uncentred
from .stream import CHUNK, SHORT, is_large, settle, store

STRETCH = 3072
"""Neighbouring numbers that memory is asked for at least, where there are channels enough."""
BUNDLES = 16
"""Bundles at least, for threads to share."""


@walk
def bundle_of(x: Any) -> Any:
    """How many neighbouring channels are walked side by side; it depends on the shape alone."""
    channels, length = x.shape[2], x.shape[3]
    few = (x.shape[0] * channels + BUNDLES - 1) // BUNDLES
    return max(1, min((STRETCH + length - 1) // length, few, channels))


@walk
def bundles_of(x: Any) -> Any:
    """How many bundles a group has."""
    return (x.shape[2] + bundle_of(x) - 1) // bundle_of(x)


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
def add_run(row: Any, shift: Any, totals: Any) -> None:
    """The sums of a run added to `totals`."""
    for i in range(0, row.size, SHORT):
        a, b = sums(row[i : i + SHORT], shift)
        totals[0] += a
        totals[1] += b


@kernel
def first_shift(row: Any, center: Any) -> Any:
    """The mean of the first chunk, or 0."""
    total, n = np.float64(0), min(row.size, CHUNK)
    if center:
        for i in range(n):
            total += row[i]
    return row.dtype.type(total / n)


@kernel
def bundle_statistics(
    x: Any, k: Any, lo: Any, hi: Any, center: Any, eps: Any, stats: Any, shifts: Any, totals: Any
) -> None:
    """Mean, low, var, rstd of channels lo to hi of group k; shifts and totals are scratch."""
    size, at = x.shape[1] * x.shape[3], k * x.shape[2]
    for c in range(lo, hi):
        shifts[c - lo] = first_shift(x[k, 0, c], center)
        totals[c - lo, 0] = totals[c - lo, 1] = 0
    for n in range(x.shape[1]):
        for c in range(lo, hi):
            add_run(x[k, n, c], shifts[c - lo], totals[c - lo])
    for c in range(lo, hi):
        total, shift, i = totals[c - lo], shifts[c - lo], at + c
        if not center:
            store_uncentred(total[1], size, eps, stats, i)
            continue
        if is_far(total[0], total[1], size):
            shift = x.dtype.type(shift + total[0] / size)
            total[:] = 0
            for n in range(x.shape[1]):
                add_run(x[k, n, c], shift, total)
        store_centred(total[0], total[1], size, shift, eps, stats, i)


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


@walk
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
def bundle_maps(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    maps: Any,
) -> None:
    """Rows mean, scale, offset of channels lo to hi of group k."""
    for c in range(lo, hi):
        i = k * x.shape[2] + c
        maps[c - lo, 0], maps[c - lo, 1], maps[c - lo, 2] = affine(
            mean, low, rstd, gamma, beta, i, i % gamma.size, x
        )


@walk
def piece_of(x: Any) -> Any:
    """How much of a run is written at once: all of it where several lie side by side."""
    return x.shape[3] if bundle_of(x) > 1 else min(CHUNK, x.shape[3])


@walk
def room_for(x: Any, out: Any) -> Any:
    """Elements of a buffer for what is written at once; none where results stay in the caches."""
    return bundle_of(x) * piece_of(x) if is_large(out) else 0


@walk
def write_bundle(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    y: Any,
    maps: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> None:
    """The output of channels lo to hi of group k, last image first; y is (G, N, C·L).

    Neighbouring runs go past the caches together: the lines that they share would be written
    twice.
    """
    length, step, past = x.shape[3], piece_of(x), buffer.size > 0
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for start in range(0, length, step):
            size = min(step, length - start)
            out = y[k, n, lo * length + start : (hi - 1) * length + start + size]
            target = buffer[: out.size] if past else out
            for c in range(lo, hi):
                xs, rs = x[k, n, c, start : start + size], residual[k, n, c, start : start + size]
                part = target[(c - lo) * size : (c - lo + 1) * size]
                mean, scale, offset = maps[c - lo, 0], maps[c - lo, 1], maps[c - lo, 2]
                write_run(xs, part, mean, scale, offset, rs, add, act, slope)
            if past:
                store(target, out)
    if past:
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
    """y and the statistics, bundle by bundle."""
    wide, count, room = bundle_of(x), bundles_of(x), room_for(x, y)
    flat = y.reshape(y.shape[0], y.shape[1], y.shape[2] * y.shape[3])
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        shifts, totals = np.empty(wide, x.dtype), np.empty((wide, 2), np.float64)
        maps = np.empty((wide, 3), x.dtype)
        bundle_statistics(x, k, lo, hi, center, eps, stats, shifts, totals)
        bundle_maps(x, k, lo, hi, stats[0], stats[1], stats[3], gamma, beta, maps)
        buffer = np.empty(room, x.dtype)
        write_bundle(x, k, lo, hi, residual, add, flat, maps, act, slope, buffer)


@driver
def statistics(x: Any, center: Any, eps: Any, stats: Any) -> None:
    """Mean, low, var, rstd of every slab: rows of `stats`."""
    wide, count = bundle_of(x), bundles_of(x)
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        shifts, totals = np.empty(wide, x.dtype), np.empty((wide, 2), np.float64)
        bundle_statistics(x, k, lo, hi, center, eps, stats, shifts, totals)


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
    wide, count, room = bundle_of(x), bundles_of(x), room_for(x, y)
    flat = y.reshape(y.shape[0], y.shape[1], y.shape[2] * y.shape[3])
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        maps, buffer = np.empty((wide, 3), x.dtype), np.empty(room, x.dtype)
        bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
        write_bundle(x, k, lo, hi, residual, add, flat, maps, act, slope, buffer)
