"""How slabs of shape (G, N, C, L) are dealt out and written: bundles of neighbouring channels.

Short runs of neighbouring channels are walked side by side, as one row of a bundle, for memory
gives long stretches faster: (32, 256, 14, 14) took twice as long by channels of 784 bytes an image.
The numbers of such a row have sums and maps of their own, so it does not matter where channels
begin. Results too large for the caches go past them in whole lines: as they are made where rows or
runs are whole lines (`is_straight`), else from a buffer (`room_for`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..compiler import kernel, maker, walk
from ..memory import LINE
from .arithmetic import affine
from .meeting import board_for, claim, forth
from .stream import CHUNK, is_large

STRETCH = 768
"""Neighbouring numbers that memory is asked for at least, where there are channels enough.

On two cores of an Intel Xeon, forward and backward of (64, 64, 32, 32) and (32, 256, 14, 14) took
5 to 8 % longer with 3072, and 20 % longer with 512 where that makes bundles of half a page."""
BUNDLES = 16
"""Bundles at least, for threads to share."""


@walk
def bundle_of(x: Any) -> Any:
    """How many neighbouring channels are walked side by side, whole lines of the caches if that
    can be; it depends on the shape alone."""
    channels, length = x.shape[2], x.shape[3]
    few = min((x.shape[0] * channels + BUNDLES - 1) // BUNDLES, channels)
    wide = min((STRETCH + length - 1) // length, few)
    step = 1
    while step < wide and step * length * x.itemsize % LINE:
        step *= 2
    if step > wide:
        return step if step <= few and step * length <= 2 * STRETCH else wide
    return wide // step * step


@walk
def bundles_of(x: Any) -> Any:
    """How many bundles a group has."""
    return (x.shape[2] + bundle_of(x) - 1) // bundle_of(x)


@maker
def claims_of(x: Any) -> Any:
    """For threads to claim bundles: the row of a board."""
    return board_for(1, x.shape[0] * bundles_of(x))[0]


@walk
def take(x: Any, claims: Any, wide: Any, count: Any, workers: Any, w: Any, i: Any) -> Any:
    """(group, first, behind the last channel) of the bundle that worker w asks for as his i-th; no
    channel if another has it. `wide` and `count` are `bundle_of` and `bundles_of` x."""
    t = forth(x.shape[0] * count, workers, w, i)
    lo = t % count * wide
    return t // count, lo, min(lo + wide, x.shape[2]) if claim(claims, t) else lo


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
        maps[0, c - lo], maps[1, c - lo], maps[2, c - lo] = affine(
            mean, low, rstd, gamma, beta, i, i % gamma.size, x
        )


@walk
def is_straight(x: Any, out: Any, other: Any) -> bool:
    """Whether large results like x go past the caches as they are made: bundles are whole lines."""
    image, bundle = x.shape[2] * x.shape[3], bundle_of(x) * x.shape[3]
    begin = out.ctypes.data | other.ctypes.data | image * x.itemsize | bundle * x.itemsize
    return is_large(x) and begin % LINE == 0


@walk
def width_of(x: Any) -> Any:
    """Numbers of a bundle in an image where they are walked as one row, which runs shorter than a
    line of the caches are too; else 0."""
    wide, length = bundle_of(x), x.shape[3]
    return wide * length if wide > 1 or length * x.itemsize < LINE else 0


@maker
def rows_for(x: Any, count: Any) -> Any:
    """Scratch: `count` rows for the numbers of a bundle, beginning at lines of the caches, as a
    register that is loaded from two lines takes twice as long."""
    step = LINE // x.itemsize
    width = (width_of(x) + step - 1) // step * step
    room = np.empty(count * width + step, x.dtype)
    skew = -room.ctypes.data % LINE // x.itemsize
    return room[skew : skew + count * width].reshape((count, width))


@walk
def room_for(x: Any, straight: Any) -> Any:
    """Elements of a buffer for large results that go past the caches in pieces, else 0."""
    if straight or not is_large(x):
        return 0
    return max(width_of(x), min(CHUNK + LINE // x.itemsize, x.shape[3]))


@walk
def pieces_of(length: Any, room: Any) -> Any:
    """How many pieces a run is written in that go through a buffer of `room`, or through none."""
    return 1 if length <= room or not room else 1 + (length - room + CHUNK - 1) // CHUNK


@walk
def piece_of(lo: Any, hi: Any, room: Any, p: Any) -> Any:
    """(first, behind the last) number of piece p of a run; the last is not shorter than a line."""
    last = p + 1 == pieces_of(hi - lo, room)
    return lo + p * CHUNK, hi if last else lo + (p + 1) * CHUNK


@kernel
def spread(length: Any, values: Any, row: Any) -> None:
    """The value of each channel of a bundle for all numbers of its run, side by side."""
    for c in range(row.size // length):
        row[c * length : (c + 1) * length] = values[c]
