"""Normalization as functions: nothing is remembered, the caller gets the statistics.

Re-exported by `nn.functional`. Formulas and derivatives: `ops.normalization`, docs/batchnorm.md.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from .. import ops
from ..autograd import Variable
from ..backend.normalization_plan import NormalizationPlan, normalization_plan

Axis = int | tuple[int, ...]


class BatchStatistics(NamedTuple):
    """What a batch norm found in its batch; plain values, outside the graph.

    Attributes:
        mean: of each channel.
        var: the biased variance (1/m) of each channel, the one that normalises.
        count: m, how many values of the batch each channel has: an int, or with a mask or
            weights a tensor, Σ weights of each channel.
    """

    mean: Any
    var: Any
    count: Any

    def unbiased(self) -> Any:
        """The variance times m/(m - 1): the estimate of the population's. Infinite or NaN for
        channels of one value."""
        return self.var * (self.count / (self.count - 1))


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
    x = _input("batch_norm", x)
    if mask is not None and weights is not None:
        raise ValueError("batch_norm: give mask or weights, not both (multiply them)")
    plan = normalization_plan(
        x._data.ndim,
        axis,
        eps,
        activation=activation,
        slope=slope,
        masked=mask is not None,
        ghost=ghost_size,
    )
    _check_parameters("batch_norm", x, plan, gamma=gamma, beta=beta)
    if weights is not None or mask is not None:
        weights = _weights("batch_norm", x, weights if mask is None else mask, plan)
    later = None
    if residual is not None:
        residual = _same_shape("batch_norm", x, residual)
        if activation is None and mask is None:  # a sum of its own keeps no residual alive
            residual, later = None, residual
    y, mean, low, var, _, count = ops.batch_norm(x, gamma, beta, residual, weights, plan=plan)
    if later is not None:
        y = y + later
    if ghost_size is not None:
        return y, _of_groups(x, mean + low, var, count, plan)
    m = plan.extent(x._data.shape) if count is None else count
    return y, BatchStatistics(mean + low, var, m)


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
    x = _input("normalize_by", x)
    plan = normalization_plan(
        x._data.ndim, axis, eps, activation=activation, slope=slope, name="normalize_by"
    )
    _check_parameters("normalize_by", x, plan, mean=mean, var=var, gamma=gamma, beta=beta)
    if residual is not None:
        residual = _same_shape("normalize_by", x, residual)
    return ops.normalize_by(x, mean, var, gamma, beta, residual, plan=plan)


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
    x = _input("batch_renorm", x)
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


def batch_statistics(
    x: Any, *, axis: Axis = 1, eps: float = 0.0, mask: Any = None, weights: Any = None
) -> BatchStatistics:
    """The statistics that `batch_norm` would use, alone; not differentiable. `eps` plays no part
    in them: it only has to be valid."""
    x = _input("batch_statistics", x)
    if mask is not None and weights is not None:
        raise ValueError("batch_statistics: give mask or weights, not both (multiply them)")
    plan = normalization_plan(
        x._data.ndim, axis, eps, masked=mask is not None, name="batch_statistics"
    )
    if weights is not None or mask is not None:
        weights = _weights("batch_statistics", x, weights if mask is None else mask, plan)
    mean, low, var, count = ops.batch_statistics(x, weights, plan=plan)
    return BatchStatistics(mean + low, var, plan.extent(x._data.shape) if count is None else count)


# --------------------------------------------------------------------- the rest of the family


def layer_norm(
    x: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """weight·(x - mean)/√(var + eps) + bias over the last axes, for each sample by itself.

    Shapes: `normalized_shape` is that of the last axes of x, and of weight and bias.
    Raises ValueError where shapes do not fit.   Source: Ba, Kiros and Hinton, 2016.
    """
    return _over_last("layer_norm", x, normalized_shape, weight, bias, eps, True)


def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """weight·x/√(mean of x² + eps) over the last axes, for each sample by itself.

    eps None is the spacing of the dtype's numbers at 1, PyTorch's choice.
    Raises ValueError where shapes do not fit.   Source: Zhang and Sennrich, 2019.
    """
    if eps is None:
        eps = float(ops.finfo(_input("rms_norm", x).dtype).eps)
    return _over_last("rms_norm", x, normalized_shape, weight, None, eps, False)


def _over_last(
    name: str, x: Any, shape: Any, weight: Any, bias: Any, eps: float, center: bool
) -> Any:
    x = _input(name, x)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    lead = x.ndim - len(shape)
    if not shape or lead < 0 or x.shape[lead:] != shape:
        raise ValueError(
            f"{name}: the last axes of x must be normalized_shape {shape}, got shape {x.shape}"
        )
    plan = normalization_plan(
        x.ndim,
        tuple(range(lead)),
        eps,
        param_axis=tuple(range(lead, x.ndim)),
        center=center,
        name=name,
    )
    _check_parameters(name, x, plan, weight=weight, bias=bias)
    return ops.batch_norm(x, weight, bias, plan=plan)[0]


def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """weight·(x - mean)/√(var + eps) + bias over groups of channels, for each sample by itself.

    Shapes: x (N, C, ...), weight and bias (C,); num_groups divides C.
    Raises ValueError where they do not fit.   Source: Wu and He, 2018.
    """
    x = _input("group_norm", x)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: num_groups must divide the channels of x (N, C, ...), "
            f"got {num_groups} and shape {x.shape}"
        )
    n, channels, *rest = x.shape
    width = channels // num_groups
    plan = normalization_plan(x.ndim + 1, (0, 1), eps, param_axis=(1, 2), name="group_norm")
    grouped = [num_groups, width]
    parameters = []
    for key, a in (("weight", weight), ("bias", bias)):
        if a is not None and tuple(a.shape) != (channels,):
            raise ValueError(f"group_norm: {key} must be ({channels},), got {tuple(a.shape)}")
        parameters.append(None if a is None else ops.reshape(a, tuple(grouped)))
    y = ops.batch_norm(ops.reshape(x, (n, *grouped, *rest)), *parameters, plan=plan)[0]
    return ops.reshape(y, x.shape)


def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """weight·(x - mean)/√(var + eps) + bias over each channel of each sample by itself.

    Shapes: x (N, C, ...), weight and bias (C,).
    Raises ValueError where they do not fit.   Source: Ulyanov, Vedaldi and Lempitsky, 2016.
    """
    x = _input("instance_norm", x)
    if x.ndim < 3:
        raise ValueError(f"instance_norm: x must be (N, C, ...), got shape {x.shape}")
    plan = normalization_plan(x.ndim, (0, 1), eps, param_axis=(1,), name="instance_norm")
    _check_parameters("instance_norm", x, plan, weight=weight, bias=bias)
    return ops.batch_norm(x, weight, bias, plan=plan)[0]


# ------------------------------------------------------------------------------------ checks


def _input(name: str, x: Any) -> Any:
    x = x if isinstance(x, Variable) else ops.asarray(x)
    if x._data.dtype not in x._backend.floating or x.dtype.kind != "f":
        raise TypeError(f"{name}: x must be real floating point, got dtype {x.dtype.name}")
    return x


def _check_parameters(name: str, x: Any, plan: NormalizationPlan, **parameters: Any) -> None:
    shape = x._data.shape
    if plan.param_axis == (1,):
        wanted: tuple[int, ...] = (shape[1],)
    else:
        wanted = tuple([shape[a] for a in plan.param_axis])
    for key, a in parameters.items():
        if a is not None and getattr(a, "shape", ()) != wanted:
            raise ValueError(
                f"{name}: {key} must have the shape {wanted} of axis {plan.param_axis} of x "
                f"{tuple(shape)}, got {tuple(getattr(a, 'shape', ()))}"
            )


def _same_shape(name: str, x: Any, residual: Any) -> Any:
    if tuple(residual.shape) != x.shape:
        raise ValueError(
            f"{name}: residual must have the shape {x.shape} of x, got {tuple(residual.shape)}"
        )
    return residual


def _weights(name: str, x: Any, weights: Any, plan: NormalizationPlan) -> Any:
    """Weights or mask with as many axes as x, each of its length or 1."""
    key = "mask" if plan.masked else "weights"
    if not isinstance(weights, Variable):
        weights = ops.asarray(weights, device=x.backend)
    if weights.requires_grad:
        raise ValueError(f"{name}: {key} are data and have no derivative; pass {key}.detach()")
    if weights.ndim == len(plan.reduced) != x.ndim:
        shape = iter(weights.shape)
        full = [next(shape) if a in plan.reduced else 1 for a in range(x.ndim)]
        weights = ops.reshape(weights, tuple(full))
    fits = weights.ndim == x.ndim and all(
        n in (1, m) for n, m in zip(weights.shape, x.shape, strict=True)
    )
    if not fits:
        averaged = tuple([x.shape[a] for a in plan.reduced])
        raise ValueError(
            f"{name}: {key} must broadcast to the shape {x.shape} of x or {averaged} of its "
            f"averaged axes, got {weights.shape}"
        )
    return weights


def _of_groups(x: Any, mean: Any, var: Any, count: Any, plan: NormalizationPlan) -> BatchStatistics:
    """The statistics of the whole batch from those of its groups, by Chan's formula."""
    at, length = plan.reduced[0], x.shape[plan.reduced[0]]
    axis = sum(1 for a in plan.axis if a < at)
    if count is None:
        total: Any = plan.extent(x.shape)
        assert plan.ghost is not None
        sizes = [min(plan.ghost, length - i) for i in range(0, length, plan.ghost)] or [1]
        shape = [1] * mean.ndim
        shape[axis] = len(sizes)
        share = ops.asarray(sizes, dtype=mean.dtype, device=x.backend) * (1 / max(length, 1))
        share = ops.reshape(share, tuple(shape))
    else:
        total = ops.sum(count, axis=axis)
        share = count / ops.expand_dims(ops.where(total > 0, total, 1.0), axis=axis)
    whole = ops.sum(mean * share, axis=axis)
    apart = mean - ops.expand_dims(whole, axis=axis)
    return BatchStatistics(whole, ops.sum((var + apart * apart) * share, axis=axis), total)


def extent(shape: tuple[int, ...], kept: tuple[int, ...]) -> int:
    """How many values each channel of an array of `shape` has."""
    axes = {a % len(shape) for a in kept}
    return math.prod([n for a, n in enumerate(shape) if a not in axes])


def blank(y: Any, mask: Any, axis: Axis) -> Any:
    """y with 0 at padding; mask as in `batch_norm`."""
    plan = normalization_plan(y.ndim, axis, 0.0, masked=True)
    return ops.where(_weights("batch_norm", y, mask, plan), y, 0.0)
