"""Elementwise arithmetic, comparison, rounding, bits, and choice between elements.

Formulas are per element; inputs broadcast against each other. Where a function has a kink, the
subgradient is stated beside it. Names and semantics: Python Array API standard 2024.12.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive

__all__ = [
    "abs",
    "add",
    "ceil",
    "clip",
    "copysign",
    "divide",
    "floor",
    "floor_divide",
    "hypot",
    "maximum",
    "minimum",
    "multiply",
    "negative",
    "positive",
    "pow",
    "reciprocal",
    "remainder",
    "round",
    "sign",
    "sqrt",
    "square",
    "subtract",
    "trunc",
    "where",
]

SCALARS = (int, float, bool)

# --------------------------------------------------------------------------------- arithmetic


@primitive(
    x=lambda B, g: g,
    y=lambda B, g: g,
)
def add(B: Any, x: Any, y: Any) -> Any:
    """x + y.   d/dx = g,   d/dy = g."""
    return B.add(x, y)


@primitive(
    x=lambda B, g: g,
    y=lambda B, g: -g,
)
def subtract(B: Any, x: Any, y: Any) -> Any:
    """x - y.   d/dx = g,   d/dy = -g."""
    return B.subtract(x, y)


@primitive(
    x=lambda B, g, y: g * y,
    y=lambda B, g, x: g * x,
)
def multiply(B: Any, x: Any, y: Any) -> Any:
    """x·y.   d/dx = g·y,   d/dy = g·x."""
    return B.multiply(x, y)


@primitive(
    x=lambda B, g, y: g / y,
    y=lambda B, g, y, out: -g * out / y,
)
def divide(B: Any, x: Any, y: Any) -> Any:
    """x / y.   d/dx = g/y,   d/dy = -g·out/y."""
    return B.divide(x, y)


def _pow_dx(B: Any, g: Any, x: Any, y: Any) -> Any:
    """g·y·x^(y-1), and 0 where y = 0 (also at x = 0, where the formula gives 0·∞)."""
    if isinstance(y, SCALARS):
        if y == 0:
            return B.zeros_like(g)
        return g * (y * x) if y == 2 else g * (y * x ** (y - 1))
    zero = y == 0
    return g * B.where(zero, 0.0, y * x ** B.where(zero, 1.0, y - 1))


def _pow_dy(B: Any, g: Any, x: Any, out: Any) -> Any:
    """g·out·ln x, and 0 where out = 0 or x = 0 ≤ y (the limit of the formula)."""
    if isinstance(x, SCALARS):
        return g * (out * (math.log(x) if x > 0 else 0.0 if x == 0 else math.nan))
    zero = x == 0
    return g * B.where(zero, 0.0, out * B.log(B.where(zero, 1.0, x)))


@primitive(x=_pow_dx, y=_pow_dy)
def pow(B: Any, x: Any, y: Any) -> Any:
    """x^y.   d/dx = g·y·x^(y-1), 0 where y = 0;   d/dy = g·out·ln x, 0 where x = 0."""
    return B.pow(x, y)


@primitive(x=lambda B, g, y: g, y=lambda B, g, x, y: -g * B.floor_divide(x, y))
def remainder(B: Any, x: Any, y: Any) -> Any:
    """x - y·⌊x/y⌋, the sign of y.   d/dx = g,   d/dy = -g·⌊x/y⌋."""
    return B.remainder(x, y)


def _zero(B: Any, g: Any) -> Any:
    return B.zeros_like(g)


@primitive(x=_zero, y=_zero)
def floor_divide(B: Any, x: Any, y: Any) -> Any:
    """⌊x/y⌋.   Derivatives are 0 (at the jumps too)."""
    return B.floor_divide(x, y)


@primitive(x=lambda B, g: -g)
def negative(B: Any, x: Any) -> Any:
    """-x.   d/dx = -g."""
    return B.negative(x)


@primitive(x=lambda B, g: g)
def positive(B: Any, x: Any) -> Any:
    """+x.   d/dx = g."""
    return B.positive(x)


@primitive(x=lambda B, g, x: g * B.sign(x))
def abs(B: Any, x: Any) -> Any:
    """|x|.   d/dx = g·sign(x), 0 at 0."""
    return B.abs(x)


@primitive(x=lambda B, g, x: g * (2 * x))
def square(B: Any, x: Any) -> Any:
    """x².   d/dx = 2·g·x."""
    return B.square(x)


@primitive(x=lambda B, g, out: g / (2 * out))
def sqrt(B: Any, x: Any) -> Any:
    """√x.   d/dx = g/(2·out), infinite at 0."""
    return B.sqrt(x)


@primitive(x=lambda B, g, out: -g * out * out)
def reciprocal(B: Any, x: Any) -> Any:
    """1/x.   d/dx = -g·out²."""
    return B.reciprocal(x)


@primitive(
    x=lambda B, g, x, out: g * _ratio(B, x, out),
    y=lambda B, g, y, out: g * _ratio(B, y, out),
)
def hypot(B: Any, x: Any, y: Any) -> Any:
    """√(x² + y²), without overflow.   d/dx = g·x/out,   d/dy = g·y/out, 0 at the origin."""
    return B.hypot(x, y)


def _ratio(B: Any, x: Any, out: Any) -> Any:
    return x / B.where(out == 0, 1.0, out)


# ---------------------------------------------------------------------- choice and comparison


def _share(B: Any, g: Any, x: Any, y: Any, wins: Any) -> Any:
    """g where `wins`, half of it where x = y, 0 elsewhere."""
    return g * B.where(x == y, 0.5, B.where(wins, 1.0, 0.0 * g))


def _masked(B: Any, g: Any, mask: Any) -> Any:
    """g where mask, else 0."""
    return B.where(mask, g, 0.0)


@primitive(
    x=lambda B, g, x, y: _share(B, g, x, y, x > y),
    y=lambda B, g, x, y: _share(B, g, x, y, y > x),
)
def maximum(B: Any, x: Any, y: Any) -> Any:
    """The greater of x and y.   g goes to the greater; ties share it evenly."""
    return B.maximum(x, y)


@primitive(
    x=lambda B, g, x, y: _share(B, g, x, y, x < y),
    y=lambda B, g, x, y: _share(B, g, x, y, y < x),
)
def minimum(B: Any, x: Any, y: Any) -> Any:
    """The smaller of x and y.   g goes to the smaller; ties share it evenly."""
    return B.minimum(x, y)


def _inside(B: Any, x: Any, min: Any, max: Any) -> Any:
    above = True if min is None else x >= min
    below = True if max is None else x <= max
    if above is True:
        return x == x if below is True else below
    return above if below is True else B.logical_and(above, below)


@primitive(
    x=lambda B, g, x, min, max: _masked(B, g, _inside(B, x, min, max)),
    min=lambda B, g, x, min: _masked(B, g, x < min),
    max=lambda B, g, x, max: _masked(B, g, x > max),
)
def clip(B: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max].   g goes to x inside (bounds included), to the bound outside."""
    return B.clip(x, min, max)


