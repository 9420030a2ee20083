"""Parameters and statistics of a normalization, and their dtypes, as kernels take them."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

STAT: dict[str, Any] = {
    "e": np.dtype(np.float32),
    "f": np.dtype(np.float32),
    "d": np.dtype(np.float64),
}


@functools.lru_cache(maxsize=64)
def constant(n: int, value: float, dtype: Any) -> Any:
    """Stands for gamma or beta where there is none; only read."""
    return np.full(n, value, dtype)


def flat(a: Any, n: int, value: float, dtype: Any) -> Any:
    """A parameter or statistic as a vector."""
    if a is None:
        return constant(n, value, dtype)
    if a.ndim == 1 and a.dtype == dtype and a.flags.carray:
        return a
    return np.ascontiguousarray(a, dtype).reshape(-1)


def pair(gamma: Any, beta: Any, n: int, dtype: Any) -> tuple[Any, Any]:
    """Scale and shift as vectors, 1 and 0 where there is none."""
    if (
        gamma is not None
        and beta is not None
        and gamma.ndim == beta.ndim == 1
        and gamma.dtype is beta.dtype is dtype
        and gamma.flags.carray
        and beta.flags.carray
    ):
        return gamma, beta
    return flat(gamma, n, 1.0, dtype), flat(beta, n, 0.0, dtype)
