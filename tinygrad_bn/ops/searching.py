"""Searching: where the extremes are, where elements are nonzero, where values would be inserted.

Results are positions, int64, without a derivative.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..autograd.runtime import make
from ..refusal import named
from .creation import asarray
from .indexing import take
from .reduction import has_axis

__all__ = [
    "argmax",
    "argmin",
    "nonzero",
    "searchsorted",
]


@primitive()
def argmax(B: Any, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Position of the greatest element along `axis` (None: of the flattened x); the first of ties.

    Raises ValueError if there are no elements.
    """
    has_axis(x, axis)
    return B.argmax(x, axis=axis, keepdims=keepdims)


@primitive()
def argmin(B: Any, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
    """Position of the smallest element along `axis` (None: of the flattened x); the first of ties.

    Raises ValueError if there are no elements.
    """
    has_axis(x, axis)
    return B.argmin(x, axis=axis, keepdims=keepdims)


@named
def nonzero(x: Any, /) -> tuple[Any, ...]:
    """Positions of the nonzero elements in row-major order: one vector for each axis.

    Raises ValueError if x has no axes.
    """
    x = asarray(x)
    if x.ndim == 0:
        raise ValueError("nonzero: x must have at least one axis, got shape ()")
    return tuple([make(x._backend, a, None) for a in x._backend.nonzero(x._data)])


@primitive()
def _searchsorted(B: Any, x1: Any, x2: Any, *, side: str) -> Any:
    return B.searchsorted(x1, x2, side=side)


@named
def searchsorted(x1: Any, x2: Any, /, *, side: str = "left", sorter: Any = None) -> Any:
    """Where each element of x2 would be inserted into the ascending vector x1 to keep its order.

    Args:
        x1: a vector, ascending (after `sorter`, if given).
        x2: values of any shape.
        side: 'left': before equal elements; 'right': after them.
        sorter: positions that put x1 in order, as from `argsort`.

    Raises:
        ValueError: x1 is no vector, or another `side`.
    """
    if side not in ("left", "right"):
        raise ValueError(f"searchsorted: side must be 'left' or 'right', got {side!r}")
    x1 = asarray(x1)
    if x1.ndim != 1:
        raise ValueError(f"searchsorted: x1 must have one axis, got shape {x1.shape}")
    return _searchsorted(x1 if sorter is None else take(x1, sorter, axis=0), x2, side=side)
