"""Normalization as functions: nothing is remembered, the caller gets the statistics.

Re-exported by `nn.functional`. Formulas and derivatives: `ops.normalization`, docs/batchnorm.md.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import ops
from ..autograd import Variable, runtime
from ..backend.normalization_plan import NormalizationPlan, normalization_plan
from ..dtypes import float64
from ..refusal import named
from .normalization_inputs import (
    aligned_weights,
    check_input,
    check_parameters,
    check_residual,
)

Axis = int | tuple[int, ...]


class _Fields(NamedTuple):
    mean: Any
    var: Any
    count: Any


class BatchStatistics(_Fields):
    """What a batch norm found in its batch; plain values, outside the graph.

    Attributes:
        mean: of each channel.
        var: the biased variance (1/m) of each channel, the one that normalises.
        count: m, how many values of the batch each channel has: an int, or with a mask or
            weights a tensor, Σ weights of each channel.
    """

    parts: tuple[Any, ...] = ()

    @classmethod
    def of(cls, backend: Any, mean: Any, low: Any, var: Any, count: Any) -> BatchStatistics:
        """Of raw arrays: a mean rounded, and what rounding took away, for `double_mean`."""
        mean, low, var = [runtime.make(backend, a, None) for a in (mean, low, var)]
        count = count if isinstance(count, int) else runtime.make(backend, count, None)
        found = cls(mean, var, count)
        found.parts = mean, low
        return found

    def raw(self) -> tuple[Any, Any, Any, Any]:
        """(mean, low, var, count), arrays without tensors around them."""
        mean, backend = self.mean._data, self.mean._backend
        low = self.parts[1]._data if self.parts else backend.zeros_like(mean)
        count = self.count if isinstance(self.count, int) else self.count._data
        return mean, low, self.var._data, count

    def double_mean(self) -> Any:
        """The mean in float64, with the digits that its own dtype has no room for."""
        high, *low = [ops.astype(a, float64) for a in self.parts or (self.mean,)]
        return high + low[0] if low else high

    def unbiased(self) -> Any:
        """The variance times m/(m - 1): the estimate of the population's; NaN for channels of
        fewer than two values."""
        m = self.count
        if isinstance(m, int):
            return self.var * (m / (m - 1) if m > 1 else math.nan)
        return self.var * (m / ops.where(m > 1, m - 1, math.nan))


@named
def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    axis: Axis = 1,
    eps: float = 1e-5,
    mask: Any = None,
    weights: Any = None,
    activation: str | None = None,
    slope: float = 0.01,
    residual: Any = None,
    ghost_size: int | None = None,
) -> tuple[Any, BatchStatistics]:
    """act(gamma·(x - mean)/√(var + eps) + beta + residual), with the statistics of this batch.

    Args:
        x: floating point, any shape, in any memory layout.
        gamma, beta: of the shape of the axes in `axis` (in the order of x), or None: 1 and 0.
        axis: the axis or axes that are kept; mean and variance are taken over all others.
        eps: added to the variance.
        mask: booleans of the shape of x or of its averaged axes (broadcasting): False marks
            padding, which is not read (it may hold NaN), gives 0, and gets no gradient.
        weights: numbers >= 0 of such a shape: how much a value counts in the statistics; what has
            weight 0 is normalised all the same.
        activation: None, "relu" or "leaky_relu" (its argument is computed again in backward).
        slope: of "leaky_relu".
        residual: added before the activation; the shape of x.
        ghost_size: groups of so many samples of the first averaged axis have statistics of their
            own, the last group perhaps fewer; those returned are of the whole batch.

    Returns:
        y of the shape and dtype of x, and the `BatchStatistics`. For float16 all statistics are
        float32. An empty batch gives an empty result.

    Gradients reach x, gamma, beta and residual, to any order; mask and weights are data.

    Raises:
        TypeError: x is not real floating point.
        ValueError: shapes that do not fit, an axis out of range, weights that require a gradient.

    Source: Ioffe and Szegedy, 2015; ghost batches: Hoffer, Hubara and Soudry, 2017.
    """
    x = check_input("batch_norm", x)
    plan = normalization_plan(
        x._data.ndim,
        axis,
        eps,
        activation=activation,
        slope=slope,
        masked=mask is not None,
        ghost=ghost_size,
    )
    y, mean, low, var, count, _ = batch_norm_by_plan(
        x, gamma, beta, plan, mask, weights, residual, None
    )
    count = plan.extent(x._data.shape) if count is None else count
    return y, BatchStatistics.of(x._backend, mean, low, var, count)


def batch_norm_by_plan(
    x: Any,
    gamma: Any,
    beta: Any,
    plan: NormalizationPlan,
    mask: Any,
    weights: Any,
    residual: Any,
    estimate: tuple[tuple[Any, ...], float, float | None] | None,
) -> tuple[Any, Any, Any, Any, Any, tuple[Any, ...] | None]:
    """`batch_norm` of a real floating-point x by a plan, with the statistics as raw arrays: (y,
    mean, low, var, count, moved); count is None where every value counts as one.

    `estimate` is None, or the arguments `old`, `factor` and `rate` of `ops.batch_norm_tracked`,
    where the values count alike and are one batch; `moved` is what comes of it.
    """
    if not (
        isinstance(gamma, Variable)
        and isinstance(beta, Variable)
        and gamma._data.shape == beta._data.shape == plan.kept(x._data.shape)
    ):
        check_parameters("batch_norm", x, plan, gamma=gamma, beta=beta)
    if weights is not None or mask is not None:
        if mask is not None and weights is not None:
            raise ValueError("batch_norm: give mask or weights, not both (multiply them)")
        weights = aligned_weights("batch_norm", x, weights if mask is None else mask, plan)
    later = moved = None
    if residual is not None:
        residual = check_residual("batch_norm", x, residual)
        if plan.activation is None and mask is None:  # a sum of its own keeps no residual alive
            residual, later = None, residual
    if estimate is None:
        y, mean, low, var, _, count = ops.batch_norm.raw(  # type: ignore[attr-defined]
            x, gamma, beta, residual, weights, plan=plan
        )
    else:
        old, factor, rate = estimate
        y, mean, low, var, _, count, moved = ops.batch_norm_tracked.raw(  # type: ignore[attr-defined]
            x, gamma, beta, residual, weights, plan=plan, old=old, factor=factor, rate=rate
        )
    if later is not None:
        y = y + later
    if plan.ghost is not None:
        mean, low, var, count = _of_groups(x, mean, low, var, count, plan)
    return y, mean, low, var, count, moved


@named
def normalize_by(
    x: Any,
    mean: Any,
    var: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    axis: Axis = 1,
    eps: float = 1e-5,
    activation: str | None = None,
    slope: float = 0.01,
    residual: Any = None,
) -> Any:
    """act(gamma·(x - mean)/√(var + eps) + beta + residual), with statistics that are given.

    mean, var, gamma and beta have the shape of the kept axes; the other arguments are those of
    `batch_norm`. Gradients reach all five arrays and the residual, to any order.

    Raises:
        TypeError: x is not real floating point.
        ValueError: shapes that do not fit, an axis out of range.
    """
    x = check_input("normalize_by", x)
    plan = normalization_plan(
        x._data.ndim, axis, eps, activation=activation, slope=slope, name="normalize_by"
    )
    check_parameters("normalize_by", x, plan, mean=mean, var=var, gamma=gamma, beta=beta)
    if residual is not None:
        residual = check_residual("normalize_by", x, residual)
    return ops.normalize_by(x, mean, var, gamma, beta, residual, plan=plan)


@named
def batch_renorm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    gamma: Any = None,
    beta: Any = None,
    *,
    r_max: float = 3.0,
    d_max: float = 5.0,
    axis: Axis = 1,
    eps: float = 1e-5,
    mask: Any = None,
    weights: Any = None,
    activation: str | None = None,
    slope: float = 0.01,
    residual: Any = None,
) -> tuple[Any, BatchStatistics]:
    """act(gamma·(xhat·r + d) + beta + residual): batch norm drawn towards given statistics.

    xhat is normalised by the batch; with σ = √(var + eps),
    r = clip(σ_batch/σ_running, 1/r_max, r_max), d = clip((mean_batch - running_mean)/σ_running,
    -d_max, d_max), both without a gradient. r_max = 1 and d_max = 0 give batch norm; where nothing
    is clipped the result is that of `normalize_by` with the running statistics.

    Returns what `batch_norm` does, and has its errors; ValueError for r_max < 1 or d_max < 0.
    Source: Ioffe, "Batch Renormalization", 2017.
    """
    if not r_max >= 1 or not d_max >= 0:
        raise ValueError(
            f"batch_renorm: r_max must be >= 1 and d_max >= 0, got {r_max!r} and {d_max!r}"
        )
    x = check_input("batch_renorm", x)
    statistics = batch_statistics(x, axis=axis, eps=eps, mask=mask, weights=weights)
    running_mean, running_var = [ops.asarray(a).detach() for a in (running_mean, running_var)]
    sigma = ops.sqrt(running_var + eps)
    r = ops.clip(ops.sqrt(statistics.var + eps) / sigma, 1 / r_max, float(r_max))
    d = ops.clip((statistics.mean - running_mean) / sigma, -float(d_max), float(d_max))
    shift = d if gamma is None else gamma * d
    return batch_norm(
        x,
        r if gamma is None else gamma * r,
        shift if beta is None else shift + beta,
        axis=axis,
        eps=eps,
        mask=mask,
        weights=weights,
        activation=activation,
        slope=slope,
        residual=residual,
    )


@named
def batch_statistics(
    x: Any, *, axis: Axis = 1, eps: float = 0.0, mask: Any = None, weights: Any = None
) -> BatchStatistics:
    """The statistics that `batch_norm` would use, alone; not differentiable. `eps` plays no part
    in them: it only has to be valid."""
    x = check_input("batch_statistics", x)
    if mask is not None and weights is not None:
        raise ValueError("batch_statistics: give mask or weights, not both (multiply them)")
    plan = normalization_plan(
        x._data.ndim, axis, eps, masked=mask is not None, name="batch_statistics"
    )
    if weights is not None or mask is not None:
        weights = aligned_weights("batch_statistics", x, weights if mask is None else mask, plan)
    mean, low, var, count = ops.batch_statistics.raw(  # type: ignore[attr-defined]
        x, weights, plan=plan
    )
    count = plan.extent(x._data.shape) if count is None else count
    return BatchStatistics.of(x._backend, mean._data, low, var, count)


def _of_groups(
    x: Any, mean: Any, low: Any, var: Any, count: Any, plan: NormalizationPlan
) -> tuple[Any, Any, Any, Any]:
    """(mean, low, var, count) of the whole batch from those of its groups, by Chan's formula."""
    mean, low, var = [runtime.make(x._backend, a, None) for a in (mean, low, var)]
    at, length = plan.reduced[0], x.shape[plan.reduced[0]]
    axis = sum(1 for a in plan.axis if a < at)
    before = (slice(None),) * axis
    first = mean[(*before, slice(0, 1))]
    if count is None:
        total: Any = plan.extent(x.shape)
        assert plan.ghost is not None
        rest = length % plan.ghost
        share = ops.full_like(mean, min(plan.ghost, length) / length if length else 1.0)
        if rest and length > rest:
            whole = share[(*before, slice(0, -1))]
            share = ops.concat([whole, ops.full_like(first, rest / length)], axis=axis)
    else:
        count = runtime.make(x._backend, count, None)
        whole_count = ops.sum(count, axis=axis)
        share = count / ops.expand_dims(ops.where(whole_count > 0, whole_count, 1.0), axis=axis)
        total = whole_count._data
    apart = (mean - first) + low  # small numbers: no digits are lost
    centre = ops.sum(apart * share, axis=axis)
    apart = apart - ops.expand_dims(centre, axis=axis)
    var = ops.sum((var + apart * apart) * share, axis=axis)
    first = ops.squeeze(first, axis=axis)
    rounded = first + centre
    return rounded._data, ((first - rounded) + centre)._data, var._data, total


def blank(y: Any, mask: Any, axis: Axis) -> Any:
    """y with 0 at padding; mask as in `batch_norm`."""
    plan = normalization_plan(y.ndim, axis, 0.0, masked=True)
    return ops.where(aligned_weights("batch_norm", y, mask, plan), y, 0.0)
