"""Linear algebra: products, and the standard's linear-algebra extension."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive

__all__ = [
    "matmul",
    "matrix_transpose",
]


@primitive(
    x=lambda B, g, y: B.matmul(g, B.matrix_transpose(y)),
    y=lambda B, g, x: B.matmul(B.matrix_transpose(x), g),
)
def matmul(B: Any, x: Any, y: Any) -> Any:
    """Matrix product over the last two axes, batched over the others.

    d/dx = g·yᵀ,   d/dy = xᵀ·g.
    """
    return B.matmul(x, y)


@primitive(x=lambda B, g: B.matrix_transpose(g))
def matrix_transpose(B: Any, x: Any) -> Any:
    """The last two axes exchanged.   d/dx = gᵀ."""
    return B.matrix_transpose(x)
