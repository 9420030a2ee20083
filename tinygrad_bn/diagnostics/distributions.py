"""How the values of a layer are distributed: percentiles, moments, and their way over time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.floating[Any]]


def percentiles(x: ArrayLike, q: Sequence[float] = (15, 50, 85)) -> Array:
    """The q-th percentiles of every channel, over the samples; linear between two samples.

    Shapes: x (N, *C), result (len(q), *C), in float64.
    Raises ValueError for no samples or a q outside [0, 100].
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"percentiles: x must be (N, *C) with samples, got shape {values.shape}")
    if not all(0 <= p <= 100 for p in q):
        raise ValueError(f"percentiles: q must be in [0, 100], got {tuple(q)}")
    return np.percentile(values, q, axis=0)


def channel_moments(x: ArrayLike) -> tuple[Array, Array]:
    """Mean and standard deviation (divisor N) of every channel, over the samples.

    Shapes: x (N, *C), results (*C), in float64. Raises ValueError for no samples.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(
            f"channel_moments: x must be (N, *C) with samples, got shape {values.shape}"
        )
    return values.mean(axis=0), values.std(axis=0)


class PercentileTrace:
    """Percentiles of a layer's channels over time, and how far they wander.

    Attributes:
        steps: when they were taken.
        values: (T, 3, *C): the lower, the median and the upper one at each step.

    Source: Ioffe and Szegedy, 2015, figure 1b, c, where they are 15, 50 and 85.
    """

    def __init__(self, lower: float = 15, upper: float = 85) -> None:
        if not 0 <= lower < 50 < upper <= 100:
            raise ValueError(
                "PercentileTrace: needs 0 <= lower < 50 < upper <= 100, "
                f"got lower={lower}, upper={upper}"
            )
        self.q = (lower, 50, upper)
        self.steps: list[int] = []
        self._rows: list[Array] = []

    def add(self, step: int, x: ArrayLike) -> None:
        """Take the percentiles of x (N, *C)."""
        self.add_percentiles(step, percentiles(x, self.q))

    def add_percentiles(self, step: int, rows: ArrayLike) -> None:
        """Take percentiles (3, *C) that were computed before."""
        self._rows.append(np.asarray(rows, dtype=np.float64))
        self.steps.append(step)

    @property
    def values(self) -> Array:
        """(T, 3, *C); ValueError before the first `add`."""
        if not self._rows:
            raise ValueError("PercentileTrace: nothing has been added yet")
        return np.stack(self._rows)

    @property
    def spread(self) -> Array:
        """Upper less lower percentile at each step, (T, *C)."""
        return self.values[:, 2] - self.values[:, 0]

    @property
    def median_drift(self) -> Array:
        """The range of the median over time, max - min, (*C)."""
        return np.ptp(self.values[:, 1], axis=0)

    @property
    def relative_drift(self) -> Array:
        """`median_drift` in units of the spread's mean over time, (*C): free of the scale."""
        return self.median_drift / self.spread.mean(axis=0)
