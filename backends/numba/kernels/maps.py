"""Functions of one element made into drivers over flat arrays, in one pass over memory.

A step is a kernel for one element; the driver applies it to blocks. `one` is the number 1 in the
dtype of the arrays: with plain constants single precision would become double.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import prange

from ..compiler import Driver, driver, kernel

Examples = Iterator[tuple[Any, ...]]

BLOCK = 4096
"""Elements that one thread takes at a time; the same for any number of threads."""


def owned(made: Driver, step: Any) -> Driver:
    """The driver as one of the module that has its step, where it has its name."""
    made.__module__ = getattr(step, "py_func", step).__module__
    return made


def map_one(step: Any) -> Driver:
    """The driver y = step(x, one) of (x, y)."""

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
    def _(rng: Any, dtype: Any) -> Examples:
        x = rng.standard_normal(3 * BLOCK + 5).astype(dtype)
        yield x, np.zeros_like(x)

    return owned(apply, step)


def map_two(step: Any) -> Driver:
    """The driver y = step(g, x, one) of (g, x, y)."""

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
    def _(rng: Any, dtype: Any) -> Examples:
        g, x = rng.standard_normal((2, 3 * BLOCK + 5)).astype(dtype)
        yield g, x, np.zeros_like(x)

    return owned(apply, step)


def map_one_by(step: Any) -> Driver:
    """The driver y = step(x, a, b, one) of (x, y, a, b), for two numbers a and b."""

    @kernel
    def run(x: Any, y: Any, a: Any, b: Any) -> None:
        one = x.dtype.type(1)
        for i in range(x.size):
            y[i] = step(x[i], a, b, one)

    @driver
    def apply(x: Any, y: Any, a: Any, b: Any) -> None:
        number = x.dtype.type
        for block in prange((x.size + BLOCK - 1) // BLOCK):
            low = block * BLOCK
            run(x[low : low + BLOCK], y[low : low + BLOCK], number(a), number(b))

    @apply.examples
    def _(rng: Any, dtype: Any) -> Examples:
        x = rng.standard_normal(3 * BLOCK + 5).astype(dtype)
        yield x, np.zeros_like(x), 1.5, 0.75

    return owned(apply, step)


def map_two_by(step: Any) -> Driver:
    """The driver y = step(g, x, a, b, one) of (g, x, y, a, b), for two numbers a and b."""

    @kernel
    def run(g: Any, x: Any, y: Any, a: Any, b: Any) -> None:
        one = x.dtype.type(1)
        for i in range(x.size):
            y[i] = step(g[i], x[i], a, b, one)

    @driver
    def apply(g: Any, x: Any, y: Any, a: Any, b: Any) -> None:
        number = x.dtype.type
        for block in prange((x.size + BLOCK - 1) // BLOCK):
            low = block * BLOCK
            high = low + BLOCK
            run(g[low:high], x[low:high], y[low:high], number(a), number(b))

    @apply.examples
    def _(rng: Any, dtype: Any) -> Examples:
        g, x = rng.standard_normal((2, 3 * BLOCK + 5)).astype(dtype)
        yield g, x, np.zeros_like(x), 1.5, 0.75

    return owned(apply, step)
