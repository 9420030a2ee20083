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
WIDE = 256
"""Classes from which on a row is long enough for a loop of its own."""


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
def chunk_powers(x: Any, top: Any, y: Any) -> Any:
    """y = e^(x - top) of a chunk, and its sum."""
    total = x.dtype.type(0)
    for i in range(x.size):
        y[i] = exp(x[i] - top)
        total += y[i]
    return total


@kernel
def powers_of(x: Any, y: Any) -> Any:
    """y = e^(x - max x) of a row, and its sum."""
    top, total = greatest(x), np.float64(0)
    for i in range(0, x.size, CHUNK):
        total += chunk_powers(x[i : i + CHUNK], top, y[i : i + CHUNK])
    return total, top


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


@kernel
def finite_greatest(row: Any) -> Any:
    """The greatest element, or 0 if that is infinite or NaN."""
    top = greatest(row)
    return top if abs(top) < math.inf else row.dtype.type(0)


@kernel
def lower(row: Any, top: Any, y: Any) -> None:
    """y = row - top."""
    for i in range(row.size):
        y[i] = row[i] - top


@driver
def logsumexp(x: Any, out: Any) -> None:
    """out = max + ln Σ e^(x - max) of each row, 0 for a max that is not finite."""
    step, width = height(x), x.shape[1]
    for block in prange((x.shape[0] + step - 1) // step):
        low = block * step
        rows = x[low : low + step]
        powers = np.empty(rows.size, x.dtype)
        for r in range(rows.shape[0]):
            out[low + r] = finite_greatest(rows[r])
            lower(rows[r], out[low + r], powers[r * width : (r + 1) * width])
        exponentiate(powers)
        for r in range(rows.shape[0]):
            out[low + r] += x.dtype.type(np.log(total_of(powers[r * width : (r + 1) * width])))


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
def cross_entropy(x: Any, target: Any, losses: Any, slope: Any, weight: Any) -> None:
    """Losses ln Σ e^x - x[target] of the rows, and slope = (softmax(x) - onehot(target))·weight."""
    step, number = height(x), x.dtype.type
    for block in prange((x.shape[0] + step - 1) // step):
        low = block * step
        part, rows = slope[low : low + step], x[low : low + step]
        if x.shape[1] < WIDE:
            shift(rows, part)
            for r in range(part.shape[0]):
                losses[low + r] = part[r, target[low + r]]
            exponentiate(part.reshape(-1))
        for r in range(part.shape[0]):
            if x.shape[1] < WIDE:
                total, picked = total_of(part[r]), losses[low + r]
            else:
                total, top = powers_of(rows[r], part[r])
                picked = rows[r, target[low + r]] - top
            losses[low + r] = number(math.log(total)) - picked
            scale(part[r], number(weight / total))
            part[r, target[low + r]] -= number(weight)


@softmax.examples
@log_softmax.examples
def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    x = rng.standard_normal((700, 13)).astype(dtype)
    yield x, np.zeros_like(x)


@logsumexp.examples
def _sums(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for rows, classes in ((700, 13), (3, 9000)):
        x = rng.standard_normal((rows, classes)).astype(dtype)
        yield x, np.zeros(rows, dtype)


@softmax_pull.examples
@log_softmax_pull.examples
def _pulls(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    g, x = rng.standard_normal((2, 700, 13)).astype(dtype)
    yield g, x, np.zeros_like(x)


@cross_entropy.examples
def _losses(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for rows, classes in ((700, 13), (70, 1100)):
        x = rng.standard_normal((rows, classes)).astype(dtype)
        losses = np.zeros(rows, dtype)
        yield x, rng.integers(0, classes, rows), losses, np.zeros_like(x), 1 / rows
