"""The population estimate of batch norm, moved towards a batch's statistics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..compiler import driver, kernel


def _move(
    old_mean: Any,
    old_var: Any,
    mean: Any,
    var: Any,
    factor: Any,
    rate: Any,
    new_mean: Any,
    new_var: Any,
    tracked: Any,
    counted: Any,
) -> bool:
    """old + (found - old)·rate, found being mean and var·factor, and tracked + 1 as `counted`;
    False, with nothing of use written, if one is not finite."""
    counted[()] = tracked[()] + 1
    number = mean.dtype.type
    share, unbias = number(rate), number(factor)
    good = True
    for c in range(mean.size):
        new_mean[c] = old_mean[c] + (mean[c] - old_mean[c]) * share
        unbiased = var[c] * unbias
        new_var[c] = old_var[c] + (unbiased - old_var[c]) * share
        good = good and abs(mean[c] + unbiased) < math.inf  # isfinite is x - x: reordered away
    return good


move = kernel(_move)
advance = driver(_move)


@advance.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    arrays = [rng.random(5).astype(dtype) for _ in range(4)]
    counters = np.zeros((), np.int64), np.zeros((), np.int64)
    yield *arrays, 1.2, 0.1, np.zeros(5, dtype), np.zeros(5, dtype), *counters
