"""Steps that all kernels of weighted rows share; see `weighted_rows` for what rows are.

Rows are dealt to strips, how many depends on the shape alone: a strip is summed by one thread, and
strips are added in their order, so the number of threads leaves no trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler import kernel, maker, strict
from .arithmetic import RELU, affine, minus

RUN = 64
"""Rows that are summed in the dtype of x, before the sums go to float64."""
STRIPS = 16
PIECE = 1 << 15
"""Elements of a strip at least."""


@strict
def product(a: Any, b: Any) -> Any:
    """a·b, never contracted with a sum: of two products in a sum always the other one is."""
    return a * b


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
def spreads(w: Any, row: Any) -> bool:
    """Spread the weights of a row over its numbers, in `row`; False where they need not be.

    It returns no array: what a kernel returns is not counted as a reference, and would be freed.
    """
    places = row.size // w.size
    if places == 1:
        return False
    for i in range(w.size):
        for c in range(i * places, (i + 1) * places):
            row[c] = w[i]
    return True


@kernel
def repeat_channels(rows: Any, channels: Any) -> None:
    """Repeat what the first channel places of each row hold over the rest of it."""
    for i in range(rows.shape[0]):
        for start in range(channels, rows.shape[1], channels):
            for c in range(channels):
                rows[i, start + c] = rows[i, c]


@kernel
def collect(sums: Any, total: Any) -> None:
    """Rows of sums in the dtype of x added to those in float64, and set to 0."""
    for j in range(sums.shape[0]):
        for c in range(sums.shape[1]):
            total[j, c] += sums[j, c]
            sums[j, c] = 0


@kernel
def add_strips(totals: Any, channels: Any) -> None:
    """All strips added to the first, in order, and all places of a channel to its first."""
    for t in range(1, totals.shape[0]):
        for j in range(totals.shape[1]):
            for i in range(totals.shape[2]):
                totals[0, j, i] += totals[t, j, i]
    for j in range(totals.shape[1]):
        for start in range(channels, totals.shape[2], channels):
            for c in range(channels):
                totals[0, j, c] += totals[0, j, start + c]


@kernel
def clear_padding(y: Any, w: Any) -> None:
    """0 where the weight is none."""
    zero = y.dtype.type(0)
    for i in range(y.size):
        y[i] = y[i] if w[i] > zero else zero


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
