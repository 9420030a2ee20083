"""Statistics from sums about a shift, stored as the columns of an array (4, …)."""

from __future__ import annotations

from typing import Any

from ..compiler import exact, kernel
from .arithmetic import inverse_root


@exact
def store_mean(shift: Any, rest: Any, stats: Any, i: Any) -> None:
    """shift + rest as the pair mean + low."""
    stats[0, i] = shift + rest
    stats[1, i] = (shift - stats[0, i]) + rest


@kernel
def store_centred(
    first: Any, second: Any, n: Any, shift: Any, eps: Any, stats: Any, i: Any
) -> None:
    """mean, low, var, rstd from Σ w·(x - shift), Σ w·(x - shift)² and n = Σw."""
    rest = first / n
    store_mean(shift, rest, stats, i)
    var = second / n - rest * rest
    stats[2, i] = 0.0 if var < 0.0 else var
    stats[3, i] = inverse_root(stats[2, i], eps)


@kernel
def store_uncentred(second: Any, n: Any, eps: Any, stats: Any, i: Any) -> None:
    """The same about 0: no mean, var the mean square."""
    stats[0, i] = 0.0
    stats[1, i] = 0.0
    stats[2, i] = second / n
    stats[3, i] = inverse_root(stats[2, i], eps)
