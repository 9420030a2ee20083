"""Elementwise comparison, logic, bits, classification, and the parts of complex numbers.

Names and semantics: Python Array API standard 2024.12. Boolean and integer results have no
derivative; complex tensors carry no gradients, so `conj`, `real` and `imag` differentiate as
functions of real numbers.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "conj",
    "equal",
    "greater",
    "greater_equal",
    "imag",
    "isfinite",
    "isinf",
    "isnan",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "nextafter",
    "not_equal",
    "real",
    "signbit",
]


@primitive()
def equal(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 = x2."""
    return B.equal(x1, x2)


@primitive()
def not_equal(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 ≠ x2."""
    return B.not_equal(x1, x2)


@primitive()
def less(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 < x2."""
    return B.less(x1, x2)


@primitive()
def less_equal(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 ≤ x2."""
    return B.less_equal(x1, x2)


@primitive()
def greater(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 > x2."""
    return B.greater(x1, x2)


@primitive()
def greater_equal(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 ≥ x2."""
    return B.greater_equal(x1, x2)


@primitive()
def logical_and(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 and x2."""
    return B.logical_and(x1, x2)


@primitive()
def logical_or(B: Any, x1: Any, x2: Any, /) -> Any:
    """x1 or x2."""
    return B.logical_or(x1, x2)


@primitive()
def logical_xor(B: Any, x1: Any, x2: Any, /) -> Any:
    """Either x1 or x2, not both."""
    return B.logical_xor(x1, x2)


@primitive()
def bitwise_and(B: Any, x1: Any, x2: Any, /) -> Any:
    """Bits set in both."""
    return B.bitwise_and(x1, x2)


@primitive()
def bitwise_or(B: Any, x1: Any, x2: Any, /) -> Any:
    """Bits set in either."""
    return B.bitwise_or(x1, x2)


@primitive()
def bitwise_xor(B: Any, x1: Any, x2: Any, /) -> Any:
    """Bits set in one of them."""
    return B.bitwise_xor(x1, x2)


@primitive()
def bitwise_left_shift(B: Any, x1: Any, x2: Any, /) -> Any:
    """Bits of x1 moved up by x2."""
    return B.bitwise_left_shift(x1, x2)


@primitive()
def bitwise_right_shift(B: Any, x1: Any, x2: Any, /) -> Any:
    """Bits of x1 moved down by x2, keeping the sign."""
    return B.bitwise_right_shift(x1, x2)


@primitive()
def nextafter(B: Any, x1: Any, x2: Any, /) -> Any:
    """The next floating-point number from x1 towards x2."""
    return B.nextafter(x1, x2)


@primitive()
def logical_not(B: Any, x: Any, /) -> Any:
    """not x."""
    return B.logical_not(x)


@primitive()
def bitwise_invert(B: Any, x: Any, /) -> Any:
    """All bits flipped."""
    return B.bitwise_invert(x)


@primitive()
def isfinite(B: Any, x: Any, /) -> Any:
    """Neither NaN nor infinite."""
    return B.isfinite(x)


@primitive()
def isinf(B: Any, x: Any, /) -> Any:
    """Infinite."""
    return B.isinf(x)


@primitive()
def isnan(B: Any, x: Any, /) -> Any:
    """Not a number."""
    return B.isnan(x)


@primitive()
def signbit(B: Any, x: Any, /) -> Any:
    """Whether the sign bit is set, also of -0 and NaN."""
    return B.signbit(x)


@primitive(x=lambda B, g: g)
def conj(B: Any, x: Any, /) -> Any:
    """Complex conjugate; of real x, x itself.   d/dx = g (real x)."""
    return B.conj(x)


@primitive(x=lambda B, g: B.zeros_like(g))
def imag(B: Any, x: Any, /) -> Any:
    """Imaginary part; of real x, zeros.   d/dx = 0 (real x)."""
    return B.imag(x)


@primitive(x=lambda B, g: g)
def real(B: Any, x: Any, /) -> Any:
    """Real part; of real x, x itself.   d/dx = g (real x)."""
    return B.real(x)
