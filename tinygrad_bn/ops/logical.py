"""Elementwise comparison, logic, bits and classification: results without a derivative."""

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
def equal(B: Any, x: Any, y: Any) -> Any:
    """x = y."""
    return B.equal(x, y)


@primitive()
def not_equal(B: Any, x: Any, y: Any) -> Any:
    """x ≠ y."""
    return B.not_equal(x, y)


@primitive()
def less(B: Any, x: Any, y: Any) -> Any:
    """x < y."""
    return B.less(x, y)


@primitive()
def less_equal(B: Any, x: Any, y: Any) -> Any:
    """x ≤ y."""
    return B.less_equal(x, y)


@primitive()
def greater(B: Any, x: Any, y: Any) -> Any:
    """x > y."""
    return B.greater(x, y)


@primitive()
def greater_equal(B: Any, x: Any, y: Any) -> Any:
    """x ≥ y."""
    return B.greater_equal(x, y)


@primitive()
def logical_and(B: Any, x: Any, y: Any) -> Any:
    """x and y."""
    return B.logical_and(x, y)


@primitive()
def logical_or(B: Any, x: Any, y: Any) -> Any:
    """x or y."""
    return B.logical_or(x, y)


@primitive()
def logical_xor(B: Any, x: Any, y: Any) -> Any:
    """Either x or y, not both."""
    return B.logical_xor(x, y)


@primitive()
def bitwise_and(B: Any, x: Any, y: Any) -> Any:
    """Bits set in both."""
    return B.bitwise_and(x, y)


@primitive()
def bitwise_or(B: Any, x: Any, y: Any) -> Any:
    """Bits set in either."""
    return B.bitwise_or(x, y)


@primitive()
def bitwise_xor(B: Any, x: Any, y: Any) -> Any:
    """Bits set in one of them."""
    return B.bitwise_xor(x, y)


@primitive()
def bitwise_left_shift(B: Any, x: Any, y: Any) -> Any:
    """Bits of x moved up by y."""
    return B.bitwise_left_shift(x, y)


@primitive()
def bitwise_right_shift(B: Any, x: Any, y: Any) -> Any:
    """Bits of x moved down by y, keeping the sign."""
    return B.bitwise_right_shift(x, y)


@primitive()
def nextafter(B: Any, x: Any, y: Any) -> Any:
    """The next floating-point number from x towards y."""
    return B.nextafter(x, y)


@primitive()
def logical_not(B: Any, x: Any) -> Any:
    """not x."""
    return B.logical_not(x)


@primitive()
def bitwise_invert(B: Any, x: Any) -> Any:
    """All bits flipped."""
    return B.bitwise_invert(x)


@primitive()
def isfinite(B: Any, x: Any) -> Any:
    """Neither NaN nor infinite."""
    return B.isfinite(x)


@primitive()
def isinf(B: Any, x: Any) -> Any:
    """Infinite."""
    return B.isinf(x)


@primitive()
def isnan(B: Any, x: Any) -> Any:
    """Not a number."""
    return B.isnan(x)


@primitive()
def signbit(B: Any, x: Any) -> Any:
    """Whether the sign bit is set, also of -0 and NaN."""
    return B.signbit(x)


@primitive()
def conj(B: Any, x: Any) -> Any:
    """Complex conjugate."""
    return B.conj(x)


@primitive()
def imag(B: Any, x: Any) -> Any:
    """Imaginary part."""
    return B.imag(x)


@primitive()
def real(B: Any, x: Any) -> Any:
    """Real part."""
    return B.real(x)
