"""The statistics of rows of shape (R, W): sums of strips, merged in pairs; see `tiles`.

Rows that are narrower than a tile are walked one by one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler import kernel, maker, strict, walk
from ..lanes import filled, load, multiply_add, store
from .arithmetic import centred_statistics, is_far, minus, uncentred_statistics
from .meeting import claim, forth, is_second, tell, wait
from .tiles import RUN, column, tiles_of

FIRST = 16
"""Rows whose mean is the shift of all sums."""
AGAIN, DONE = 1, 2
"""What those who have summed are told."""


@strict
def sum_tile(x: Any, shift: Any, c: Any, sums: Any) -> None:
    """Σ(x - shift) and Σ(x - shift)² of a tile of a run of rows.

    Four rows are added to each other before they are added to the sums, which rounds less often.
    """
    s, first = load(shift, c), filled(shift, 0.0)
    second, fours = first, x.shape[0] // 4 * 4
    for r in range(0, fours, 4):
        a, b = load(x[r], c) - s, load(x[r + 1], c) - s
        d, e = load(x[r + 2], c) - s, load(x[r + 3], c) - s
        first = first + ((a + b) + (d + e))
        second = second + (multiply_add(a, a, b * b) + multiply_add(d, d, e * e))
    for r in range(fours, x.shape[0]):
        a = load(x[r], c) - s
        first, second = first + a, multiply_add(a, a, second)
    store(sums[0], c, first)
    store(sums[1], c, second)


@kernel
def add_row(x: Any, shift: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(shift.size):
        d = minus(x[c], shift[c])
        first[c] += d
        second[c] += d * d


@walk
def sum_run(x: Any, shift: Any, sums: Any) -> None:
    """The sums of a run of rows, whatever `sums` held."""
    for tile in range(tiles_of(x)):
        sum_tile(x, shift, column(x, tile), sums)
    if tiles_of(x) == 0:
        sums[:] = 0
        for r in range(x.shape[0]):
            add_row(x[r], shift, sums[0], sums[1])


@kernel
def gather(sums: Any, total: Any, more: Any) -> None:
    """Sums in the dtype of x as those in float64, or added to them if there were `more` before."""
    for i in range(2):
        for c in range(sums.shape[1]):
            total[i, c] = total[i, c] + sums[i, c] if more else sums[i, c]


@walk
def add_strip(x: Any, shift: Any, sums: Any, total: Any) -> None:
    """The sums of the rows of a strip, in float64; `sums` is scratch."""
    for start in range(0, x.shape[0], RUN):
        sum_run(x[start : start + RUN], shift, sums)
        gather(sums, total, start)


@strict
def first_tile(x: Any, share: Any, c: Any, shift: Any) -> None:
    """The means over some rows in a tile, exactly what all of them hold if that is the same."""
    part, total = filled(shift, share), filled(shift, 0.0)
    begin = load(x[0], c)
    base = begin * part
    for r in range(1, x.shape[0]):
        total = total + (load(x[r], c) * part - base)
    store(shift, c, begin + total)


@strict
def first_row(x: Any, share: Any, shift: Any) -> None:
    """The same for rows narrower than a tile."""
    part = shift.dtype.type(share)
    for c in range(shift.size):
        shift[c] = x[0, c]
        for r in range(1, x.shape[0]):
            shift[c] += x[r, c] * part - x[0, c] * part


@maker
def first_shift(x: Any, channels: Any, center: Any) -> Any:
    """For every place of a row the mean of its channel over some of the first rows, or 0."""
    shift = np.zeros(x.shape[1], x.dtype)
    if center:
        rows = x[:FIRST]
        share = 1.0 / rows.shape[0]
        for tile in range(tiles_of(x)):
            first_tile(rows, share, column(x, tile), shift)
        if tiles_of(x) == 0:
            first_row(rows, share, shift)
        repeat(shift, channels)
    return shift


@kernel
def add_sums(total: Any, other: Any) -> None:
    """The sums of two strips, in the place of the first."""
    for i in range(2):
        for c in range(total.shape[1]):
            total[i, c] += other[i, c]


@walk
def merge(totals: Any, strips: Any, row: Any, t: Any, channels: Any) -> bool:
    """Strip t is summed: whether it was the last, and all sums are in the first place of their
    channel in the first strip.

    Pairs of strips, pairs of pairs and so on are added to their first. What a worker has added up
    himself lies in his cache, and only the sum goes to another's.
    """
    step, first = 1, t
    while step < strips:
        first = first // (2 * step) * (2 * step)
        if first + step < strips:
            if not is_second(row, first + step):
                return False
            add_sums(totals[first], totals[first + step])
        step *= 2
    fold(totals[0, 0], channels)
    fold(totals[0, 1], channels)
    return True


@kernel
def fold(row: Any, channels: Any) -> None:
    """What all places of a channel hold, added to its first."""
    for start in range(channels, row.size, channels):
        for c in range(channels):
            row[c] += row[start + c]


@kernel
def repeat(row: Any, channels: Any) -> None:
    """What the first place of each channel holds, in all its places."""
    for start in range(channels, row.size, channels):
        for c in range(channels):
            row[start + c] = row[c]


@kernel
def move_shift(totals: Any, n: Any, channels: Any, shift: Any) -> bool:
    """Where a shift is far from the mean, make the mean the shift; whether any was."""
    far = 0
    for c in range(channels):
        far += is_far(totals[0, 0, c], totals[0, 1, c], n)
    if far:
        for c in range(channels):
            shift[c] += totals[0, 0, c] / n
        repeat(shift, channels)
    return far > 0


@kernel
def finish_centred(
    first: Any,
    second: Any,
    shift: Any,
    n: Any,
    eps: Any,
    mean: Any,
    low: Any,
    var: Any,
    rstd: Any,
) -> None:
    """The statistics of all channels from their sums about the shift."""
    for c in range(mean.size):
        mean[c], low[c], var[c], rstd[c] = centred_statistics(
            first[c], second[c], n, shift[c], eps, mean
        )


@kernel
def finish_uncentred(
    second: Any, n: Any, eps: Any, mean: Any, low: Any, var: Any, rstd: Any
) -> None:
    """The same about 0."""
    for c in range(mean.size):
        mean[c], low[c], var[c], rstd[c] = uncentred_statistics(second[c], n, eps, mean)


@kernel
def finish(
    totals: Any, shift: Any, n: Any, center: Any, eps: Any, stats: Any, lo: Any, hi: Any
) -> None:
    """Statistics lo to hi from their sums."""
    mean, low, var, rstd = stats[0, lo:hi], stats[1, lo:hi], stats[2, lo:hi], stats[3, lo:hi]
    if center:
        finish_centred(totals[0, 0], totals[0, 1], shift, n, eps, mean, low, var, rstd)
    else:
        finish_uncentred(totals[0, 1], n, eps, mean, low, var, rstd)


@walk
def add_strips(
    x: Any,
    k: Any,
    strips: Any,
    workers: Any,
    w: Any,
    center: Any,
    eps: Any,
    shift: Any,
    sums: Any,
    totals: Any,
    board: Any,
    stats: Any,
    channels: Any,
) -> None:
    """The part of worker w in the sums of group k; returns when its statistics are there.

    The first row of the board is for the first sums, the second for those about the mean.
    """
    height, n = x.shape[1], x.shape[1] * x.shape[2] // channels
    again = 0
    while again < 2:
        row = board[again]
        for i in range(strips):
            t = forth(strips, workers, w, i)
            if claim(row, t):
                lo, hi = height * t // strips, height * (t + 1) // strips
                add_strip(x[k, lo:hi], shift, sums, totals[t])
                if merge(totals, strips, row, t, channels):
                    if center and not again and move_shift(totals, n, channels, shift):
                        tell(row, AGAIN)
                    else:
                        at = k * channels
                        finish(totals, shift, n, center, eps, stats, at, at + channels)
                        tell(row, DONE)
        again = again + 1 if wait(row) == AGAIN else 2
