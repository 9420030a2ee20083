"""Exponential functions in plain arithmetic, so that loops over them run in vector registers.

e^x = 2^k·e^r with k = round(x/ln 2): e^r is a polynomial on |r| ≤ (ln 2)/2, 2^k is made from bits.
Within 1 unit in the last place; +∞, 0 and NaN where they belong, and numbers below the normal ones.
e^x - 1 = 2^k·(e^r - 1) + (2^k - 1) is for x ≤ 0, within 2 units: no digits are lost near 0.
tanh |x| = (1 - e)/(1 + e) with e = e^(-2|x|) is made of that, within 3 units.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ..compiler import exact

# Adding this number rounds to an integer, which then stands in the lowest bits.
_SHIFT32, _SHIFT64 = np.float32(1.5 * 2**23), 1.5 * 2.0**52
_ZERO32, _ZERO64 = _SHIFT32.view(np.int32), np.float64(_SHIFT64).view(np.int64)
_LOG2E32, _LOG2E64 = np.float32(math.log2(math.e)), math.log2(math.e)
# ln 2 in two parts; products of the first with a k are exact.
_HIGH32, _LOW32 = np.float32(0.693359375), np.float32(-2.12194440e-4)
_HIGH64, _LOW64 = 0.6931471803691238, 1.9082149292705877e-10
_MOST32, _LEAST32 = np.float32(89.0), np.float32(-104.0)
_MOST64, _LEAST64 = 710.0, -746.0
_BIAS32, _BIAS64 = np.int32(127), np.int64(1023)
_C32 = tuple(np.float32(1 / math.factorial(n)) for n in range(8))
_C64 = tuple(1 / math.factorial(n) for n in range(14))


@exact
def parts32(x: Any) -> Any:
    """e^r - 1, and 2^k as a product of two, in single precision."""
    x = _MOST32 if x > _MOST32 else x  # this way round: NaN stays
    x = _LEAST32 if x < _LEAST32 else x
    t = np.float32(x * _LOG2E32 + _SHIFT32)
    k = t - _SHIFT32
    r = (x - k * _HIGH32) - k * _LOW32
    p = _C32[7]
    p = p * r + _C32[6]
    p = p * r + _C32[5]
    p = p * r + _C32[4]
    p = p * r + _C32[3]
    p = p * r + _C32[2]
    p = p * r * r + r
    power = np.int32(t.view(np.int32) - _ZERO32)
    half = power >> 1
    first = np.int32((half + _BIAS32) << 23).view(np.float32)
    second = np.int32((power - half + _BIAS32) << 23).view(np.float32)
    return p, first, second


@exact
def exp32(x: Any) -> Any:
    """e^x in single precision."""
    p, first, second = parts32(x)
    return (p + _C32[0]) * first * second


@exact
def expm1_32(x: Any) -> Any:
    """e^x - 1 for x ≤ 0, in single precision."""
    p, first, second = parts32(x)
    return p * first * second + (first * second - _C32[0])


@exact
def parts64(x: Any) -> Any:
    """e^r - 1, and 2^k as a product of two, in double precision."""
    x = _MOST64 if x > _MOST64 else x
    x = _LEAST64 if x < _LEAST64 else x
    t = np.float64(x * _LOG2E64 + _SHIFT64)
    k = t - _SHIFT64
    r = (x - k * _HIGH64) - k * _LOW64
    p = _C64[13]
    p = p * r + _C64[12]
    p = p * r + _C64[11]
    p = p * r + _C64[10]
    p = p * r + _C64[9]
    p = p * r + _C64[8]
    p = p * r + _C64[7]
    p = p * r + _C64[6]
    p = p * r + _C64[5]
    p = p * r + _C64[4]
    p = p * r + _C64[3]
    p = p * r + _C64[2]
    p = p * r * r + r
    power = t.view(np.int64) - _ZERO64
    half = power >> 1
    first = np.int64((half + _BIAS64) << 52).view(np.float64)
    second = np.int64((power - half + _BIAS64) << 52).view(np.float64)
    return p, first, second


@exact
def exp64(x: Any) -> Any:
    """e^x in double precision."""
    p, first, second = parts64(x)
    return (p + 1.0) * first * second


@exact
def expm1_64(x: Any) -> Any:
    """e^x - 1 for x ≤ 0, in double precision."""
    p, first, second = parts64(x)
    return p * first * second + (first * second - 1.0)


def exp(x: Any) -> Any:
    """e^x in the precision of x."""
    return exp32(x) if isinstance(x, np.float32) else exp64(x)


@overload(exp)
def _exp(x: Any) -> Any:
    single = x == types.float32

    def chosen(x: Any) -> Any:
        return exp32(x) if single else exp64(x)

    return chosen


def expm1(x: Any) -> Any:
    """e^x - 1 for x ≤ 0, in the precision of x."""
    return expm1_32(x) if isinstance(x, np.float32) else expm1_64(x)


@overload(expm1)
def _expm1(x: Any) -> Any:
    single = x == types.float32

    def chosen(x: Any) -> Any:
        return expm1_32(x) if single else expm1_64(x)

    return chosen


@exact
def tanh(x: Any, one: Any) -> Any:
    """tanh x; `one` is 1 in the precision of x."""
    two = one + one
    less = expm1(-two * abs(x))
    size = -less / (less + two)
    return -size if x < one - one else size
