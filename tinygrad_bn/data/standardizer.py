"""Feature standardisation: zero mean and unit variance, fitted on the training set."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_KEYS = ("mean", "scale")


class Standardizer:
    """Shift and scale every feature to mean 0 and standard deviation 1.

    z = (x - mean) / scale and back x = z·scale + mean, feature by feature, where
    mean and scale (the population standard deviation, divisor N) are those of the
    data given to ``fit``. Fit on the training set and transform the others with it.

    A feature that is constant in the fitted data has scale 1 and its own value as
    mean: it becomes exactly 0, and ``inverse_transform`` gives the constant back.

    Shapes: x is (N, *F), statistics are (*F); F may be empty, for a column of targets.
    Statistics and transforms are computed in float64 whatever the input; results
    have the dtype of a floating input, float32 for integers.
    Source: two-pass algorithm with compensation, Chan, Golub and LeVeque, "Algorithms
    for Computing the Sample Variance", The American Statistician 37(3), 1983.
    """

    def __init__(self) -> None:
        self._statistics: dict[str, NDArray[np.float64]] | None = None

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean of each feature, shape (*F), in the feature's own unit."""
        return self._fitted("mean")["mean"]

    @property
    def scale(self) -> NDArray[np.float64]:
        """The standard deviation of each feature, 1 where constant; shape (*F)."""
        return self._fitted("scale")["scale"]

    def fit(self, x: ArrayLike) -> Self:
        """Compute the statistics of x, shape (N, *F), and return self.

        Raises TypeError for what is not real numbers; ValueError for a scalar, for
        no rows, for NaN or infinity, or when a statistic overflows float64.
        """
        values = _real("fit", x).astype(np.float64)
        if len(values) == 0:
            raise ValueError(f"Standardizer.fit: x must have at least one row, got {values.shape}")
        finite = np.isfinite(values).all(axis=0)
        if not finite.all():
            feature = tuple(np.argwhere(~finite)[0].tolist())
            raise ValueError(f"Standardizer.fit: x must be finite, got NaN or inf in {feature=}")
        mean, scale = _statistics(values)
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise ValueError("Standardizer.fit: x is too large: its statistics overflow float64")
        self._statistics = {"mean": mean, "scale": scale}
        return self

    def transform(self, x: ArrayLike) -> NDArray[Any]:
        """Return z = (x - mean) / scale, a new array. Shapes: x and z are (N, *F).

        Raises ValueError when not fitted yet or the features of x have another shape.
        """
        values, dtype = self._checked("transform", x)
        return ((values - self.mean) / self.scale).astype(dtype)

    def inverse_transform(self, z: ArrayLike) -> NDArray[Any]:
        """Return x = z·scale + mean, a new array. Shapes: z and x are (N, *F).

        Raises ValueError when not fitted yet or the features of z have another shape.
        """
        values, dtype = self._checked("inverse_transform", z)
        return (values * self.scale + self.mean).astype(dtype)

    def state_dict(self) -> dict[str, NDArray[np.float64]]:
        """Return copies of ``mean`` and ``scale``; ValueError when not fitted yet."""
        return {key: value.copy() for key, value in self._fitted("state_dict").items()}

    def load_state_dict(self, state: Mapping[str, ArrayLike]) -> None:
        """Take over the statistics of ``state``, as ``state_dict`` gave them.

        Raises ValueError for missing or unknown keys, unequal shapes, values that are
        not finite or a scale that is not positive. On an error nothing changes.
        """
        name = "Standardizer.load_state_dict"
        if set(state) != set(_KEYS):
            raise ValueError(f"{name}: keys must be {sorted(_KEYS)}, got {sorted(state)}")
        loaded = {key: np.array(state[key], dtype=np.float64) for key in _KEYS}
        mean, scale = loaded["mean"], loaded["scale"]
        if mean.shape != scale.shape:
            raise ValueError(
                f"{name}: mean and scale must have equal shapes, got {mean.shape}, {scale.shape}"
            )
        if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
            raise ValueError(f"{name}: mean and scale must be finite, got {mean}, {scale}")
        if not (scale > 0).all():
            raise ValueError(f"{name}: scale must be > 0, got {scale}")
        self._statistics = loaded

    def __repr__(self) -> str:
        state = "not fitted" if self._statistics is None else f"features {self.mean.shape}"
        return f"Standardizer({state})"

    def _fitted(self, method: str) -> dict[str, NDArray[np.float64]]:
        if self._statistics is None:
            raise ValueError(f"Standardizer.{method}: not fitted yet: call fit(x) first")
        return self._statistics

    def _checked(self, method: str, x: ArrayLike) -> tuple[NDArray[np.float64], np.dtype[Any]]:
        features = self._fitted(method)["mean"].shape
        values = _real(method, x)
        if values.shape[1:] != features:
            raise ValueError(
                f"Standardizer.{method}: features must have the fitted shape {features}, "
                f"got {values.shape[1:]}"
            )
        floating = np.issubdtype(values.dtype, np.floating)
        return values.astype(np.float64), values.dtype if floating else np.dtype(np.float32)


def _real(method: str, x: ArrayLike) -> NDArray[Any]:
    values = np.asarray(x)
    if values.dtype.kind not in "iuf":
        raise TypeError(f"Standardizer.{method}: x must hold real numbers, got {values.dtype}")
    if values.ndim == 0:
        raise ValueError(f"Standardizer.{method}: x must be (N, *F), got a scalar")
    return values


def _statistics(
    values: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    # Constancy is read off the values: the rounded mean of a constant may differ
    # from it, and would pass a spread of 1e-17 off as a feature.
    constant = (values == values[0]).all(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # the caller reports what overflows
        mean = values.mean(axis=0)
        mean = np.where(constant, values[0], mean)
        deviation = values - mean
        # In units of the largest deviation no square overflows or vanishes.
        unit = np.where(constant, 1.0, np.abs(deviation).max(axis=0))
        deviation /= unit
        variance = (deviation**2).mean(axis=0) - deviation.mean(axis=0) ** 2
        scale = np.where(constant, 1.0, unit * np.sqrt(variance))
    return mean, scale
