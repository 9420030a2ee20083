"""Normalization of weighted x of shape (G, R, W): statistics and map.

Rows and groups are as `layout.Form` has them: a row of W numbers is one or more rows of C
neighbouring channels, and statistic i has the parameters i mod their number. The weights w are
(G, R, V): V = W/C, one for every row of channels, or V = W, one for every number. For V = 1 there
are the kernels of `shared_rows`; the others spread the weights of a row over its numbers.

What has no weight counts for nothing in the statistics, whatever it holds. With mere weights it is
normalised all the same; with a mask (`masked`) it is padding, where y is 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, maker
from . import shared_rows as shared
from .arithmetic import is_far, minus
from .moments import store_centred, store_uncentred
from .weighted_steps import (
    RUN,
    activate,
    add_strips,
    begin_of,
    clear_padding,
    collect,
    map_row,
    maps_of,
    repeat_channels,
    spreads,
    strips_of,
)

FIRST = 16
"""Rows with a weight whose mean is the shift of all sums."""


@kernel
def has_weight(w: Any) -> bool:
    """Whether a row counts at all."""
    found = False
    for i in range(w.size):
        found = found or w[i] > 0
    return found


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
                ws = row if spreads(w[r], row) else w[r]
                add_first_row(x[r], ws, channels, sums)
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
            ws = row if spreads(w[r], row) else w[r]
            add_row(x[r], ws, shift, sums)
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
            store_centred(first, second, n[i], shift[c], eps, stats, i)
        else:
            store_uncentred(second, n[i], eps, stats, i)


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
                xs, ws, sums = x[k, lo:hi], w[k, lo:hi], np.zeros((2, width), x.dtype)
                if w.shape[2] == 1:
                    rows = np.empty(hi - lo, np.intp)
                    shared.add_strip(xs, ws, shift, rows, sums, totals[t])
                else:
                    add_strip(xs, ws, shift, np.empty(width, x.dtype), sums, totals[t])
            add_strips(totals, channels)
            if again or not (center and move_shift(totals, k, n, channels, shift)):
                break
        finish(totals, shift, n, center, eps, stats, k, channels)


# ----------------------------------------------------------------------------------------- map


@kernel
def write_strip(
    x: Any,
    w: Any,
    masked: Any,
    maps: Any,
    residual: Any,
    add: Any,
    y: Any,
    act: Any,
    slope: Any,
    row: Any,
) -> None:
    """The output of the rows of a strip; `row` is scratch."""
    for r in range(x.shape[0]):
        map_row(x[r], maps, residual[r], add, y[r])
        if act:
            activate(y[r], act, slope)
        if masked:
            ws = row if spreads(w[r], row) else w[r]
            clear_padding(y[r], ws)


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
            lo, hi = begin_of(x[k], t, strips), begin_of(x[k], t + 1, strips)
            xs, ws, rs, out = x[k, lo:hi], w[k, lo:hi], residual[k, lo:hi], y[k, lo:hi]
            if w.shape[2] == 1:
                shared.write_strip(xs, ws, masked, maps, rs, add, out, act, slope)
            else:
                row = np.empty(x.shape[2], x.dtype)
                write_strip(xs, ws, masked, maps, rs, add, out, act, slope, row)


def forward(
    work: int,
    x: Any,
    w: Any,
    n: Any,
    masked: Any,
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
    """`statistics` and `write`, in two calls: x is read twice in any case."""
    statistics(work, x, w, n, center, eps, stats)
    mean, low, _, rstd = stats
    write(work, x, w, masked, mean, low, rstd, gamma, beta, residual, add, y, act, slope)
