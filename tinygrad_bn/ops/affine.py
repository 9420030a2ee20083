"""The affine map of a dense layer, and the activation after it."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive

__all__ = ["linear"]

ACTIVATIONS = ("relu", "sigmoid", "tanh")
"""What may follow the map: functions whose derivative is a function of their result."""


def check_activation(owner: str, activation: Any) -> None:
    """ValueError that names `owner` unless `activation` is None or one of `ACTIVATIONS`."""
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(
            f"{owner}: activation must be None, 'relu', 'sigmoid' or 'tanh', got {activation!r}"
        )


def _rows(B: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """All leading axes in one: a matrix."""
    return x if len(shape) == 2 else B.reshape(x, (math.prod(shape[:-1]), shape[-1]))


def _dweight(B: Any, g: Any, x: Any, weight_shape: tuple[int, ...]) -> Any:
    lead = tuple(x.shape[:-1])
    rows = _rows(B, g, (*lead, weight_shape[0]))
    return B.matmul(B.matrix_transpose(rows), _rows(B, x, (*lead, weight_shape[1])))


def _shape(array: Any) -> tuple[int, ...]:
    return tuple(getattr(array, "shape", ()))


def _check(x: Any, weight: Any, bias: Any) -> None:
    shape, width = _shape(x), _shape(weight)
    if len(width) != 2 or not shape or shape[-1] != width[1]:
        raise ValueError(
            f"linear: x must be (..., in) and weight (out, in), got x {shape} and weight {width}"
        )
    if bias is not None and _shape(bias) != width[:1]:
        raise ValueError(f"linear: bias must be ({width[0]},), got {_shape(bias)}")


@primitive(
    x=lambda B, g, weight: B.matmul(g, weight),
    weight=_dweight,
    bias=lambda B, g: g,
)
def _linear(B: Any, x: Any, weight: Any, bias: Any = None) -> Any:
    _check(x, weight, bias)
    return B.linear(x, weight, bias)


def _activated_rule(
    B: Any,
    g: Any,
    x: Any,
    weight: Any,
    out: Any,
    activation: str,
    wants: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The activation is differentiated once for all three."""
    h = getattr(B, f"{activation}_pull")(g, out)
    return (
        B.matmul(h, weight) if wants[0] else None,
        _dweight(B, h, x, tuple(weight.shape)) if wants[1] else None,
        h if wants[2] else None,
    )


@primitive(_activated_rule)
def activated_linear(B: Any, x: Any, weight: Any, bias: Any = None, *, activation: str) -> Any:
    """`linear` with an activation, whose derivative follows from the result."""
    _check(x, weight, bias)
    return B.linear(x, weight, bias, activation=activation)


def linear(x: Any, weight: Any, bias: Any = None, *, activation: str | None = None) -> Any:
    """act(x·weightᵀ + bias), with `activation` None, "relu", "sigmoid" or "tanh".

    Shapes: x (..., in), weight (out, in), bias (out,), result (..., out).
    With h = g·act′: d/dx = h·weight,   d/dweight = hᵀ·x,   d/dbias = Σ h over all leading axes.

    Raises ValueError when the shapes do not fit together, and for another activation.
    """
    if activation is None:
        return _linear(x, weight, bias)
    check_activation("linear", activation)
    return activated_linear(x, weight, bias, activation=activation)
