"""Softmax and its kin over rows: x of shape (rows, classes), in memory row after row.

Rows are taken in blocks that stay in the first-level cache. Within a block the exponentials are
one loop over all its elements, so that it fills vector registers for few classes too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .exponential import exp
from .ranking import rank, ranked
from .reduction import CHUNK, total_of

ELEMENTS = 4096
"""About how many a block of rows has; the same for any number of threads."""


@kernel
def height(x: Any) -> Any:
    """How many rows a block has."""
    return max(1, ELEMENTS // x.shape[1])


@kernel
def greatest(row: Any) -> Any:
    """The greatest element by `rank`; a NaN it misses makes the exponentials' sum NaN by itself."""
    top = rank(row[0])
    for i in range(row.size):
        top = max(top, rank(row[i]))
    return ranked(top)


@kernel
def chunk_product(a: Any, b: Any) -> Any:
    """Σ a·b of a chunk."""
    total = a.dtype.type(0)
    for i in range(a.size):
        total += a[i] * b[i]
    return total


@kernel
def product_of(a: Any, b: Any) -> Any:
    """Σ a·b of two rows."""
    total = np.float64(0)
    for i in range(0, a.size, CHUNK):
        total += chunk_product(a[i : i + CHUNK], b[i : i + CHUNK])
    return total


@kernel
def shift(x: Any, y: Any) -> None:
    """y = x - max x of each row."""
    for r in range(x.shape[0]):
        top = greatest(x[r])
        for i in range(x.shape[1]):
            y[r, i] = x[r, i] - top


@kernel
def exponentials(x: Any, y: Any) -> None:
    """y = e^x of flat memory."""
    for i in range(x.size):
        y[i] = exp(x[i])


@kernel
def exponentiate(y: Any) -> None:
    """y ← e^y of flat memory."""
    for i in range(y.size):
        y[i] = exp(y[i])


@kernel
def scale(row: Any, factor: Any) -> None:
    """row ← row·factor."""
    for i in range(row.size):
        row[i] *= factor


@driver
def softmax(x: Any, y: Any) -> None:
    """y = e^(x - max)/Σ e^(x - max)."""
    step = height(x)
    for block in prange((x.shape[0] + step - 1) // step):
        low = block * step
        part = y[low : low + step]
        shift(x[low : low + step], part)
        exponentiate(part.reshape(-1))
        for r in range(part.shape[0]):
            scale(part[r], x.dtype.type(1 / total_of(part[r])))


@driver
def log_softmax(x: Any, y: Any) -> None:
    """y = x - max - ln Σ e^(x - max)."""
    step = height(x)
    for block in prange((x.shape[0] + step - 1) // step):
        low = block * step
        part = y[low : low + step]
        powers = np.empty(part.size, x.dtype)
        shift(x[low : low + step], part)
        exponentials(part.reshape(-1), powers)
        width = x.shape[1]
        for r in range(part.shape[0]):
            less = x.dtype.type(math.log(total_of(powers[r * width : (r + 1) * width])))
            for i in range(width):
                part[r, i] -= less


@driver
def softmax_pull(g: Any, out: Any, dx: Any) -> None:
    """dx = out·(g - Σ g·out)."""
    step = height(out)
    for block in prange((out.shape[0] + step - 1) // step):
        for r in range(block * step, min((block + 1) * step, out.shape[0])):
            total = out.dtype.type(product_of(g[r], out[r]))
            for i in range(out.shape[1]):
                dx[r, i] = out[r, i] * (g[r, i] - total)


@driver
def log_softmax_pull(g: Any, out: Any, dx: Any) -> None:
    """dx = g - e^out·Σ g."""
    step = height(out)
    for block in prange((out.shape[0] + step - 1) // step):
        low = block * step
        part = dx[low : low + step]
        exponentials(out[low : low + step].reshape(-1), part.reshape(-1))
        for r in range(part.shape[0]):
            total = out.dtype.type(total_of(g[low + r]))
            for i in range(out.shape[1]):
                part[r, i] = g[low + r, i] - part[r, i] * total


@driver
def cross_entropy(x: Any, target: Any, totals: Any, picked: Any, slope: Any, weight: Any) -> None:
    """slope = (softmax(x) - onehot(target))·weight, with Σ e^(x - max) and x[target] - max of each
    row, whose loss is ln(total) - picked."""
    step = height(x)
    for block in prange((x.shape[0] + step - 1) // step):
        low = block * step
        part = slope[low : low + step]
        shift(x[low : low + step], part)
        for r in range(part.shape[0]):
            picked[low + r] = part[r, target[low + r]]
        exponentiate(part.reshape(-1))
        for r in range(part.shape[0]):
            total = total_of(part[r])
            totals[low + r] = total
            scale(part[r], x.dtype.type(weight / total))
            part[r, target[low + r]] -= x.dtype.type(weight)


@softmax.examples
@log_softmax.examples
def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    x = rng.standard_normal((700, 13)).astype(dtype)
    yield x, np.zeros_like(x)


@softmax_pull.examples
@log_softmax_pull.examples
def _pulls(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    g, x = rng.standard_normal((2, 700, 13)).astype(dtype)
    yield g, x, np.zeros_like(x)


@cross_entropy.examples
def _losses(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    x = rng.standard_normal((700, 13)).astype(dtype)
    totals, picked = np.zeros((2, 700), dtype)
    yield x, rng.integers(0, 13, 700), totals, picked, np.zeros_like(x), 1 / 700
