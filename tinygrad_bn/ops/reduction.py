"""Reductions over axes: sums, products, extremes, statistics, logical tests.

`axis` is None (all axes), an int or a tuple of ints; `keepdims` leaves reduced axes with length 1.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive

__all__ = [
    "mean",
    "sum",
]

Axis = int | tuple[int, ...] | None


def spread(B: Any, g: Any, axis: Axis, keepdims: bool, shape: tuple[int, ...]) -> Any:
    """Give `g`, the shape of a reduction, back the axes it lost (length 1), to broadcast."""
    if keepdims or len(shape) == 0:
        return g
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    lost = {a % len(shape) for a in axes}
    return B.reshape(g, tuple([1 if i in lost else n for i, n in enumerate(shape)]))


def extent(axis: Axis, shape: tuple[int, ...]) -> int:
    """How many elements a reduction over `axis` combines into one."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    n = 1
    for a in axes:
        n *= shape[a]
    return n


@primitive(x=lambda B, g, x_shape, axis, keepdims: spread(B, g, axis, keepdims, x_shape))
def sum(B: Any, x: Any, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Σ x over `axis`.   d/dx = g, broadcast."""
    return B.sum(x, axis=axis, dtype=B.native(dtype), keepdims=keepdims)


@primitive(
    x=lambda B, g, x_shape, axis, keepdims: (
        spread(B, g, axis, keepdims, x_shape) / max(extent(axis, x_shape), 1)
    )
)
def mean(B: Any, x: Any, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Σ x / n over `axis`.   d/dx = g/n, broadcast."""
    return B.mean(x, axis=axis, keepdims=keepdims)
