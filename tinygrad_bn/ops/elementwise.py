"""Elementwise arithmetic, and choice between elements.

Formulas are per element; inputs broadcast against each other. Where a function has a kink, the
subgradient is stated beside it. Names and semantics: Python Array API standard 2024.12.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive
from .rounding import flat

__all__ = [
    "abs",
    "add",
    "clip",
    "copysign",
    "divide",
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
    "sqrt",
    "square",
    "subtract",
    "where",
]

SCALARS = (int, float, bool)

# --------------------------------------------------------------------------------- arithmetic


@primitive(
    x1=lambda B, g: g,
    x2=lambda B, g: g,
)
def add(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 + x2.   d/dx1 = g,   d/dx2 = g."""
    return B.add(x1, x2)


@primitive(
    x1=lambda B, g: g,
    x2=lambda B, g: -g,
)
def subtract(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 - x2.   d/dx1 = g,   d/dx2 = -g."""
    return B.subtract(x1, x2)


@primitive(
    x1=lambda B, g, x2: g * x2,
    x2=lambda B, g, x1: g * x1,
)
def multiply(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1·x2.   d/dx1 = g·x2,   d/dx2 = g·x1."""
    return B.multiply(x1, x2)


@primitive(
    x1=lambda B, g, x2: g / x2,
    x2=lambda B, g, x2, out: -g * out / x2,
)
def divide(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 / x2.   d/dx1 = g/x2,   d/dx2 = -g·out/x2."""
    return B.divide(x1, x2)


def _pow_dx1(B: Any, g: Any, x1: Any, x2: Any) -> Any:
    """g·x2·x1^(x2-1), and 0 where x2 = 0 (also at x1 = 0, where the formula gives 0·∞)."""
    if isinstance(x2, SCALARS):
        if x2 == 0:
            return B.zeros_like(g)
        return g * (x2 * x1) if x2 == 2 else g * (x2 * x1 ** (x2 - 1))
    zero = x2 == 0
    return g * B.where(zero, 0.0, x2 * x1 ** B.where(zero, 1.0, x2 - 1))


def _pow_dx2(B: Any, g: Any, x1: Any, out: Any) -> Any:
    """g·out·ln x1, and 0 where x1 = 0 (the limit of the formula for x2 > 0)."""
    if isinstance(x1, SCALARS):
        return g * (out * (math.log(x1) if x1 > 0 else 0.0 if x1 == 0 else math.nan))
    zero = x1 == 0
    return g * B.where(zero, 0.0, out * B.log(B.where(zero, 1.0, x1)))


@primitive(x1=_pow_dx1, x2=_pow_dx2)
def pow(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1^x2.   d/dx1 = g·x2·x1^(x2-1), 0 where x2 = 0;   d/dx2 = g·out·ln x1, 0 where x1 = 0."""
    return B.pow(x1, x2)


def _check_divisor(B: Any, name: str, x1: Any, x2: Any) -> None:
    """ZeroDivisionError for integers divided by 0, which have no infinity to say so."""
    if any(a.dtype in B.floating for a in (x1, x2) if hasattr(a, "dtype")):
        return
    if isinstance(x1, float) or isinstance(x2, float):
        return
    if not bool(B.all(x2 != 0) if hasattr(x2, "dtype") else x2):
        raise ZeroDivisionError(f"{name}: x2 must not be 0 for integers")


@primitive(x1=lambda B, g: g, x2=lambda B, g, x1, x2: -g * B.floor_divide(x1, x2))
def remainder(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 - x2·⌊x1/x2⌋, the sign of x2.   d/dx1 = g,   d/dx2 = -g·⌊x1/x2⌋.

    Raises ZeroDivisionError for integers modulo 0.
    """
    _check_divisor(B, "remainder", x1, x2)
    return B.remainder(x1, x2)


@primitive(x1=flat, x2=flat)
def floor_divide(B: Any, x1: Any, x2: Any, /) -> Any:
    """⌊x1/x2⌋.   Derivatives are 0 (at the jumps too).

    Raises ZeroDivisionError for integers divided by 0.
    """
    _check_divisor(B, "floor_divide", x1, x2)
    return B.floor_divide(x1, x2)


@primitive(x=lambda B, g: -g)
def negative(B: Any, x: Any, /) -> Any:
    """-x.   d/dx = -g."""
    return B.negative(x)


@primitive(x=lambda B, g: g)
def positive(B: Any, x: Any, /) -> Any:
    """+x.   d/dx = g."""
    return B.positive(x)


@primitive(x=lambda B, g, x: g * B.sign(x))
def abs(B: Any, x: Any, /) -> Any:
    """|x|.   d/dx = g·sign(x), 0 at 0."""
    return B.abs(x)


@primitive(x=lambda B, g, x: g * (2 * x))
def square(B: Any, x: Any, /) -> Any:
    """x².   d/dx = 2·g·x."""
    return B.square(x)


@primitive(x=lambda B, g, out: g / (2 * out))
def sqrt(B: Any, x: Any, /) -> Any:
    """√x.   d/dx = g/(2·out), infinite at 0."""
    return B.sqrt(x)


@primitive(x=lambda B, g, out: -g * out * out)
def reciprocal(B: Any, x: Any, /) -> Any:
    """1/x, of floating-point numbers.   d/dx = -g·out²."""
    return 1 / x


@primitive(
    x1=lambda B, g, x1, out: g * _ratio(B, x1, out),
    x2=lambda B, g, x2, out: g * _ratio(B, x2, out),
)
def hypot(B: Any, x1: Any, x2: Any, /) -> Any:
    """√(x1² + x2²), without overflow.   d/dx1 = g·x1/out,   d/dx2 = g·x2/out, 0 at the origin."""
    return B.hypot(x1, x2)


def _ratio(B: Any, x: Any, out: Any) -> Any:
    return x / B.where(out == 0, 1.0, out)


# ---------------------------------------------------------------------- choice and comparison


def _share(B: Any, g: Any, x1: Any, x2: Any, loses: Any) -> Any:
    """Half of g where x1 = x2, 0 where this side `loses`, g elsewhere (a NaN never loses)."""
    return B.where(x1 == x2, 0.5 * g, B.where(loses, 0.0, g))


@primitive(
    x1=lambda B, g, x1, x2: _share(B, g, x1, x2, x1 < x2),
    x2=lambda B, g, x1, x2: _share(B, g, x1, x2, x2 < x1),
)
def maximum(B: Any, x1: Any, x2: Any, /) -> Any:
    """The greater of x1 and x2; NaN if either is.   g goes to the greater; ties share it evenly."""
    return B.maximum(x1, x2)


@primitive(
    x1=lambda B, g, x1, x2: _share(B, g, x1, x2, x1 > x2),
    x2=lambda B, g, x1, x2: _share(B, g, x1, x2, x2 > x1),
)
def minimum(B: Any, x1: Any, x2: Any, /) -> Any:
    """The smaller of x1 and x2; NaN if either is.   g goes to the smaller; ties share it evenly."""
    return B.minimum(x1, x2)


@primitive(g=lambda B, G, mask: B.masked(G, mask))
def masked(B: Any, g: Any, mask: Any) -> Any:
    """g where the mask holds, else 0 (also where g is NaN or infinite).   d/dg = masked(G)."""
    return B.masked(g, mask)


def _both(B: Any, first: Any, second: Any) -> Any:
    """Both conditions; None is a condition that always holds."""
    if first is None or second is None:
        return second if first is None else first
    return B.logical_and(first, second)


def _clip_dx(B: Any, g: Any, x: Any, min: Any, max: Any) -> Any:
    inside = _both(B, None if min is None else x >= min, None if max is None else x <= max)
    return g if inside is None else B.masked(g, inside)


def _clip_dmin(B: Any, g: Any, x: Any, min: Any, max: Any) -> Any:
    ordered = None if max is None else min < max if hasattr(min, "shape") else max > min
    return B.masked(g, _both(B, x < min, ordered))


def _clip_dmax(B: Any, g: Any, x: Any, min: Any, max: Any) -> Any:
    chosen = x > max
    return B.masked(g, chosen if min is None else B.logical_or(chosen, max < min))


@primitive(x=_clip_dx, min=_clip_dmin, max=_clip_dmax)
def clip(B: Any, x: Any, min: Any = None, max: Any = None) -> Any:
    """x limited to [min, max]; max everywhere where min > max.

    g goes to x inside (bounds included), to the bound outside.
    """
    return B.clip(x, min, max)


@primitive(
    x1=lambda B, g, condition: B.masked(g, condition),
    x2=lambda B, g, condition: B.masked(g, ~condition),
)
def where(B: Any, condition: Any, x1: Any, x2: Any, /) -> Any:
    """x1 where the condition holds, else x2.   g goes where the value came from.

    Raises TypeError if the condition is not boolean.
    """
    if not hasattr(condition, "dtype"):
        condition = B.asarray(condition)
    dtype = B.dtype_of(condition)
    if dtype.kind != "b":
        raise TypeError(f"where: condition must be boolean, got dtype {dtype}")
    if type(x1) in SCALARS and type(x2) in SCALARS:
        pair = B.asarray([x1, x2])
        x1, x2 = pair[0, ...], pair[1, ...]
    return B.where(condition, x1, x2)


@primitive(x1=lambda B, g, x1, x2: g * B.sign(x1) * B.copysign(B.ones_like(g), x2), x2=flat)
def copysign(B: Any, x1: Any, x2: Any, /) -> Any:
    """|x1| with the sign of x2.   d/dx1 = g·sign(x1)·sign(x2), 0 at 0;   d/dx2 = 0."""
    return B.copysign(x1, x2)
