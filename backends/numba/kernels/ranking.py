"""Floating-point numbers as integers in the same order.

Comparisons of floating-point numbers mind NaN, so a maximum of them is not reordered to fill vector
registers; one of integers is. -0 comes right below 0; NaN above all numbers, or below where its
sign is set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ..compiler import kernel

_LOW32, _LOW64 = np.int32(2**31 - 1), np.int64(2**63 - 1)


@kernel
def rank32(x: Any) -> Any:
    """The place of a number in single precision."""
    bits = np.float32(x).view(np.int32)
    return np.int32(bits ^ ((bits >> 31) & _LOW32))


@kernel
def rank64(x: Any) -> Any:
    """The place of a number in double precision."""
    bits = np.float64(x).view(np.int64)
    return bits ^ ((bits >> 63) & _LOW64)


@kernel
def ranked32(place: Any) -> Any:
    """The number in single precision at a place."""
    return np.int32(place ^ ((place >> 31) & _LOW32)).view(np.float32)


@kernel
def ranked64(place: Any) -> Any:
    """The number in double precision at a place."""
    return np.int64(place ^ ((place >> 63) & _LOW64)).view(np.float64)


def rank(x: Any) -> Any:
    """The place of a number in the precision of x."""
    return rank32(x) if isinstance(x, np.float32) else rank64(x)


def ranked(place: Any) -> Any:
    """The number at a place, in the precision of as many bits."""
    return ranked32(place) if isinstance(place, np.int32) else ranked64(place)


@overload(rank)
def _rank(x: Any) -> Any:
    single = x == types.float32

    def chosen(x: Any) -> Any:
        return rank32(x) if single else rank64(x)

    return chosen


@overload(ranked)
def _ranked(place: Any) -> Any:
    single = place == types.int32

    def chosen(place: Any) -> Any:
        return ranked32(place) if single else ranked64(place)

    return chosen
