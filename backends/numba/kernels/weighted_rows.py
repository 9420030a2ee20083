"""Normalization of weighted x of shape (G, R, W): statistics and map.

Rows and groups are as `layout.Form` has them: a row of W numbers is one or more rows of C
neighbouring channels, and statistic i has the parameters i mod their number. The weights w are
(G, R, V): V = W/C, one for every row of channels, or V = W, one for every number.

What has no weight counts for nothing in the statistics, whatever it holds. With mere weights it is
normalised all the same; with a mask (`masked`) it is padding, where y is 0.

Rows are dealt to strips, how many depends on the shape alone: a strip is summed by one thread, and
strips are added in their order, so the number of threads leaves no trace.
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
"""Rows with a weight whose mean is the shift of all sums."""
RUN = 64
"""Rows that are summed in the dtype of x, before the sums go to float64."""
STRIPS = 16
PIECE = 1 << 15
"""Elements of a strip at least."""


@kernel
def strips_of(x: Any) -> Any:
    """How many strips (R, W) falls into."""
    return max(1, min(STRIPS, x.size // PIECE, x.shape[0]))


@kernel
def begin_of(x: Any, t: Any, strips: Any) -> Any:
    """The first row of strip t of (R, W)."""
    return x.shape[0] * t // strips


@kernel
def floor_of(x: Any, masked: Any) -> Any:
    """The weight up to which there is padding."""
    return x.dtype.type(0.0 if masked else -np.inf)


@kernel
def has_weight(w: Any) -> bool:
    """Whether a row counts at all."""
    found = False
    for i in range(w.size):
        found = found or w[i] > 0
    return found


@kernel
def spread_weights(w: Any, row: Any) -> None:
    """Each weight of a row for all the numbers of which it is the weight."""
    places = row.size // w.size
    if places == 1:
        for i in range(w.size):
            row[i] = w[i]
    else:
        for i in range(w.size):
            for c in range(i * places, (i + 1) * places):
                row[c] = w[i]


@kernel
def repeat_channels(rows: Any, channels: Any) -> None:
    """Repeat what the first channel places of each row hold over the rest of it."""
    for i in range(rows.shape[0]):
        for start in range(channels, rows.shape[1], channels):
            for c in range(channels):
                rows[i, start + c] = rows[i, c]


@kernel
def collect(sums: Any, total: Any) -> None:
    """Two rows of sums in the dtype of x added to those in float64, and set to 0."""
    for c in range(sums.shape[1]):
        total[0, c] += sums[0, c]
        total[1, c] += sums[1, c]
        sums[0, c] = sums[1, c] = 0


@kernel
def add_strips(totals: Any, channels: Any) -> None:
    """All strips added to the first, in order, and all places of a channel to its first."""
    for t in range(1, totals.shape[0]):
        for i in range(totals.shape[2]):
            totals[0, 0, i] += totals[t, 0, i]
            totals[0, 1, i] += totals[t, 1, i]
    for start in range(channels, totals.shape[2], channels):
        for c in range(channels):
            totals[0, 0, c] += totals[0, 0, start + c]
            totals[0, 1, c] += totals[0, 1, start + c]


# ---------------------------------------------------------------------------------- statistics


@kernel
def add_first_row(x: Any, w: Any, channels: Any, sums: Any) -> None:
    """A row added to Σw and Σ w·x of each channel, what has no weight left out."""
    for start in range(0, x.size, channels):
        for c in range(channels):
            if w[start + c] > 0:
                sums[0, c] += w[start + c]
                sums[1, c] += np.float64(w[start + c]) * x[start + c]


@maker
def first_mean(x: Any, w: Any, channels: Any, center: Any) -> Any:
    """For every place of a row its channel's mean over the first rows with a weight, or 0.

    Only the accuracy of the first sums hangs on it: they are made again if it is far from the mean.
    """
    shift = np.zeros((1, x.shape[1]), x.dtype)
    if center:
        sums, row, found = np.zeros((2, channels), np.float64), np.empty(x.shape[1], x.dtype), 0
        for r in range(x.shape[0]):
            if found * x.shape[1] < FIRST * channels and has_weight(w[r]):
                spread_weights(w[r], row)
                add_first_row(x[r], row, channels, sums)
                found += 1
        for c in range(channels):
            if sums[0, c] > 0:
                shift[0, c] = sums[1, c] / sums[0, c]
        repeat_channels(shift, channels)
    return shift[0]


@kernel
def add_row(x: Any, w: Any, shift: Any, sums: Any) -> None:
    """A row added to Σ w·(x - shift) and Σ w·(x - shift)²; what has no weight is not read."""
    zero = x.dtype.type(0)
    first, second = sums[0], sums[1]
    for c in range(x.size):
        d = minus(x[c], shift[c]) if w[c] > zero else zero
        wd = w[c] * d
        first[c] += wd
        second[c] += wd * d


@kernel
def add_strip(x: Any, w: Any, shift: Any, row: Any, sums: Any, total: Any) -> None:
    """The sums of the rows of a strip, in float64; `row` is scratch, and `sums`, all 0."""
    for start in range(0, x.shape[0], RUN):
        for r in range(start, min(start + RUN, x.shape[0])):
            if has_weight(w[r]):
                spread_weights(w[r], row)
                add_row(x[r], row, shift, sums)
        collect(sums, total)


@kernel
def move_shift(totals: Any, k: Any, n: Any, channels: Any, shift: Any) -> bool:
    """Where a shift is far from the mean, make the mean the shift; whether any was."""
    far = False
    for c in range(channels):
        far = far or is_far(totals[0, 0, c], totals[0, 1, c], n[k * channels + c])
    if far:
        for start in range(0, shift.size, channels):
            for c in range(channels):
                shift[start + c] += totals[0, 0, c] / n[k * channels + c]
    return far


@kernel
def finish(
    totals: Any, shift: Any, n: Any, center: Any, eps: Any, stats: Any, k: Any, channels: Any
) -> None:
    """The statistics of group k from its sums."""
    for c in range(channels):
        first, second, i = totals[0, 0, c], totals[0, 1, c], k * channels + c
        if center:
            finish_statistics(first, second, n[i], shift[c], eps, stats, i)
        else:
            uncentred_statistics(second, n[i], eps, stats, i)


@driver
def statistics(x: Any, w: Any, n: Any, center: Any, eps: Any, stats: Any) -> None:
    """Rows mean, low, var, rstd of `stats`, (4, G·C); n is what Σ w·… is divided by, (G·C,)."""
    channels, width = stats.shape[1] // x.shape[0], x.shape[2]
    for k in range(x.shape[0]):
        strips, shift = strips_of(x[k]), first_mean(x[k], w[k], channels, center)
        for again in range(2):
            totals = np.zeros((strips, 2, width), np.float64)
            for t in prange(strips):
                lo, hi = begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)
                row, sums = np.empty(width, x.dtype), np.zeros((2, width), x.dtype)
                add_strip(x[k, lo:hi], w[k, lo:hi], shift, row, sums, totals[t])
            add_strips(totals, channels)
            if again or not (center and move_shift(totals, k, n, channels, shift)):
                break
        finish(totals, shift, n, center, eps, stats, k, channels)


# ----------------------------------------------------------------------------------------- map


@maker
def maps_of(x: Any, k: Any, mean: Any, low: Any, rstd: Any, gamma: Any, beta: Any) -> Any:
    """Rows mean, scale, offset of all places of a row of group k."""
    channels = mean.size // x.shape[0]
    at = k * channels
    maps = np.empty((3, x.shape[2]), x.dtype)
    for c in range(channels):
        maps[0, c], maps[1, c], maps[2, c] = affine(
            mean, low, rstd, gamma, beta, at + c, (at + c) % gamma.size, x
        )
    repeat_channels(maps, channels)
    return maps


@kernel
def map_row(x: Any, maps: Any, residual: Any, add: Any, y: Any) -> None:
    """y = (x - mean)·scale + offset + residual."""
    mean, scale, offset = maps[0], maps[1], maps[2]
    for c in range(x.size):
        y[c] = minus(x[c], mean[c]) * scale[c] + offset[c]
    if add:
        for c in range(x.size):
            y[c] += residual[c]


@kernel
def activate(y: Any, act: Any, slope: Any) -> None:
    """relu or leaky_relu, in place; NaN stays."""
    zero = y.dtype.type(0)
    below = zero if act == RELU else y.dtype.type(slope)
    for i in range(y.size):
        y[i] = (zero if act == RELU else y[i] * below) if y[i] <= zero else y[i]


@kernel
def clear_padding(y: Any, w: Any) -> None:
    """0 where the weight is none."""
    zero = y.dtype.type(0)
    for i in range(y.size):
        y[i] = y[i] if w[i] > zero else zero


@driver
def write(
    x: Any,
    w: Any,
    masked: Any,
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
    """y = act((x - mean)·rstd·gamma + beta + residual), 0 at padding."""
    for k in range(x.shape[0]):
        strips = strips_of(x[k])
        maps = maps_of(x, k, mean, low, rstd, gamma, beta)
        for t in prange(strips):
            row = np.empty(x.shape[2], x.dtype)
            for r in range(begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)):
                map_row(x[k, r], maps, residual[k, r], add, y[k, r])
                if act:
                    activate(y[k, r], act, slope)
                if masked:
                    spread_weights(w[k, r], row)
                    clear_padding(y[k, r], row)
