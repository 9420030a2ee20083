"""Sums about a shift, and statistics from them, stored as the columns of an array (4, …)."""

from __future__ import annotations

from typing import Any

from ..compiler import kernel
from .arithmetic import centred_statistics, minus, uncentred_statistics


@kernel
def chunk_sums(x: Any, shift: Any) -> Any:
    """Σ(x - shift) and Σ(x - shift)² of a chunk."""
    first = second = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], shift)
        first += d
        second += d * d
    return first, second


@kernel
def store_centred(
    first: Any, second: Any, n: Any, shift: Any, eps: Any, stats: Any, i: Any
) -> None:
    """mean, low, var, rstd from Σ w·(x - shift), Σ w·(x - shift)² and n = Σw."""
    stats[0, i], stats[1, i], stats[2, i], stats[3, i] = centred_statistics(
        first, second, n, shift, eps, stats
    )


@kernel
def store_uncentred(second: Any, n: Any, eps: Any, stats: Any, i: Any) -> None:
    """The same about 0: no mean, var the mean square."""
    stats[0, i], stats[1, i], stats[2, i], stats[3, i] = uncentred_statistics(second, n, eps, stats)
