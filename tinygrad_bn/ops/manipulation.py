"""Shapes and arrangement: reshape, transpose, join, split, repeat. No arithmetic."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive

__all__ = [
    "permute_dims",
    "reshape",
]


@primitive(x=lambda B, g: g)
def fit(B: Any, x: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    """Sum what was broadcast, broadcast what was reduced: the engine's own step, recorded.

    Its derivative is itself: the engine fits `g` back to the shape of x.
    """
    return B.fit(x, shape=shape, dtype=dtype)


@primitive(x=lambda B, g, x_shape: B.reshape(g, x_shape))
def reshape(B: Any, x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    """The same elements in another shape; one length may be -1.   d/dx = reshape(g)."""
    return B.reshape(x, shape, copy=copy)


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    n = len(axes)
    return tuple(sorted(range(n), key=[a % n for a in axes].__getitem__))


@primitive(x=lambda B, g, axes: B.permute_dims(g, _inverse(axes)))
def permute_dims(B: Any, x: Any, /, axes: tuple[int, ...]) -> Any:
    """Axes in another order.   d/dx = g with the inverse order."""
    return B.permute_dims(x, axes)
