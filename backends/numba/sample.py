"""Layer, group and root-mean-square norm by compiled kernels: each sample has its own statistics.

What has weights, an activation or a residual, which no such layer has, goes to the reference.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from ..numpy.normalization import NumPyNormalization
from .kernels import sample, sample_grad, sample_second
from .memory import empty
from .vectors import STAT, constant, flat

SHORT = 32
"""Neighbours that share parameters, from which on there is a loop for them."""


@functools.lru_cache(maxsize=1024)
def _lengths(shape: tuple[int, ...], plan: NormalizationPlan) -> tuple[int, ...] | None:
    """(M, Q, D, S): lengths of the axes that are kept, kept with parameters, averaged over with
    parameters, and averaged over; None where x does not have them in this order."""
    if 0 in shape or plan.masked or plan.ghost is not None or plan.activation is not None:
        return None
    kinds = []
    for a, length in enumerate(shape):
        if length != 1:
            kept, has = a in plan.axis, a in plan.param_axis
            kinds.append((int(has) if kept else 3 - has, length))
    if kinds != sorted(kinds, key=lambda kind: kind[0]):
        return None
    return tuple([math.prod([n for k, n in kinds if k == kind]) for kind in range(4)])


class _Rows:
    """Arrays of one shape as the kernels of `sample` see them.

    Parameters for short runs of neighbours are repeated for each of them, so that loops are worth
    their beginning and end; where kernels take no runs, so are all.
    """

    def __init__(self, x: Any, lengths: tuple[int, ...], least: float = SHORT) -> None:
        self.shape, self.dtype = x.shape, STAT[x.dtype.char]
        rows, groups, wide, run = lengths
        self.seen = rows, groups, wide * run
        self.times = run if run < least else 1
        self.parameters = groups, wide * self.times

    def view(self, a: Any) -> Any:
        """An array like x, (M, Q, E); a copy only if it lies otherwise in memory."""
        if a.dtype != self.dtype or not a.flags.carray:
            a = np.array(a, self.dtype, order="C")
        return a.reshape(self.seen)

    def empty(self) -> Any:
        """A new array like x."""
        return empty(self.seen, self.dtype)

    def result(self, a: Any, dtype: Any) -> Any:
        """An array of `empty` in the shape of x and another dtype."""
        return a.reshape(self.shape).astype(dtype, copy=False)

    def parameter(self, a: Any, value: float) -> Any:
        """gamma or what has its shape, (Q, D)."""
        a = flat(a, math.prod(self.parameters) // self.times, value, self.dtype)
        return (a if self.times == 1 else np.repeat(a, self.times)).reshape(self.parameters)

    def gradient(self, a: Any, plan: NormalizationPlan) -> Any:
        """A gradient of parameters (Q, D) in their shape."""
        if self.times > 1:
            a = a.reshape(-1, self.times).sum(1, dtype=np.float64).astype(self.dtype)
        return a.reshape([self.shape[axis] for axis in plan.param_axis])


def _centres(mean: Any, low: Any, plan: NormalizationPlan) -> tuple[Any, Any]:
    """mean and low as kernels see them, which always subtract: 0 for a plan that does not centre,
    whatever they hold."""
    if plan.center:
        return mean.reshape(-1), low.reshape(-1)
    return constant(mean.size, 0.0, mean.dtype), constant(mean.size, 0.0, mean.dtype)


class SampleNormalization(NumPyNormalization):
    """The normalization methods of the reference; see there for arguments and formulas."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Statistics and map of each row in turn."""
        lengths = None
        if weights is None and residual is None:
            lengths = _lengths(x.shape, plan)
        if lengths is None:
            return super().batch_norm(x, gamma, beta, residual, weights, plan=plan)
        rows = _Rows(x, lengths)
        y, statistics = rows.empty(), np.empty((4, *plan.kept(x.shape)), rows.dtype)
        sample.forward(
            x.size,
            rows.view(x),
            rows.parameter(gamma, 1.0),
            rows.parameter(beta, 0.0),
            y,
            statistics.reshape(4, -1),
            int(plan.center),
            float(rows.dtype.type(plan.eps)),
        )
        mean, low, var, rstd = statistics
        return rows.result(y, x.dtype), mean, low, var, rstd, None

    def batch_statistics(
        self, x: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any]:
        """The first half of `batch_norm`."""
        lengths = None if weights is not None else _lengths(x.shape, plan)
        if lengths is None:
            return super().batch_statistics(x, weights, plan=plan)
        rows = _Rows(x, lengths)
        statistics = np.empty((4, *plan.kept(x.shape)), rows.dtype)
        sample.statistics(
            x.size,
            rows.view(x),
            statistics.reshape(4, -1),
            int(plan.center),
            float(rows.dtype.type(plan.eps)),
        )
        mean, low, var, _ = statistics
        return mean, low, var, None

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
        """Sums and map of each row in turn, and the gradients of the parameters in strips."""
        lengths = None
        if weights is None and g.dtype == x.dtype:
            lengths = _lengths(x.shape, plan)
        if lengths is None:
            return super().batch_norm_grad(
                g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        rows = _Rows(x, lengths)
        dx, gradients = rows.empty(), np.empty((2, *rows.parameters), rows.dtype)
        sample_grad.backward(
            x.size,
            rows.view(g),
            rows.view(x),
            *_centres(mean, low, plan),
            rstd.reshape(-1),
            rows.parameter(gamma, 1.0),
            dx,
            *gradients,
            int(plan.center),
        )
        dgamma, dbeta = [rows.gradient(a, plan) for a in gradients]
        return rows.result(dx, x.dtype), dgamma, dbeta

    def batch_norm_grad_grad(
        self,
        u: Any,
        v: Any,
        t: Any,
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
        """Seven sums of each row, and its part of all three results."""
        lengths = None
        if weights is None and u.dtype == g.dtype == x.dtype:
            lengths = _lengths(x.shape, plan)
        if lengths is None:
            return super().batch_norm_grad_grad(
                u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        rows = _Rows(x, lengths, math.inf)
        dg, dx = rows.empty(), rows.empty()
        dgamma = np.empty(rows.parameters, rows.dtype)
        sample_second.second(
            x.size * 2,
            rows.view(u),
            rows.parameter(v, 0.0),
            rows.parameter(t, 0.0),
            rows.view(g),
            rows.view(x),
            *_centres(mean, low, plan),
            rstd.reshape(-1),
            rows.parameter(gamma, 1.0),
            dg,
            dx,
            dgamma,
            int(plan.center),
        )
        dgamma = rows.gradient(dgamma, plan)
        return rows.result(dg, x.dtype), rows.result(dx, x.dtype), dgamma
