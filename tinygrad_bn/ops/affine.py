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


def _dweight(B: Any, g: Any, x: Any, weight_shape: tuple[int, ...]) -> Any:
    """gᵀ·x, all leading axes in one."""
    if len(x.shape) != 2:
        rows = math.prod(x.shape[:-1])
        g, x = [B.reshape(a, (rows, n)) for a, n in zip((g, x), weight_shape, strict=True)]
    return B.matmul(B.matrix_transpose(g), x)


def _check(x: Any, weight: Any, bias: Any) -> None:
    shape: tuple[int, ...] = getattr(x, "shape", ())
    width: tuple[int, ...] = getattr(weight, "shape", ())
    if len(width) != 2 or not shape or shape[-1] != width[1]:
        raise ValueError(
            f"linear: x must be (..., in) and weight (out, in), got x {tuple(shape)} and weight "
            f"{tuple(width)}"
        )
    given = width[:1] if bias is None else getattr(bias, "shape", ())
    if given != width[:1]:
        raise ValueError(f"linear: bias must be ({width[0]},), got {tuple(given)}")


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