@primitive(
    x=lambda B, g, condition: B.where(condition, g, 0.0),
    y=lambda B, g, condition: B.where(condition, 0.0, g),
)
def where(B: Any, condition: Any, x: Any, y: Any) -> Any:
    """x where the condition holds, else y.   g goes where the value came from."""
    return B.where(condition, x, y)


@primitive(x=lambda B, g, x, y: g * B.sign(x) * B.copysign(B.ones_like(g), y))
def copysign(B: Any, x: Any, y: Any) -> Any:
    """|x| with the sign of y.   d/dx = g·sign(x)·sign(y);   d/dy = 0."""
    return B.copysign(x, y)


@primitive(x=_zero)
def sign(B: Any, x: Any) -> Any:
    """-1, 0 or 1.   d/dx = 0 (at the jumps too)."""
    return B.sign(x)


@primitive(x=_zero)
def floor(B: Any, x: Any) -> Any:
    """The greatest integer not above x.   d/dx = 0 (at the jumps too)."""
    return B.floor(x)


@primitive(x=_zero)
def ceil(B: Any, x: Any) -> Any:
    """The smallest integer not below x.   d/dx = 0 (at the jumps too)."""
    return B.ceil(x)


@primitive(x=_zero)
def trunc(B: Any, x: Any) -> Any:
    """The integer part of x.   d/dx = 0 (at the jumps too)."""
    return B.trunc(x)


@primitive(x=_zero)
def round(B: Any, x: Any) -> Any:
    """The nearest integer, halves to even.   d/dx = 0 (at the jumps too)."""
    return B.round(x)
