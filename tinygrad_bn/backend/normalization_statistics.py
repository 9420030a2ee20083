"""Reference: means and variances that stay accurate for |mean|/σ up to 10⁶ in float32.

Nothing here computes E[x²] - E[x]². A small input is shifted by its first sample and centred in
two steps; a large one is cut into blocks that fit the cache, each centred on its own mean, and
merged by Chan's formula in a fixed order. Long sums are accumulated in float64.

Source: Chan, Golub and LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances", 1979.
"""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from .normalization_plan import NormalizationPlan

BLOCK = 1 << 16
"""Elements of a block: with its temporaries it stays in the second-level cache."""
SMALL = 1 << 15
"""Up to so many elements, and FEW for each statistic, an input is centred in two steps."""
FEW = 512
SHORT = 64
"""Up to so many terms a float32 sum is accurate as the library adds it, one after the other: the
rounding errors of repeated values all point the same way, so the number counts, not its root."""


class StatisticsReference:
    """Sums, moments, and the small steps that normalization kernels are made of."""

    xp: Any
    empty: Any
    zeros: Any
    masked: Any
    _native: dict[Any, Any]

    def batch_statistics(
        self, x: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any]:
        """(mean, low, var, count) over the averaged axes; var is the biased variance.

        With `plan.center` False the mean is 0 and var is the mean square.
        """
        stat = self._native[dtypes.float32] if x.dtype in self._half else x.dtype
        first, *others = self._blocks(x, plan)
        moments = self._block_moments(self._wide(x[first]), self._part(weights, first), plan)
        for key in others:
            new = self._block_moments(self._wide(x[key]), self._part(weights, key), plan)
            moments = self._merge(moments, new)
        n, mean, moment = moments
        var = moment / (max(n, 1) if weights is None else self.xp.where(n > 0, n, 1.0))
        high = self._as(mean, stat)
        low = self._as(mean - high, stat)
        count = None if weights is None else self._as(n, stat)
        return high, low, self._as(var, stat), count

    def _block_moments(self, x: Any, weights: Any, plan: Any) -> tuple[Any, Any, Any]:
        """(n, mean, Σ w·(x - mean)²) of one block, in float64."""
        xp = self.xp
        w: Any = None
        if weights is None:
            n: Any = plan.extent(x.shape)
            divisor: Any = max(n, 1)
        else:
            w = self._wide_weights(weights, x)
            n = self._sum64(xp.broadcast_to(w, x.shape), plan)
            divisor = xp.where(n > 0, n, 1.0)
            x = xp.where(w > 0, x, 0.0)
        if plan.center:
            shift = self._as(self._sum64(x if w is None else w * x, plan) / divisor, x.dtype)
            x = x - self._expand(shift, plan)
            if w is not None:
                x = xp.where(w > 0, x, 0.0)
        wx = x if w is None else w * x
        square = self._sum64(wx * x, plan)
        if not plan.center:
            return n, xp.zeros_like(square), square
        rest = self._sum64(wx, plan) / divisor
        return n, self._as(shift, square.dtype) + rest, square - rest * rest * n

    def _merge(self, a: tuple[Any, Any, Any], b: tuple[Any, Any, Any]) -> tuple[Any, Any, Any]:
        """Moments of two blocks together, by Chan's formula."""
        (n, mean, moment), (m, mean_b, moment_b) = a, b
        both = n + m
        share = m / (self.xp.where(both > 0, both, 1.0) if hasattr(both, "dtype") else both)
        delta = mean_b - mean
        return both, mean + delta * share, moment + moment_b + delta * delta * (n * share)

    # ------------------------------------------------------------------------------- steps

    def _is_small(self, x: Any, plan: Any) -> bool:
        """Whether `_centre_small` serves: one block, few terms, at least one."""
        size = math.prod(x.shape)
        return 0 < size <= SMALL and plan.center and plan.extent(x.shape) <= FEW

    def _centre_small(self, x: Any, plan: Any) -> tuple[Any, Any, Any, Any]:
        """(x - mean, mean, low, var) of a small input.

        Shifting by the first sample makes a constant channel exactly 0 and costs no pass over x;
        it lies at most √m standard deviations from the mean, so no accuracy is lost.
        """
        n = plan.extent(x.shape)
        first = x[tuple([slice(0, 1) if a in plan.reduced else slice(None) for a in range(x.ndim)])]
        centred = x - first
        rest = self._as(self._sum(centred, plan.reduced), x.dtype) / n
        centred -= self._expand(rest, plan)
        var = self._as(self._sum(centred * centred, plan.reduced), x.dtype) / n
        shift = self.xp.reshape(first, rest.shape)
        mean = shift + rest
        return centred, mean, rest - (mean - shift), var

    def _centre(self, x: Any, mean: Any, low: Any, plan: Any) -> Any:
        """x - mean in the dtype of the statistics; x itself if the plan does not centre."""
        x = self._wide(x)
        if not plan.center:
            return x
        centred = x - self._expand(mean, plan)
        centred -= self._expand(low, plan)
        return centred

    def _rstd(self, var: Any, eps: float) -> Any:
        """(var + eps)^(-1/2), and 0 where that is a division by zero."""
        shifted = var + eps
        if eps >= 1e-30:
            return 1.0 / self.xp.sqrt(shifted)
        return self.xp.where(
            shifted > 0, 1.0 / self.xp.sqrt(self.xp.where(shifted > 0, shifted, 1.0)), 0.0 * var
        )

    def _sum(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Σ over `axes`: in the dtype of x where that is accurate, else in float64."""
        if not axes:
            return x
        if math.prod([x.shape[a] for a in axes]) <= SHORT:
            return self.xp.sum(x, axis=axes)
        return self.xp.sum(x, axis=axes, dtype=self._native[dtypes.float64])

    def _sum64(self, x: Any, plan: Any) -> Any:
        """Σ over the averaged axes in float64."""
        double = self._native[dtypes.float64]
        if not plan.reduced:
            return self.xp.astype(x, double)
        return self.xp.sum(x, axis=plan.reduced, dtype=double)

    def _blocks(self, x: Any, plan: Any) -> list[tuple[slice, ...]]:
        """Keys that cut x along its first averaged axis; a single one where cutting is idle."""
        whole = (slice(None),) * x.ndim
        size = math.prod(x.shape)
        if size <= BLOCK or not plan.nested or not plan.reduced:
            return [whole]
        axis = plan.reduced[0]
        length = x.shape[axis]
        step = max(1, BLOCK * length // size)
        before, after = whole[:axis], whole[axis + 1 :]
        ends = [(i, min(i + step, length)) for i in range(0, length, step)]
        return [(*before, slice(*part), *after) for part in ends]

    def _part(self, weights: Any, key: tuple[slice, ...]) -> Any:
        """The part of broadcasting weights that belongs to a block."""
        if weights is None:
            return None
        return weights[
            tuple([slice(None) if n == 1 else k for n, k in zip(weights.shape, key, strict=True)])
        ]

    def _shares(self, weights: Any, count: Any, x: Any, plan: Any) -> Any:
        """p = weights/Σ weights, to broadcast against x; 1/m without weights."""
        if weights is None:
            return 1.0 / max(plan.extent(x.shape), 1)
        divisor = self.xp.where(count > 0, count, 1.0)
        return self._wide_weights(weights, count) / self._expand(divisor, plan)

    def _wide(self, x: Any) -> Any:
        """x, in float32 if it is of half precision."""
        return self.xp.astype(x, self._native[dtypes.float32]) if x.dtype in self._half else x

    @property
    def _half(self) -> tuple[Any, ...]:
        half = self._native.get(dtypes.float16)
        return () if half is None else (half,)

    def _wide_weights(self, weights: Any, like: Any) -> Any:
        return self._as(weights, like.dtype)

    def _as(self, x: Any, dtype: Any) -> Any:
        return x if x.dtype == dtype else self.xp.astype(x, dtype)

    def _expand(self, statistic: Any, plan: Any) -> Any:
        """A statistic with axes of length 1 where x is averaged over."""
        if plan.trailing:
            return statistic
        shape = [1] * plan.ndim
        for a, n in zip(plan.axis, statistic.shape, strict=True):
            shape[a] = n
        return self.xp.reshape(statistic, tuple(shape))

    def _expand_param(self, parameter: Any, plan: Any) -> Any:
        """gamma or beta with axes of length 1 where they do not extend."""
        if plan.param_trailing:
            return parameter
        shape = [1] * plan.ndim
        for a, n in zip(plan.param_axis, parameter.shape, strict=True):
            shape[a] = n
        return self.xp.reshape(parameter, tuple(shape))
