"""Sorting."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from .reduction import has_axis

__all__ = [
    "argsort",
    "sort",
]


def _sort_dx(B: Any, g: Any, x: Any, axis: int, descending: bool, stable: bool) -> Any:
    """g goes back to where the elements were: by the inverse of the permutation that sorts."""
    order = B.argsort(x, axis=axis, descending=descending, stable=stable)
    return B.take_along_axis(g, B.argsort(order, axis=axis), axis=axis)


@primitive(x=_sort_dx)
def sort(
    B: Any, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    """The elements along an axis in order.   d/dx: g put back to where the elements were.

    NaN counts as the greatest. Raises ValueError if `axis` does not exist.
    """
    has_axis(x, axis)
    return B.sort(x, axis=axis, descending=descending, stable=stable)


@primitive()
def argsort(
    B: Any, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
) -> Any:
    """Positions along an axis in the order of their elements; `stable` keeps that of equal ones.

    NaN counts as the greatest. Raises ValueError if `axis` does not exist.
    """
    has_axis(x, axis)
    return B.argsort(x, axis=axis, descending=descending, stable=stable)
