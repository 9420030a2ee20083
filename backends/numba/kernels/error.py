"""The error function and gelu, which is made of it, with their pulls; see `maps`.

As in the reference: up to 1 a quotient of polynomials in x², beyond it 1 - e^(-x²)·P(x)/Q(x).
Elements are limited to a size at which e^(-x²) is 0 and the polynomials do not overflow.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from tinygrad_bn.backend.error_function import DOUBLE, SINGLE

from ..compiler import exact, kernel
from .exponential import exp
from .maps import map_one, map_two

_S, _L = ("small P", "small Q"), ("large P", "large Q")
_SMALL_P64, _SMALL_Q64 = (DOUBLE[name] for name in _S)
_LARGE_P64, _LARGE_Q64 = (DOUBLE[name] for name in _L)
_SMALL_P32, _SMALL_Q32 = (tuple(map(np.float32, SINGLE[name])) for name in _S)
_LARGE_P32, _LARGE_Q32 = (tuple(map(np.float32, SINGLE[name])) for name in _L)
_ONE32 = np.float32(1)


@exact
def horner3(t: Any, c: Any) -> Any:
    """A polynomial of three coefficients, lowest first."""
    return (c[2] * t + c[1]) * t + c[0]


@exact
def horner4(t: Any, c: Any) -> Any:
    """A polynomial of four coefficients."""
    return ((c[3] * t + c[2]) * t + c[1]) * t + c[0]


@exact
def horner6(t: Any, c: Any) -> Any:
    """A polynomial of six coefficients."""
    return ((((c[5] * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]) * t + c[0]


@exact
def horner7(t: Any, c: Any) -> Any:
    """A polynomial of seven coefficients."""
    return (((((c[6] * t + c[5]) * t + c[4]) * t + c[3]) * t + c[2]) * t + c[1]) * t + c[0]


@exact
def erf32(a: Any, bell: Any) -> Any:
    """erf a in single precision, for |a| ≤ 29, given e^(-a²)."""
    size, square = abs(a), a * a
    small = horner4(square, _SMALL_P32) / horner3(square, _SMALL_Q32) * a + a
    large = _ONE32 - horner3(size, _LARGE_P32) / horner4(size, _LARGE_Q32) * bell
    return (-large if a < -_ONE32 else large) if size > _ONE32 else small


@exact
def erf64(a: Any, bell: Any) -> Any:
    """erf a in double precision, for |a| ≤ 29, given e^(-a²)."""
    size, square = abs(a), a * a
    small = horner6(square, _SMALL_P64) / horner6(square, _SMALL_Q64) * a + a
    large = 1.0 - horner6(size, _LARGE_P64) / horner7(size, _LARGE_Q64) * bell
    return (-large if a < -1.0 else large) if size > 1.0 else small


def erf_of(a: Any, bell: Any) -> Any:
    """erf a in the precision of a, given e^(-a²)."""
    return erf32(a, bell) if isinstance(a, np.float32) else erf64(a, bell)


@overload(erf_of)
def _erf_of(a: Any, bell: Any) -> Any:
    single = a == types.float32

    def chosen(a: Any, bell: Any) -> Any:
        return erf32(a, bell) if single else erf64(a, bell)

    return chosen


@kernel
def bounded(x: Any, far: Any) -> Any:
    """x limited to [-far, far]; NaN stays."""
    return far if x > far else (-far if x < -far else x)


@kernel
def _erf(x: Any, one: Any) -> Any:
    a = bounded(x, type(one)(28))
    return erf_of(a, exp(-(a * a)))


@kernel
def _erf_pull(g: Any, x: Any, one: Any) -> Any:
    a = bounded(x, type(one)(28))
    return g * (exp(-(a * a)) * type(one)(2 / math.sqrt(math.pi)))


@kernel
def _gelu(x: Any, one: Any) -> Any:
    number = type(one)
    a = bounded(x * number(math.sqrt(0.5)), number(28))
    return number(0.5) * (erf_of(a, exp(-(a * a))) + one) * x


@kernel
def _gelu_pull(g: Any, x: Any, one: Any) -> Any:
    number = type(one)
    z = bounded(x, number(40))
    a = z * number(math.sqrt(0.5))
    bell = exp(number(-0.5) * (z * z))
    density = bell * number(1 / math.sqrt(2 * math.pi))
    return g * (number(0.5) * (one + erf_of(a, bell)) + z * density)


erf, erf_pull = map_one(_erf), map_two(_erf_pull)
gelu, gelu_pull = map_one(_gelu), map_two(_gelu_pull)
