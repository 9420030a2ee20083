"""Normalization of x of shape (G, N, C, L): each statistic is N runs of L neighbours in memory.

G is 1 for batch norm; ghost batches and instance norm have statistics for each of G groups, which
share gamma and beta: statistic i has the parameters i mod C. What a statistic is made of is read
from memory once if it fits the second-level cache: sums and map follow one another in the same
thread. How runs are dealt to threads: `bundles`. Runs are walked in chunks; the map walks the
images in reverse and finds the last ones in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .arithmetic import is_far, minus
from .bundles import bundle_maps, bundle_of, bundles_of, is_straight, room_beside, room_for
from .estimate import move
from .moments import store_centred, store_uncentred
from .slabs_map import write_channels
from .stream import CHUNK, SHORT


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
    old_mean: Any,
    old_var: Any,
    new_mean: Any,
    new_var: Any,
    tracked: Any,
    counted: Any,
    factor: Any,
    rate: Any,
    track: Any,
) -> bool:
    """y and the statistics, bundle by bundle; if `track`, the estimate as well, and what `move`
    says of it."""
    wide, count, straight = bundle_of(x), bundles_of(x), is_straight(x, y, y)
    flat = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    xs, rs, out = x.reshape(flat), residual.reshape(flat), y.reshape(flat)
    mean, low, rstd = stats[0], stats[1], stats[3]
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        shifts, totals = np.empty(wide, x.dtype), np.empty((wide, 2), np.float64)
        bundle_statistics(x, k, lo, hi, center, eps, stats, shifts, totals)
        maps, own = np.empty((wide, 3), x.dtype), np.empty((3, room_beside(x, straight)), x.dtype)
        buffer = np.empty(room_for(x, straight), x.dtype)
        bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
        write_channels(
            x, k, lo, hi, residual, add, xs, rs, out, maps, act, slope, straight, buffer, own
        )
    return track == 0 or move(
        old_mean, old_var, stats[0], stats[2], factor, rate, new_mean, new_var, tracked, counted
    )


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
    wide, count, straight = bundle_of(x), bundles_of(x), is_straight(x, y, y)
    flat = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    xs, rs, out = x.reshape(flat), residual.reshape(flat), y.reshape(flat)
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        maps, own = np.empty((wide, 3), x.dtype), np.empty((3, room_beside(x, straight)), x.dtype)
        buffer = np.empty(room_for(x, straight), x.dtype)
        bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
        write_channels(
            x, k, lo, hi, residual, add, xs, rs, out, maps, act, slope, straight, buffer, own
        )
