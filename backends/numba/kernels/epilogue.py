"""What follows a matrix product: a bias for every column, and an activation, in its own memory."""

from __future__ import annotations

from typing import Any

from numba import prange

from ..compiler import Driver, driver, kernel
from .exponential import exp
from .maps import BLOCK, Examples


@kernel
def _plain(x: Any, one: Any) -> Any:
    return x


@kernel
def _relu(x: Any, one: Any) -> Any:
    zero = one - one
    return zero if x <= zero else x  # this way round: NaN stays


@kernel
def _sigmoid(x: Any, one: Any) -> Any:
    return one / (one + exp(-x))


def _epilogue(step: Any) -> Driver:
    """The driver out ← step(out + bias, one) of (out, bias), for the rows of a matrix."""

    @kernel
    def run(row: Any, bias: Any) -> None:
        one = row.dtype.type(1)
        for i in range(row.size):
            row[i] = step(row[i] + bias[i], one)

    @driver
    def apply(out: Any, bias: Any) -> None:
        height = max(1, BLOCK // bias.size)
        for block in prange((out.shape[0] + height - 1) // height):
            for r in range(block * height, min((block + 1) * height, out.shape[0])):
                run(out[r], bias)

    @apply.examples
    def _(rng: Any, dtype: Any) -> Examples:
        yield rng.standard_normal((130, 101)).astype(dtype), rng.standard_normal(101).astype(dtype)

    return apply


plain, relu, sigmoid = _epilogue(_plain), _epilogue(_relu), _epilogue(_sigmoid)
