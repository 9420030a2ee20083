"""Normalization of x of shape (G, R, W): statistics, map, and both.

A row of W numbers is one or more rows of C neighbouring channels; G is 1 for batch norm, the number
of groups for ghost batches, which have statistics of their own and share gamma and beta: statistic
i has the parameters i mod their number.

Rows are dealt to strips, how many depends on the shape alone: a strip is summed by one thread, and
strips are added in their order, so the number of threads leaves no trace. In a strip four rows are
summed at once, which saves most loads and stores of the running sums; they lie a quarter of the
strip apart, so that each of the four is a stream of neighbouring lines for the processor to
prefetch (four neighbouring rows took up to twice as long, a walk in reverse five times).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, maker
from .arithmetic import (
    RELU,
    affine,
    finish_statistics,
    is_far,
    minus,
    uncentred_statistics,
)

FIRST = 16
"""Rows whose mean is the shift of all sums."""
RUN = 64
"""Sums of four rows that follow one another in the dtype of x, before they go to float64."""
STRIPS = 16
PIECE = 1 << 15
"""Elements of a strip at least."""


@kernel
def strips_of(x: Any) -> Any:
    """How many strips (R, W) falls into."""
    return max(1, min(STRIPS, x.size // PIECE, x.shape[0]))


# ---------------------------------------------------------------------------------- statistics


@kernel
def add_rows(x0: Any, x1: Any, x2: Any, x3: Any, shift: Any, first: Any, second: Any) -> None:
    """Four rows added to Σ(x - shift) and Σ(x - shift)²."""
    for c in range(shift.size):
        s = shift[c]
        a, b, d, e = minus(x0[c], s), minus(x1[c], s), minus(x2[c], s), minus(x3[c], s)
        first[c] += (a + b) + (d + e)
        second[c] += (a * a + b * b) + (d * d + e * e)


@kernel
def add_row(x: Any, shift: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(shift.size):
        d = minus(x[c], shift[c])
        first[c] += d
        second[c] += d * d


@kernel
def flush(sums: Any, total: Any) -> None:
    """Sums in the dtype of x added to those in float64, and set to 0."""
    for c in range(sums.shape[1]):
        total[0, c] += sums[0, c]
        total[1, c] += sums[1, c]
        sums[0, c] = sums[1, c] = 0


@kernel
def add_strip(x: Any, shift: Any, sums: Any, total: Any) -> None:
    """The sums of the rows of a strip, in float64; `sums` is scratch, all 0."""
    first, second = sums[0], sums[1]
    q = x.shape[0] // 4
    for start in range(0, q, RUN):
        for r in range(start, min(start + RUN, q)):
            add_rows(x[r], x[r + q], x[r + 2 * q], x[r + 3 * q], shift, first, second)
        flush(sums, total)
    for r in range(4 * q, x.shape[0]):
        add_row(x[r], shift, first, second)
    flush(sums, total)


@kernel
def add_to(y: Any, residual: Any) -> None:
    """y + residual, in place."""
    for c in range(y.size):
        y[c] += residual[c]


@maker
def first_shift(x: Any, channels: Any, center: Any) -> Any:
    """For every place of a row the mean of its channel over the first rows, or 0."""
    shift = np.zeros(x.shape[1], x.dtype)
    if center:
        copies = x.shape[1] // channels
        n = min(max(1, FIRST // copies), x.shape[0])
        total, share = np.zeros(channels, np.float64), 1.0 / (n * copies)
        for r in range(n):
            for start in range(0, shift.size, channels):
                add_to(total, x[r, start : start + channels])
        for start in range(0, shift.size, channels):
            for c in range(channels):
                shift[start + c] = total[c] * share
    return shift


@kernel
def merge(totals: Any, channels: Any) -> None:
    """All strips added to the first, in order, and all places of a channel to its first."""
    for t in range(1, totals.shape[0]):
        for i in range(totals.shape[2]):
            totals[0, 0, i] += totals[t, 0, i]
            totals[0, 1, i] += totals[t, 1, i]
    for start in range(channels, totals.shape[2], channels):
        for c in range(channels):
            totals[0, 0, c] += totals[0, 0, start + c]
            totals[0, 1, c] += totals[0, 1, start + c]


@kernel
def move_shift(totals: Any, n: Any, channels: Any, shift: Any) -> bool:
    """Where a shift is far from the mean, make the mean the shift; whether any was."""
    far = False
    for c in range(channels):
        far = far or is_far(totals[0, 0, c], totals[0, 1, c], n)
    if far:
        for start in range(0, shift.size, channels):
            for c in range(channels):
                shift[start + c] += totals[0, 0, c] / n
    return far


@kernel
def finish(
    totals: Any, shift: Any, n: Any, center: Any, eps: Any, stats: Any, k: Any, channels: Any
) -> None:
    """The statistics of group k from its sums."""
    for c in range(channels):
        first, second, i = totals[0, 0, c], totals[0, 1, c], k * channels + c
        if center:
            finish_statistics(first, second, n, shift[c], eps, stats, i)
        else:
            uncentred_statistics(second, n, eps, stats, i)


@driver
def statistics(x: Any, center: Any, eps: Any, stats: Any) -> None:
    """Rows mean, low, var, rstd of `stats`, (4, G·C)."""
    channels = stats.shape[1] // x.shape[0]
    n = x.shape[1] * x.shape[2] // channels
    for k in range(x.shape[0]):
        rows, strips = x[k], strips_of(x[k])
        shift = first_shift(rows, channels, center)
        for again in range(2):
            totals = np.zeros((strips, 2, shift.size), np.float64)
            for t in prange(strips):
                part = rows[len(rows) * t // strips : len(rows) * (t + 1) // strips]
                add_strip(part, shift, np.zeros((2, shift.size), x.dtype), totals[t])
            merge(totals, channels)
            if again or not (center and move_shift(totals, n, channels, shift)):
                break
        finish(totals, shift, n, center, eps, stats, k, channels)


# ----------------------------------------------------------------------------------------- map


@kernel
def spread(rows: Any, channels: Any) -> None:
    """Repeat what the first channel places of each row hold over the rest of it."""
    for i in range(rows.shape[0]):
        for start in range(channels, rows.shape[1], channels):
            for c in range(channels):
                rows[i, start + c] = rows[i, c]


@maker
def parameters(x: Any, k: Any, mean: Any, low: Any, rstd: Any, gamma: Any, beta: Any) -> Any:
    """Rows mean, scale, offset of all places of a row of group k."""
    channels = mean.size // x.shape[0]
    at = k * channels
    maps = np.empty((3, x.shape[2]), x.dtype)
    for c in range(channels):
        maps[0, c], maps[1, c], maps[2, c] = affine(
            mean, low, rstd, gamma, beta, at + c, (at + c) % gamma.size, x
        )
    spread(maps, channels)
    return maps


@kernel
def write_row(x: Any, y: Any, mean: Any, scale: Any, offset: Any) -> None:
    """y = (x - mean)·scale + offset."""
    for c in range(mean.size):
        y[c] = minus(x[c], mean[c]) * scale[c] + offset[c]


@kernel
def activate(y: Any, act: Any, slope: Any) -> None:
    """relu or leaky_relu, in place; NaN stays."""
    zero = y.dtype.type(0)
    if act == RELU:
        for i in range(y.size):
            y[i] = zero if y[i] <= zero else y[i]
    else:
        below = y.dtype.type(slope)
        for i in range(y.size):
            y[i] = y[i] * below if y[i] <= zero else y[i]


@kernel
def write_strip(
    x: Any,
    t: Any,
    strips: Any,
    maps: Any,
    residual: Any,
    add: Any,
    y: Any,
    act: Any,
    slope: Any,
) -> None:
    """The output of strip t."""
    mean, scale, offset = maps[0], maps[1], maps[2]
    for r in range(x.shape[0] * t // strips, x.shape[0] * (t + 1) // strips):
        write_row(x[r], y[r], mean, scale, offset)
        if add:
            add_to(y[r], residual[r])
        if act:
            activate(y[r], act, slope)


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
    for k in range(x.shape[0]):
        strips = strips_of(x[k])
        maps = parameters(x, k, mean, low, rstd, gamma, beta)
        for t in prange(strips):
            write_strip(x[k], t, strips, maps, residual[k], add, y[k], act, slope)


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
    """`statistics` and `write` in one call.

    Their loops stand here again: over `prange` they run in parallel only in a driver itself.
    """
    channels = stats.shape[1] // x.shape[0]
    n = x.shape[1] * x.shape[2] // channels
    for k in range(x.shape[0]):
        rows, strips = x[k], strips_of(x[k])
        shift = first_shift(rows, channels, center)
        for again in range(2):
            totals = np.zeros((strips, 2, shift.size), np.float64)
            for t in prange(strips):
                part = rows[len(rows) * t // strips : len(rows) * (t + 1) // strips]
                add_strip(part, shift, np.zeros((2, shift.size), x.dtype), totals[t])
            merge(totals, channels)
            if again or not (center and move_shift(totals, n, channels, shift)):
                break
        finish(totals, shift, n, center, eps, stats, k, channels)
        maps = parameters(x, k, stats[0], stats[1], stats[3], gamma, beta)
        for t in prange(strips):
            write_strip(rows, t, strips, maps, residual[k], add, y[k], act, slope)
