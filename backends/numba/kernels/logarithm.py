"""ln(1 + t) for 0 ≤ t ≤ 1 in plain arithmetic, so that loops over it run in vector registers.

With s = t/(2 + t), ln(1 + t) = 2·artanh s, a series in s² that is short for s ≤ 0.172. Where t is
greater than √2 - 1, (1 + t)/2 takes the place of 1 + t, and ln 2 is added. Within 2 units in the
last place.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import types
from numba.extending import overload

from ..compiler import exact

_MIDDLE, _LN2 = math.sqrt(2) - 1, math.log(2)
_MIDDLE32, _LN2_32 = np.float32(_MIDDLE), np.float32(_LN2)
_ONE32, _TWO32, _THREE32 = np.float32(1), np.float32(2), np.float32(3)
_C32 = tuple(np.float32(1 / (2 * n + 1)) for n in range(6))
_C64 = tuple(1 / (2 * n + 1) for n in range(12))


@exact
def log1p32(t: Any) -> Any:
    """ln(1 + t) in single precision."""
    upper = t > _MIDDLE32
    s = (t - _ONE32 if upper else t) / (t + (_THREE32 if upper else _TWO32))
    q = s * s
    p = _C32[5]
    p = p * q + _C32[4]
    p = p * q + _C32[3]
    p = p * q + _C32[2]
    p = p * q + _C32[1]
    twice = s + s
    small = twice * (p * q) + twice
    return small + _LN2_32 if upper else small


@exact
def log1p64(t: Any) -> Any:
    """ln(1 + t) in double precision."""
    upper = t > _MIDDLE
    s = (t - 1.0 if upper else t) / (t + (3.0 if upper else 2.0))
    q = s * s
    p = _C64[11]
    p = p * q + _C64[10]
    p = p * q + _C64[9]
    p = p * q + _C64[8]
    p = p * q + _C64[7]
    p = p * q + _C64[6]
    p = p * q + _C64[5]
    p = p * q + _C64[4]
    p = p * q + _C64[3]
    p = p * q + _C64[2]
    p = p * q + _C64[1]
    twice = s + s
    small = twice * (p * q) + twice
    return small + _LN2 if upper else small


def log1p(t: Any) -> Any:
    """ln(1 + t) in the precision of t."""
    return log1p32(t) if isinstance(t, np.float32) else log1p64(t)


@overload(log1p)
def _log1p(t: Any) -> Any:
    single = t == types.float32

    def chosen(t: Any) -> Any:
        return log1p32(t) if single else log1p64(t)

    return chosen
