"""How slabs of shape (G, N, C, L) are dealt out and written: bundles of neighbouring channels.

Short runs of neighbouring channels are walked side by side, as one bundle, for memory gives long
stretches faster: (32, 256, 14, 14) took twice as long by channels of 784 bytes an image. Results
too large for the caches go past them in whole lines. Where runs are whole lines they do so as they
are made (`is_even`); where a bundle's are together, the map of each number is taken from a row for
the bundle (`spread`); else they are made in a buffer (`room_for`).
"""

from __future__ import annotations

from typing import Any

from ..compiler import kernel, walk
from ..memory import LINE
from .arithmetic import affine
from .stream import CHUNK, is_large

STRETCH = 1024
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
    few = (x.shape[0] * channels + BUNDLES - 1) // BUNDLES
    wide = min((STRETCH + length - 1) // length, few, channels)
    step = 1
    while step < wide and step * length * x.itemsize % LINE:
        step *= 2
    return max(1, wide // step * step)


@walk
def bundles_of(x: Any) -> Any:
    """How many bundles a group has."""
    return (x.shape[2] + bundle_of(x) - 1) // bundle_of(x)


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
def is_straight(x: Any, out: Any, other: Any) -> bool:
    """Whether large results like x go past the caches as they are made: bundles are whole lines."""
    image, bundle = x.shape[2] * x.shape[3], bundle_of(x) * x.shape[3]
    begin = out.ctypes.data | other.ctypes.data | image * x.itemsize | bundle * x.itemsize
    return is_large(x) and begin % LINE == 0


@walk
def is_even(x: Any) -> bool:
    """Whether runs are whole lines themselves."""
    return x.shape[3] * x.itemsize % LINE == 0


@walk
def piece_of(x: Any) -> Any:
    """How much of a run is written at once: all of it where several lie side by side."""
    return x.shape[3] if bundle_of(x) > 1 else min(CHUNK, x.shape[3])


@walk
def room_for(x: Any, straight: Any) -> Any:
    """Elements of a buffer for large results that go past the caches in pieces, else 0."""
    return bundle_of(x) * piece_of(x) if is_large(x) and not straight else 0


@walk
def room_beside(x: Any, straight: Any) -> Any:
    """Elements of a row of maps for the numbers of a bundle, where its lines are whole together."""
    return bundle_of(x) * x.shape[3] if straight and not is_even(x) else 0


@walk
def spread(x: Any, wide: Any, maps: Any, own: Any) -> None:
    """The maps of a bundle's channels for each number of their runs, side by side, as `own`."""
    length = x.shape[3]
    for c in range(wide):
        for i in range(maps.shape[1]):
            own[i, c * length : (c + 1) * length] = maps[c, i]
