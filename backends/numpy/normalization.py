"""NumPy's way with small batches: fewer and cheaper calls for what every training step does."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan
from tinygrad_bn.backend.normalization_statistics import FEW, SHORT
from tinygrad_bn.backend.quiet import quiet
from tinygrad_bn.backend.reference_normalization import NormalizationReference

UNTHREADED = 8192
"""Up to so many elements BLAS multiplies in one thread, always in the same order."""

_total: Any = np.add.reduce
_LETTERS = "fd"


@functools.lru_cache(maxsize=64)
def _ones(n: int, dtype: Any) -> Any:
    ones = np.ones(n, dtype)
    ones.flags.writeable = False
    return ones


def _is_plain(x: Any, gamma: Any, weights: Any, plan: NormalizationPlan) -> bool:
    """Whether x is a small matrix of rows, normalised without extras, gamma of its dtype."""
    return (
        plan.plain
        and weights is None
        and x.ndim == 2
        and 0 < x.shape[0] <= SHORT
        and x.size <= UNTHREADED
        and x.dtype.char in _LETTERS
        and (gamma is None or gamma.dtype == x.dtype)
    )


class NumPyNormalization(NormalizationReference):
    """Overrides of the reference, by the same names."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """The steps of the reference for a small matrix, in one buffer and with sums by BLAS."""
        if residual is not None or not _is_plain(x, gamma, weights, plan):
            return super().batch_norm(x, gamma, beta, residual, weights, plan=plan)
        n = x.shape[0]
        ones = _ones(n, x.dtype)
        first = x[0]
        y = x - first
        rest = ones @ y
        rest /= n
        y -= rest
        var = ones @ (y * y)
        var /= n
        rstd = self._rstd(var, plan.eps)
        y *= rstd if gamma is None else rstd * gamma
        if beta is not None:
            y += beta
        if plan.activation == "relu":
            np.maximum(y, 0, out=y)
        elif plan.activation is not None:
            y = np.where(y > 0, y, y * plan.slope)
        mean = first + rest
        return y, mean, rest - (mean - first), var, rstd, None

    def batch_norm_grad(
        self,
        g: Any,
        x: Any,
        mean: Any,
        low: Any,
        rstd: Any,
        gamma: Any,
        beta: Any,
        weights: Any,
        count: Any,
        *,
        plan: NormalizationPlan,
    ) -> tuple[Any, Any, Any]:
        """The steps of the reference for a small matrix, in two buffers and with sums by BLAS."""
        if not _is_plain(x, gamma, weights, plan) or g.dtype != x.dtype:
            return super().batch_norm_grad(
                g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        n = x.shape[0]
        ones = _ones(n, x.dtype)
        dx = x - mean
        dx -= low
        scale = rstd if gamma is None else rstd * gamma
        if plan.activation is not None:
            g = self._gated(g, dx * scale if beta is None else dx * scale + beta, None, plan)
        dbeta = ones @ g
        dgamma = ones @ (g * dx)
        dgamma *= rstd
        dx *= dgamma * rstd / n
        dx += dbeta / n
        np.subtract(g, dx, out=dx)
        dx *= scale
        return dx, dgamma, dbeta

    def _sum(self, x: Any, axes: tuple[int, ...]) -> Any:
        """Σ over `axes`; for a small batch of rows a product with ones, a third of the time."""
        if not axes:
            return x
        if axes == (0,) and x.ndim == 2:
            rows, columns = x.shape
            if rows <= SHORT and x.size <= UNTHREADED:
                return _ones(rows, x.dtype) @ x
            if rows <= FEW and rows % SHORT == 0 and columns * SHORT <= UNTHREADED:
                return _total(_ones(SHORT, x.dtype) @ x.reshape(-1, SHORT, columns), axis=0)
        if math.prod([x.shape[a] for a in axes]) <= SHORT:
            return _total(x, axis=axes)
        return _total(x, axis=axes, dtype=np.float64)

    @quiet()
    def advance_estimate(
        self,
        old_mean: Any,
        old_var: Any,
        tracked: Any,
        skipped: Any,
        missed: Any,
        mean: Any,
        var: Any,
        factor: Any,
        usable: Any,
        rate: Any,
    ) -> tuple[Any, Any, Any, Any, Any]:
        """Without a choice for each channel where all move: a finite sum has finite terms."""
        unbiased = var * factor
        if (
            usable is not None
            or rate is None
            or not math.isfinite(_total(mean, axis=None) + _total(unbiased, axis=None))
        ):
            return super().advance_estimate(
                old_mean, old_var, tracked, skipped, missed, mean, var, factor, usable, rate
            )
        new_mean = old_mean + (mean - old_mean) * rate
        new_var = old_var + (unbiased - old_var) * rate
        return new_mean, new_var, np.asarray(tracked + 1), skipped, missed
