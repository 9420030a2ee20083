"""Batch normalization: the primitive, its gradient and the gradient of that.

With p = weights/Σ weights (1/m without weights) and ⟨a⟩ = Σ p·a over the averaged axes,

    mean = ⟨x⟩,   var = ⟨(x - mean)²⟩,   rstd = (var + eps)^(-1/2),   xhat = (x - mean)·rstd,
    y = act(gamma·xhat + beta + residual).

The mean and the variance are functions of x, at every order of differentiation:

    ∂xhat_j/∂x_i = rstd·(δ_ij - p_i - p_i·xhat_i·xhat_j).

Each primitive calls the backend's fused method of the same name; `normalization_composite` has
the same functions in plain operations. Everything that is no array is in `plan`, see
`normalization_plan`; layer, group and instance norm are other plans. `nn.functional` has the
functions for users.

Source: Ioffe and Szegedy, "Batch Normalization", 2015; derivations in docs/batchnorm.md.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..backend.normalization_plan import NormalizationPlan, linear_plan
from .normalization_composite import grad_grad_pullback

__all__: list[str] = []


def _batch_norm_rule(
    B: Any,
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    weights: Any,
    count: Any,
    plan: NormalizationPlan,
) -> tuple[Any, ...]:
    dresidual = None
    if residual is None:
        dx, dgamma, dbeta = B.batch_norm_grad(
            g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
        )
    else:
        dx, dgamma, dbeta, dresidual = B.batch_norm_residual_grad(
            g, x, mean, low, rstd, gamma, beta, residual, weights, count, plan=plan
        )
    return (
        dx,
        None if gamma is None else dgamma,
        None if beta is None else dbeta,
        dresidual,
        None,
    )


@primitive(_batch_norm_rule, aux=("mean", "low", "var", "rstd", "count"))
def batch_norm(
    B: Any,
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    residual: Any = None,
    weights: Any = None,
    *,
    plan: NormalizationPlan,
) -> Any:
    """act(gamma·(x - mean)/√(var + eps) + beta + residual) with the statistics of x itself.

    Returns (y, mean, low, var, rstd, count); all but y are untracked, and mean + low is the mean.
    d/dx = rstd·(h - p·(Σh + xhat·Σ(h·xhat))) with h = gamma·g·act′, d/dgamma = Σ g·act′·xhat,
    d/dbeta = Σ g·act′, d/dresidual = g·act′; weights are data and have no derivative.
    Shapes: x any, residual as x, gamma and beta (axes `plan.param_axis`), weights broadcast to x.
    """
    return B.batch_norm(x, gamma, beta, residual, weights, plan=plan)


@primitive(_batch_norm_rule, aux=("mean", "low", "var", "rstd", "count", "estimate"))
def batch_norm_tracked(
    B: Any,
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    residual: Any = None,
    weights: Any = None,
    *,
    plan: NormalizationPlan,
    old: tuple[Any, ...],
    factor: Any,
    rate: Any,
) -> Any:
    """`batch_norm`, and what `B.advance_estimate` makes of its statistics, both in one step.

    `old` is the estimate, the first five arguments of `B.advance_estimate`, as raw arrays. For use
    by its form `raw`, which returns (y, mean, low, var, rstd, count, estimate), raw but for y.
    """
    return B.batch_norm_tracked(
        x, gamma, beta, residual, weights, plan=plan, old=old, factor=factor, rate=rate
    )


@primitive(
    dy=lambda B, g, x, mean, low, rstd, gamma, beta, residual, weights, plan: B.batch_norm_gate(
        g, x, mean, low, rstd, gamma, beta, residual, weights, plan=plan
    )
)
def batch_norm_gate(
    B: Any,
    dy: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any = None,
    beta: Any = None,
    residual: Any = None,
    weights: Any = None,
    *,
    plan: NormalizationPlan,
) -> Any:
    """dy·act′(z), with the argument z of the activation computed again; 0 at padding.

    d/ddy = g·act′(z); piecewise constant in everything else.
    """
    return B.batch_norm_gate(dy, x, mean, low, rstd, gamma, beta, residual, weights, plan=plan)


def batch_norm_residual_grad(
    dy: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any = None,
    beta: Any = None,
    residual: Any = None,
    weights: Any = None,
    count: Any = None,
    *,
    plan: NormalizationPlan,
) -> tuple[Any, Any, Any, Any]:
    """(dx, dgamma, dbeta, dresidual) of `batch_norm` with a residual, for the cotangent dy.

    The gate, then the gradient of what is linear in it; a backend does both at once.
    """
    h = batch_norm_gate(dy, x, mean, low, rstd, gamma, beta, residual, weights, plan=plan)
    grads = batch_norm_grad(
        h, x, mean, low, rstd, gamma, beta, weights, count, plan=linear_plan(plan)
    )
    return *grads, h


def _grad_rule(
    B: Any,
    g: Any,
    dy: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    weights: Any,
    count: Any,
    plan: NormalizationPlan,
) -> tuple[Any, ...]:
    ddy, dx, dgamma = B.batch_norm_grad_grad(
        *g, dy, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
    )
    return ddy, dx, *(None,) * 3, None if gamma is None else dgamma, *(None,) * 3


@primitive(_grad_rule, outputs=3)
def batch_norm_grad(
    B: Any,
    dy: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any = None,
    beta: Any = None,
    weights: Any = None,
    count: Any = None,
    *,
    plan: NormalizationPlan,
) -> Any:
    """(dx, dgamma, dbeta) of `batch_norm` without residual, for the cotangent dy.

    mean, low, rstd and count are what `batch_norm` returned for this x: they are functions of x,
    and the derivative of this primitive treats them so.
    """
    return B.batch_norm_grad(dy, x, mean, low, rstd, gamma, beta, weights, count, plan=plan)


@primitive(grad_grad_pullback, outputs=3)
def batch_norm_grad_grad(
    B: Any,
    u: Any,
    v: Any,
    t: Any,
    dy: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any = None,
    beta: Any = None,
    weights: Any = None,
    count: Any = None,
    *,
    plan: NormalizationPlan,
) -> Any:
    """(ddy, dx, dgamma) of `batch_norm_grad`, for the cotangents u, v, t of its three results.

    Its derivative is that of the composite definition, which makes the statistics from x again:
    third and higher orders are those of plain operations.
    """
    return B.batch_norm_grad_grad(
        u, v, t, dy, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
    )


@primitive(aux=("low", "var", "count"))
def batch_statistics(B: Any, x: Any, weights: Any = None, *, plan: NormalizationPlan) -> Any:
    """(mean, low, var, count) of x over the axes that the plan averages; not differentiable."""
    return B.batch_statistics(x, weights, plan=plan)


@primitive(x=lambda B, g, x_shape, plan: _spread(B, g, x_shape, plan))
def channel_sum(B: Any, x: Any, *, plan: NormalizationPlan) -> Any:
    """Σ x over the axes that the plan averages, accurate for long sums.   d/dx = g, broadcast."""
    return B.channel_sum(x, plan=plan)


def _spread(B: Any, g: Any, shape: tuple[int, ...], plan: NormalizationPlan) -> Any:
    """A statistic broadcast over the axes that the plan averages."""
    return B.broadcast_to(_along(B, g, plan), tuple(shape))


def _along(B: Any, statistic: Any, plan: NormalizationPlan) -> Any:
    """A statistic with axes of length 1 where the plan averages."""
    shape = [1] * plan.ndim
    for axis, length in zip(plan.axis, statistic.shape, strict=True):
        shape[axis] = length
    return B.reshape(statistic, tuple(shape))


def _normalize_by_rule(
    B: Any,
    g: Any,
    x: Any,
    mean: Any,
    var: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    plan: NormalizationPlan,
) -> tuple[Any, ...]:
    """Plain arithmetic on the primitive's own inputs: read on tensors it has every order."""
    shifted = var + plan.eps
    if plan.eps < 1e-30:  # as in the forward: a channel without variance gives beta
        rstd = B.where(shifted > 0, 1.0 / B.sqrt(B.where(shifted > 0, shifted, 1.0)), 0.0)
    else:
        rstd = 1.0 / B.sqrt(shifted)
    scale = rstd if gamma is None else rstd * gamma
    centred = x - _along(B, mean, plan)
    if plan.activation is not None:
        z = centred * _along(B, scale, plan)
        z = z if beta is None else z + _along(B, beta, plan)
        z = z if residual is None else z + residual
        g = B.where(z > 0, g, plan.slope * g if plan.activation == "leaky_relu" else 0.0 * g)
    total = B.channel_sum(g, plan=plan)
    product = B.channel_sum(g * centred, plan=plan)
    dgamma = product * rstd
    dvar = -0.5 * scale * (rstd * dgamma)
    return (
        g * _along(B, scale, plan),
        -scale * total,
        dvar,
        None if gamma is None else dgamma,
        None if beta is None else total,
        None if residual is None else g,
    )


@primitive(_normalize_by_rule)
def normalize_by(
    B: Any,
    x: Any,
    mean: Any,
    var: Any,
    gamma: Any = None,
    beta: Any = None,
    residual: Any = None,
    *,
    plan: NormalizationPlan,
) -> Any:
    """act(gamma·(x - mean)/√(var + eps) + beta + residual) with statistics that are given.

    With h = g·act′ and rstd = (var + eps)^(-1/2): d/dx = gamma·rstd·h, d/dmean = -gamma·rstd·Σh,
    d/dvar = -gamma·rstd³·Σ h·(x - mean)/2, d/dgamma = rstd·Σ h·(x - mean), d/dbeta = Σ h,
    d/dresidual = h.
    Shapes: x and residual any, all others the axes that `plan.axis` keeps.
    """
    return B.normalize_by(x, mean, var, gamma, beta, residual, plan=plan)
