"""Steps of the optimizers over tables of arrays: every parameter in one call.

The rows of a table are the parameters, their state, and last the gradients; see `tables.survey`.
Numbers come in the dtype of the arrays.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import prange

from ..compiler import Held, driver, kernel
from .tables import BLOCK, column, part


@kernel
def direction(g: Any, p: Any, decay: Any, maximize: Any) -> Any:
    """The gradient to descend along."""
    d = -g if maximize else g
    return d + p * decay if decay != 0 else d


@kernel
def sgd_plain(p: Any, g: Any, lr: Any, decay: Any, maximize: Any) -> None:
    """p ← p - lr·d of a block."""
    for i in range(p.size):
        p[i] -= direction(g[i], p[i], decay, maximize) * lr


@kernel
def sgd_first(
    p: Any, b: Any, g: Any, lr: Any, momentum: Any, decay: Any, nesterov: Any, maximize: Any
) -> None:
    """b ← d and p ← p - lr·b (or lr·(d + momentum·b)) of a block: the first step with momentum."""
    for i in range(p.size):
        d = direction(g[i], p[i], decay, maximize)
        b[i] = d
        p[i] -= (d + d * momentum if nesterov else d) * lr


@kernel
def sgd_momentum(
    p: Any,
    b: Any,
    g: Any,
    lr: Any,
    momentum: Any,
    rest: Any,
    decay: Any,
    nesterov: Any,
    maximize: Any,
) -> None:
    """b ← momentum·b + rest·d and p ← p - lr·b (or lr·(d + momentum·b)) of a block."""
    for i in range(p.size):
        d = direction(g[i], p[i], decay, maximize)
        b[i] = b[i] * momentum + d * rest
        p[i] -= (d + b[i] * momentum if nesterov else b[i]) * lr


@driver
def sgd(
    table: Any, sizes: Any, starts: Any, fresh: Any, numbers: Any, nesterov: Any, maximize: Any
) -> None:
    """One step; `fresh` says which momentum buffers hold nothing yet, `numbers` are the learning
    rate, the momentum, 1 - dampening and the weight decay."""
    lr, momentum, rest, decay = numbers[0], numbers[1], numbers[2], numbers[3]
    for block in prange(starts[-1]):
        j = column(starts, block)
        p = part(table, sizes, starts, 0, j, block, lr)
        g = part(table, sizes, starts, table.shape[0] - 1, j, block, lr)
        if momentum == 0:
            sgd_plain(p, g, lr, decay, maximize)
            continue
        b = part(table, sizes, starts, 1, j, block, lr)
        if fresh[j]:
            sgd_first(p, b, g, lr, momentum, decay, nesterov, maximize)
        else:
            sgd_momentum(p, b, g, lr, momentum, rest, decay, nesterov, maximize)


@kernel
def moments(
    p: Any, m: Any, v: Any, g: Any, keep: Any, rest1: Any, beta2: Any, rest2: Any, decay: Any,
    maximize: Any,
) -> None:  # fmt: skip
    """p ← keep·p, m ← m + rest1·(d - m), v ← beta2·v + rest2·d² of a block."""
    for i in range(p.size):
        d = direction(g[i], p[i], decay, maximize)
        if keep != 1:
            p[i] *= keep
        m[i] += (d - m[i]) * rest1
        v[i] = v[i] * beta2 + d * d * rest2


@kernel
def raise_peak(peak: Any, v: Any) -> None:
    """peak ← max(peak, v) of a block; NaN stays."""
    for i in range(v.size):
        if peak[i] < v[i] or v[i] != v[i]:
            peak[i] = v[i]


@kernel
def descend(p: Any, m: Any, v: Any, rate: Any, correction: Any, eps: Any) -> None:
    """p ← p - rate·m/(correction·√v + eps) of a block."""
    for i in range(p.size):
        p[i] -= m[i] / (math.sqrt(v[i]) * correction + eps) * rate


@driver
def adam(
    table: Any,
    sizes: Any,
    starts: Any,
    rates: Any,
    corrections: Any,
    numbers: Any,
    maximize: Any,
) -> None:
    """One step; row 3 of a table of five is the peak of amsgrad. `rates` and `corrections` are
    lr/(1 - β₁ᵗ) and (1 - β₂ᵗ)^(-1/2) of each parameter, `numbers` what the parameters keep of
    themselves, 1 - β₁, β₂, 1 - β₂, eps and the weight decay."""
    keep, rest1, beta2 = numbers[0], numbers[1], numbers[2]
    rest2, eps, decay = numbers[3], numbers[4], numbers[5]
    for block in prange(starts[-1]):
        j = column(starts, block)
        p = part(table, sizes, starts, 0, j, block, eps)
        m = part(table, sizes, starts, 1, j, block, eps)
        v = part(table, sizes, starts, 2, j, block, eps)
        g = part(table, sizes, starts, table.shape[0] - 1, j, block, eps)
        moments(p, m, v, g, keep, rest1, beta2, rest2, decay, maximize)
        if table.shape[0] == 5:
            peak = part(table, sizes, starts, 3, j, block, eps)
            raise_peak(peak, v)
            descend(p, m, peak, rates[j], corrections[j], eps)
        else:
            descend(p, m, v, rates[j], corrections[j], eps)


def _table(rng: Any, dtype: Any, rows: int) -> tuple[list[Any], tuple[Any, ...]]:
    """Arrays of positive numbers, and the table of their memory with its sizes and starts."""
    sizes = np.array([5, 2 * BLOCK + 3, 1])
    arrays = [(rng.random(n) + 0.5).astype(dtype) for _ in range(rows) for n in sizes]
    table = np.array([a.ctypes.data for a in arrays]).reshape(rows, -1)
    return arrays, (table, sizes, np.cumsum([0, 1, 3, 1]))


@sgd.examples
def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    arrays, table = _table(rng, dtype, 3)
    numbers = np.array([0.1, 0.9, 0.8, 0.01], dtype)
    yield Held((*table, np.array([True, False, False]), numbers, 0, 0), arrays)


@adam.examples
def _adam(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for rows in (4, 5):
        arrays, table = _table(rng, dtype, rows)
        rates, corrections = np.full((2, 3), 1.5, dtype)
        numbers = np.array([0.99, 0.1, 0.999, 0.001, 1e-8, 0.01], dtype)
        yield Held((*table, rates, corrections, numbers, 0), arrays)
