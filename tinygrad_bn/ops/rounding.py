"""Rounding and signs: functions with steps, whose derivatives are 0.

Names and semantics: Python Array API standard 2024.12.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..refusal import check_integer

__all__ = [
    "ceil",
    "floor",
    "round",
    "sign",
    "trunc",
]


def flat(B: Any, g: Any) -> Any:
    """The rule of a function with steps: 0, at the steps too."""
    return B.zeros_like(g)


@primitive(x=flat)
def sign(B: Any, x: Any, /) -> Any:
    """-1, 0 or 1; x/|x| of complex x.   d/dx = 0 (at the jumps too)."""
    return B.sign(x)


@primitive(x=flat)
def floor(B: Any, x: Any, /) -> Any:
    """The greatest integer not above x.   d/dx = 0 (at the jumps too)."""
    return B.floor(x)


@primitive(x=flat)
def ceil(B: Any, x: Any, /) -> Any:
    """The smallest integer not below x.   d/dx = 0 (at the jumps too)."""
    return B.ceil(x)


@primitive(x=flat)
def trunc(B: Any, x: Any, /) -> Any:
    """The integer part of x.   d/dx = 0 (at the jumps too)."""
    return B.trunc(x)


@primitive(x=flat)
def round(B: Any, x: Any, /) -> Any:
    """The nearest integer, halves to even.   d/dx = 0 (at the jumps too)."""
    return B.round(x)


@primitive(x=flat)
def round_digits(B: Any, x: Any, *, digits: int) -> Any:
    """The nearest multiple of 10^-digits: `round(x, digits)`.   d/dx = 0 (at the jumps too).

    A number that is too great for the scaling is its own nearest multiple.
    """
    digits = check_integer("round", "ndigits", digits)
    if x.dtype not in B.floating:
        return x if digits >= 0 else _round_integers(B, x, 10**-digits)
    scale = 10.0 ** abs(digits)
    scaled = x * scale if digits >= 0 else x / scale
    near = B.round(scaled)
    return B.where(B.isfinite(scaled), near / scale if digits >= 0 else near * scale, x)


def _round_integers(B: Any, x: Any, unit: int) -> Any:
    """The nearest multiples of a unit, halves to the even ones."""
    if unit > B.xp.iinfo(x.dtype).max:
        return B.zeros_like(x)
    whole = B.floor_divide(x, unit)
    rest = x - whole * unit
    other = unit - rest
    up = B.logical_or(rest > other, B.logical_and(rest == other, whole % 2 == 1))
    return B.where(up, whole + 1, whole) * unit
