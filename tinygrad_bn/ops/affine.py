"""The affine map of a dense layer."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive

__all__ = ["linear"]


def _rows(B: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """All leading axes in one: a matrix."""
    return x if len(shape) == 2 else B.reshape(x, (math.prod(shape[:-1]), shape[-1]))


def _dweight(B: Any, g: Any, x: Any, weight_shape: tuple[int, ...]) -> Any:
    lead = tuple(x.shape[:-1])
    rows = _rows(B, g, (*lead, weight_shape[0]))
    return B.matmul(B.matrix_transpose(rows), _rows(B, x, (*lead, weight_shape[1])))


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(getattr(array, "shape", ()))


@primitive(
    x=lambda B, g, weight: B.matmul(g, weight),
    weight=_dweight,
    bias=lambda B, g: g,
)
def linear(B: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    """x·weightᵀ + bias.

    Shapes: x (..., in), weight (out, in), bias (out,), result (..., out).
    d/dx = g·weight,   d/dweight = gᵀ·x,   d/dbias = Σ g over all leading axes.

    Raises ValueError when the shapes do not fit together.
    """
    shape, width = _shape(x), _shape(weight)
    if len(width) != 2 or not shape or shape[-1] != width[1]:
        raise ValueError(
            f"linear: x must be (..., in) and weight (out, in), got x {shape} and weight {width}"
        )
    if bias is not None and _shape(bias) != width[:1]:
        raise ValueError(f"linear: bias must be ({width[0]},), got {_shape(bias)}")
    return B.linear(x, weight, bias)
