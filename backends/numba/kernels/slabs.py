"""Normalization of x of shape (G, N, C, L): each statistic is N runs of L neighbours in memory.

G is 1 for batch norm; ghost batches and instance norm have statistics for each of G groups, which
share gamma and beta: statistic i has the parameters i mod C. What a statistic is made of is read
from memory once if it fits the second-level cache: sums and map follow one another in the same
thread. How runs are dealt to threads: `bundles`. The map walks the images in reverse and finds the
last ones in the cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver
from .bundles import (
    bundle_maps,
    bundle_of,
    bundles_of,
    claims_of,
    is_straight,
    room_for,
    rows_for,
    take,
)
from .estimate import move
from .slabs_map import write_bundle
from .slabs_statistics import bundle_statistics
from .stream import is_large, settle


@driver
def forward(
    workers: Any,
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
    wide, count, length = bundle_of(x), bundles_of(x), x.shape[3]
    straight = is_straight(x, y, y)
    flat = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    xs, rs, out = x.reshape(flat), residual.reshape(flat), y.reshape(flat)
    mean, low, rstd = stats[0], stats[1], stats[3]
    claims = claims_of(x)
    for w in prange(workers):
        shifts, totals = np.empty(wide, x.dtype), np.empty((2, wide), np.float64)
        maps, buffer = np.empty((3, wide), x.dtype), np.empty(room_for(x, straight), x.dtype)
        rows = rows_for(x, 3)
        for i in range(x.shape[0] * count):
            k, lo, hi = take(x, claims, wide, count, workers, w, i)
            if lo == hi:
                continue
            bundle_statistics(xs, k, lo, hi, length, center, eps, stats, shifts, totals, rows)
            bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
            write_bundle(
                xs, k, lo, hi, length, rs, add, out, maps, rows, act, slope, straight, buffer
            )
        settle(is_large(x))
    return track == 0 or move(
        old_mean, old_var, stats[0], stats[2], factor, rate, new_mean, new_var, tracked, counted
    )


@driver
def statistics(workers: Any, x: Any, center: Any, eps: Any, stats: Any) -> None:
    """Mean, low, var, rstd of every slab: rows of `stats`."""
    wide, count, length = bundle_of(x), bundles_of(x), x.shape[3]
    xs = x.reshape((x.shape[0], x.shape[1], x.shape[2] * length))
    claims = claims_of(x)
    for w in prange(workers):
        shifts, totals = np.empty(wide, x.dtype), np.empty((2, wide), np.float64)
        rows = rows_for(x, 3)
        for i in range(x.shape[0] * count):
            k, lo, hi = take(x, claims, wide, count, workers, w, i)
            if lo == hi:
                continue
            bundle_statistics(xs, k, lo, hi, length, center, eps, stats, shifts, totals, rows)


@driver
def write(
    workers: Any,
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
    wide, count, length = bundle_of(x), bundles_of(x), x.shape[3]
    straight = is_straight(x, y, y)
    flat = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    xs, rs, out = x.reshape(flat), residual.reshape(flat), y.reshape(flat)
    claims = claims_of(x)
    for w in prange(workers):
        maps, buffer = np.empty((3, wide), x.dtype), np.empty(room_for(x, straight), x.dtype)
        rows = rows_for(x, 3)
        for i in range(x.shape[0] * count):
            k, lo, hi = take(x, claims, wide, count, workers, w, i)
            if lo == hi:
                continue
            bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
            write_bundle(
                xs, k, lo, hi, length, rs, add, out, maps, rows, act, slope, straight, buffer
            )
        settle(is_large(x))
