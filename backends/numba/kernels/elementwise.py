"""Elementwise functions and their pulls, in one pass over memory.

Each is a step for one element and a driver that applies it to blocks of flat arrays. `one` is the
number 1 in the dtype of the arrays: with plain constants single precision would become double.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import prange

from ..compiler import Driver, driver, kernel
from .exponential import exp

BLOCK = 4096
"""Elements that one thread takes at a time; the same for any number of threads."""


def _map(step: Any) -> Driver:
    """The driver y = step(x, one)."""

    @kernel
    def run(x: Any, y: Any) -> None:
        one = x.dtype.type(1)
        for i in range(x.size):
            y[i] = step(x[i], one)

    @driver
    def apply(x: Any, y: Any) -> None:
        for block in prange((x.size + BLOCK - 1) // BLOCK):
            low = block * BLOCK
            run(x[low : low + BLOCK], y[low : low + BLOCK])

    @apply.examples
    def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
        x = rng.standard_normal(3 * BLOCK + 5).astype(dtype)
        yield x, np.zeros_like(x)

    return apply


def _map_two(step: Any) -> Driver:
    """The driver y = step(g, x, one)."""

    @kernel
    def run(g: Any, x: Any, y: Any) -> None:
        one = x.dtype.type(1)
        for i in range(x.size):
            y[i] = step(g[i], x[i], one)

    @driver
    def apply(g: Any, x: Any, y: Any) -> None:
        for block in prange((x.size + BLOCK - 1) // BLOCK):
            low = block * BLOCK
            run(g[low : low + BLOCK], x[low : low + BLOCK], y[low : low + BLOCK])

    @apply.examples
    def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
        g, x = rng.standard_normal((2, 3 * BLOCK + 5)).astype(dtype)
        yield g, x, np.zeros_like(x)

    return apply


# -------------------------------------------------------------------------------- any precision


@kernel
def _relu(x: Any, one: Any) -> Any:
    zero = one - one
    return zero if x <= zero else x  # this way round: NaN stays


@kernel
def _relu_pull(g: Any, out: Any, one: Any) -> Any:
    zero = one - one
    return zero if out == zero else g


@kernel
def _sigmoid(x: Any, one: Any) -> Any:
    return one / (one + exp(-x))


@kernel
def _sigmoid_pull(g: Any, out: Any, one: Any) -> Any:
    return g * (out * (one - out))


@kernel
def _tanh_pull(g: Any, out: Any, one: Any) -> Any:
    return g * (one - out * out)


@kernel
def _silu(x: Any, one: Any) -> Any:
    return x * (one / (one + exp(-x)))


@kernel
def _silu_pull(g: Any, x: Any, one: Any) -> Any:
    s = one / (one + exp(-x))
    return g * (s * (one + x * (one - s)))


# ---------------------------------------------------------------------- single precision alone


_S = tuple(
    map(
        np.float32,
        (-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 0.133314422036, -0.333332819422),
    )
)
"""(tanh x - x)/x³ in x², highest coefficient first, for |x| < 0.625. Source: Moshier, Cephes."""
_LIMIT = np.float32(0.625)
_ROOT, _CUBE = np.float32((2 / np.pi) ** 0.5), np.float32(0.044715)
_SLOPE = np.float32(3 * 0.044715)
_HALF, _TWO = np.float32(0.5), np.float32(2)


@kernel
def _tanh(x: Any, one: Any) -> Any:
    q = x * x
    small = ((((_S[0] * q + _S[1]) * q + _S[2]) * q + _S[3]) * q + _S[4]) * q * x + x
    large = one - _TWO / (exp(_TWO * x) + one)
    return small if abs(x) < _LIMIT else large


@kernel
def _gelu(x: Any, one: Any) -> Any:
    return _HALF * (one + _tanh(_ROOT * (x + _CUBE * (x * x * x)), one)) * x


@kernel
def _gelu_pull(g: Any, x: Any, one: Any) -> Any:
    far = np.float32(40)
    z = far if x > far else (-far if x < -far else x)
    q = z * z
    t = _tanh(_ROOT * (z + _CUBE * (z * q)), one)
    return g * (_HALF * (one + t) + (_HALF * z) * (one - t * t) * (_ROOT * (one + _SLOPE * q)))


relu, relu_pull = _map(_relu), _map_two(_relu_pull)
sigmoid, sigmoid_pull = _map(_sigmoid), _map_two(_sigmoid_pull)
tanh_pull = _map_two(_tanh_pull)
silu, silu_pull = _map(_silu), _map_two(_silu_pull)
gelu, gelu_pull = _map(_gelu), _map_two(_gelu_pull)
