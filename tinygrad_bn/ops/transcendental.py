"""Elementwise exponentials, logarithms, trigonometric and hyperbolic functions."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive

__all__ = [
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atan2",
    "atanh",
    "cos",
    "cosh",
    "exp",
    "expm1",
    "log",
    "log1p",
    "log2",
    "log10",
    "logaddexp",
    "sin",
    "sinh",
    "tan",
    "tanh",
]

LN2 = math.log(2)
LN10 = math.log(10)


@primitive(x=lambda B, g, out: g * out)
def exp(B: Any, x: Any, /) -> Any:
    """eˣ.   d/dx = g·out."""
    return B.exp(x)


@primitive(x=lambda B, g, out: g * (out + 1))
def expm1(B: Any, x: Any, /) -> Any:
    """eˣ - 1, accurate near 0.   d/dx = g·(out + 1)."""
    return B.expm1(x)


@primitive(x=lambda B, g, x: g / x)
def log(B: Any, x: Any, /) -> Any:
    """ln x.   d/dx = g/x."""
    return B.log(x)


@primitive(x=lambda B, g, x: g / (1 + x))
def log1p(B: Any, x: Any, /) -> Any:
    """ln(1 + x), accurate near 0.   d/dx = g/(1 + x)."""
    return B.log1p(x)


@primitive(x=lambda B, g, x: g / (x * LN2))
def log2(B: Any, x: Any, /) -> Any:
    """log₂ x.   d/dx = g/(x·ln 2)."""
    return B.log2(x)


@primitive(x=lambda B, g, x: g / (x * LN10))
def log10(B: Any, x: Any, /) -> Any:
    """log₁₀ x.   d/dx = g/(x·ln 10)."""
    return B.log10(x)


@primitive(x=lambda B, g, x: g * B.cos(x))
def sin(B: Any, x: Any, /) -> Any:
    """sin x, x in radians.   d/dx = g·cos x."""
    return B.sin(x)


@primitive(x=lambda B, g, x: -g * B.sin(x))
def cos(B: Any, x: Any, /) -> Any:
    """cos x, x in radians.   d/dx = -g·sin x."""
    return B.cos(x)


@primitive(x=lambda B, g, out: g * (1 + out * out))
def tan(B: Any, x: Any, /) -> Any:
    """tan x, x in radians.   d/dx = g·(1 + out²)."""
    return B.tan(x)


@primitive(x=lambda B, g, x: g / B.sqrt((1 - x) * (1 + x)))
def asin(B: Any, x: Any, /) -> Any:
    """arcsin x, radians.   d/dx = g/√(1 - x²)."""
    return B.asin(x)


@primitive(x=lambda B, g, x: -g / B.sqrt((1 - x) * (1 + x)))
def acos(B: Any, x: Any, /) -> Any:
    """arccos x, radians.   d/dx = -g/√(1 - x²)."""
    return B.acos(x)


@primitive(x=lambda B, g, x: g / (1 + x * x))
def atan(B: Any, x: Any, /) -> Any:
    """arctan x, radians.   d/dx = g/(1 + x²)."""
    return B.atan(x)


@primitive(x=lambda B, g, x: g * B.cosh(x))
def sinh(B: Any, x: Any, /) -> Any:
    """sinh x.   d/dx = g·cosh x."""
    return B.sinh(x)


@primitive(x=lambda B, g, x: g * B.sinh(x))
def cosh(B: Any, x: Any, /) -> Any:
    """cosh x.   d/dx = g·sinh x."""
    return B.cosh(x)


@primitive(x=lambda B, g, out: B.tanh_pull(g, out))
def tanh(B: Any, x: Any, /) -> Any:
    """tanh x.   d/dx = g·(1 - out²)."""
    return B.tanh(x)


@primitive(x=lambda B, g, x: g / B.hypot(x, B.ones_like(x)))
def asinh(B: Any, x: Any, /) -> Any:
    """arsinh x.   d/dx = g/√(x² + 1)."""
    return B.asinh(x)


@primitive(x=lambda B, g, x: g / (B.sqrt(x - 1) * B.sqrt(x + 1)))
def acosh(B: Any, x: Any, /) -> Any:
    """arcosh x.   d/dx = g/√(x² - 1)."""
    return B.acosh(x)


@primitive(x=lambda B, g, x: g / ((1 - x) * (1 + x)))
def atanh(B: Any, x: Any, /) -> Any:
    """artanh x.   d/dx = g/(1 - x²)."""
    return B.atanh(x)


def _over_square(B: Any, a: Any, x1: Any, x2: Any) -> Any:
    """a/(x1² + x2²), without overflow."""
    r = B.hypot(x1, x2)
    return a / r / r


@primitive(
    x1=lambda B, g, x1, x2: g * _over_square(B, x2, x1, x2),
    x2=lambda B, g, x1, x2: -g * _over_square(B, x1, x1, x2),
)
def atan2(B: Any, x1: Any, x2: Any, /) -> Any:
    """Angle of the point (x2, x1), radians in [-π, π].

    d/dx1 = g·x2/(x1² + x2²),   d/dx2 = -g·x1/(x1² + x2²), undefined (NaN) at the origin.
    """
    return B.atan2(x1, x2)


@primitive(
    x1=lambda B, g, x1, x2: g * B.sigmoid(x1 - x2),
    x2=lambda B, g, x1, x2: g * B.sigmoid(x2 - x1),
)
def logaddexp(B: Any, x1: Any, x2: Any, /) -> Any:
    """ln(e^x1 + e^x2), without overflow.   d/dx1 = g·σ(x1 - x2),   d/dx2 = g·σ(x2 - x1)."""
    return B.logaddexp(x1, x2)
