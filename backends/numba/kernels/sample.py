"""Normalization of each sample by itself, x of shape (M, Q, E): layer, group and RMS norm.

A statistic is made of one row of E neighbours, and q says which row of gamma and beta (Q, D) goes
with it: each of their D numbers serves E/D neighbours. D = E is layer norm, the others group norm.

A row is summed by one thread, in chunks, so the number of threads leaves no trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, exact, kernel
from .arithmetic import is_far, minus
from .moments import chunk_sums, store_centred, store_uncentred
from .stream import CHUNK, SHORT

# A chunk is also what is summed in the dtype of x: a few dozen terms for each lane of a vector.


@kernel
def chunk_sum(x: Any) -> Any:
    """Σx of a chunk in float64."""
    total = np.float64(0)
    for i in range(x.size):
        total += x[i]
    return total


@kernel
def row_sums(x: Any, shift: Any) -> Any:
    """The same sums of a row."""
    first = second = np.float64(0)
    for lo in range(0, x.size, SHORT):
        a, b = chunk_sums(x[lo : lo + SHORT], shift)
        first += a
        second += b
    return first, second


@kernel
def row_statistics(x: Any, center: Any, eps: Any, stats: Any, i: Any) -> None:
    """Mean, low, var, rstd of row i; the shift of its sums is the mean of its first chunk."""
    number, n = x.dtype.type, x.size
    if not center:
        _, second = row_sums(x, number(0))
        store_uncentred(second, n, eps, stats, i)
        return
    start = x[:CHUNK]
    shift = number(chunk_sum(start) / start.size)
    first, second = row_sums(x, shift)
    if is_far(first, second, n):
        shift = number(shift + first / n)
        first, second = row_sums(x, shift)
    store_centred(first, second, n, shift, eps, stats, i)


@exact
def normal(x: Any, mean: Any, rstd: Any, low: Any) -> Any:
    """xhat = (x - mean)·rstd - low·rstd, where `low` is that product."""
    return (x - mean) * rstd - low


@kernel
def map_vector(x: Any, mean: Any, rstd: Any, low: Any, gamma: Any, beta: Any, y: Any) -> None:
    """y = xhat·gamma + beta with parameters of each number's own."""
    for i in range(x.size):
        y[i] = normal(x[i], mean, rstd, low) * gamma[i] + beta[i]


@kernel
def map_run(x: Any, mean: Any, rstd: Any, low: Any, gamma: Any, beta: Any, y: Any) -> None:
    """y = xhat·gamma + beta with one pair of parameters."""
    scale, offset = rstd * gamma, beta - low * gamma
    for i in range(x.size):
        y[i] = minus(x[i], mean) * scale + offset


@kernel
def map_row(x: Any, mean: Any, low: Any, rstd: Any, gamma: Any, beta: Any, y: Any) -> None:
    """The output of a row from its statistics."""
    rest, run = low * rstd, x.size // gamma.size
    if run == 1:
        map_vector(x, mean, rstd, rest, gamma, beta, y)
    else:
        for d in range(gamma.size):
            lo, hi = d * run, (d + 1) * run
            map_run(x[lo:hi], mean, rstd, rest, gamma[d], beta[d], y[lo:hi])


@driver
def forward(x: Any, gamma: Any, beta: Any, y: Any, stats: Any, center: Any, eps: Any) -> None:
    """y, and mean, low, var, rstd of every row: rows of `stats`, (4, M·Q)."""
    groups = x.shape[1]
    for i in prange(x.shape[0] * groups):
        m, q = i // groups, i % groups
        row_statistics(x[m, q], center, eps, stats, i)
        mean, low, rstd = stats[0, i], stats[1, i], stats[3, i]
        map_row(x[m, q], mean, low, rstd, gamma[q], beta[q], y[m, q])


@driver
def statistics(x: Any, stats: Any, center: Any, eps: Any) -> None:
    """Mean, low, var, rstd of every row."""
    groups = x.shape[1]
    for i in prange(x.shape[0] * groups):
        row_statistics(x[i // groups, i % groups], center, eps, stats, i)
