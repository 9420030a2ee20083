"""Batch normalization in plain operations: the oracle of the fused kernels, and the third order.

The functions take tensors and make the statistics themselves, from x; the engine differentiates
through every step, so they are right at any order, and slow. They agree with the primitives of
`normalization`; the derivative of the last one, `batch_norm_grad_grad`, is that of its composite.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from ..autograd import enable_grad, grad
from ..autograd.graph import Leaf
from ..autograd.runtime import make
from ..backend import Backend
from ..backend.normalization_ghost import Groups
from ..backend.normalization_plan import NormalizationPlan
from .datatype import astype
from .elementwise import maximum, positive, sqrt, where
from .manipulation import broadcast_to, concat, reshape
from .reduction import sum as sum_

__all__: list[str] = []

_joining = SimpleNamespace(reshape=reshape, concat=concat)


def _placed(a: Any, axes: tuple[int, ...], plan: NormalizationPlan) -> Any:
    """A statistic or parameter with axes of length 1 where it does not extend."""
    shape = [1] * plan.ndim
    for axis, length in zip(axes, a.shape, strict=True):
        shape[axis] = length
    return reshape(a, tuple(shape))


def _parameter(a: Any, plan: NormalizationPlan) -> Any:
    return _placed(a, plan.param_axis, plan)


def _mean(a: Any, p: Any, plan: NormalizationPlan) -> Any:
    return _total(p * a, plan)


def _total(a: Any, plan: NormalizationPlan) -> Any:
    return sum_(a, axis=plan.reduced, keepdims=True)


def _shares(x: Any, weights: Any, plan: NormalizationPlan) -> Any:
    """weights/Σ weights, or 1/m."""
    if weights is None:
        return 1.0 / max(plan.extent(x.shape), 1)
    w = astype(weights, x.dtype)
    total = _total(broadcast_to(w, x.shape), plan)
    return w / where(total > 0, total, 1.0)


def normalized(x: Any, weights: Any, plan: NormalizationPlan) -> tuple[Any, Any, Any]:
    """(xhat, rstd, p) of x, with axes of length 1 where it is averaged."""
    if weights is not None and plan.masked:
        x = where(astype(weights, x.dtype) > 0, x, 0.0)
    p = _shares(x, weights, plan)
    centred = x - _mean(x, p, plan) if plan.center else x
    shifted = _mean(centred * centred, p, plan) + plan.eps
    rstd = where(shifted > 0, 1.0 / sqrt(where(shifted > 0, shifted, 1.0)), 0.0)
    return centred * rstd, rstd, p


def _affine(xhat: Any, gamma: Any, beta: Any, plan: NormalizationPlan) -> Any:
    z = xhat if gamma is None else xhat * _parameter(gamma, plan)
    return z if beta is None else z + _parameter(beta, plan)


def _gated(a: Any, z: Any, weights: Any, plan: NormalizationPlan) -> Any:
    """a·act′(z), 0 at padding."""
    if plan.activation is not None:
        a = where(z > 0, a, a * (plan.slope if plan.activation == "leaky_relu" else 0.0))
    return where(astype(weights, z.dtype) > 0, a, 0.0) if plan.masked else a


def batch_norm(
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    residual: Any = None,
    weights: Any = None,
    *,
    plan: NormalizationPlan,
) -> Any:
    """y of the primitive `batch_norm`."""
    if plan.ghost is not None:
        groups = Groups(_joining, x.shape, plan)
        arrays = zip(*[groups.data(a) for a in (x, residual, weights)], strict=True)
        return groups.join(
            [batch_norm(x, gamma, beta, r, w, plan=groups.plan) for x, r, w in arrays]
        )
    z = _affine(normalized(x, weights, plan)[0], gamma, beta, plan)
    if residual is not None:
        z = z + residual
    if plan.activation == "relu":
        y = maximum(z, 0.0)
    else:
        y = z if plan.activation is None else where(z > 0, z, plan.slope * z)
    return where(astype(weights, y.dtype) > 0, y, 0.0) if plan.masked else y


def batch_norm_grad(
    dy: Any,
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    weights: Any = None,
    *,
    plan: NormalizationPlan,
) -> tuple[Any, Any, Any]:
    """(dx, dgamma, dbeta) of the primitive `batch_norm_grad`."""
    if plan.ghost is not None:
        groups = Groups(_joining, x.shape, plan)
        arrays = zip(*[groups.data(a) for a in (dy, x, weights)], strict=True)
        parts = [batch_norm_grad(g, x, gamma, beta, w, plan=groups.plan) for g, x, w in arrays]
        dx, dgamma, dbeta = zip(*parts, strict=True)
        return groups.join(list(dx)), _added(dgamma), _added(dbeta)
    xhat, rstd, p = normalized(x, weights, plan)
    g = _gated(dy, _affine(xhat, gamma, beta, plan), weights, plan)
    h = g if gamma is None else g * _parameter(gamma, plan)
    inner = xhat * _total(h * xhat, plan)
    inner = inner + _total(h, plan) if plan.center else inner
    dgamma = sum_(g * xhat, axis=plan.param_reduced)
    return rstd * (h - p * inner), dgamma, sum_(g, axis=plan.param_reduced)


def _added(parts: Any) -> Any:
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def batch_norm_grad_grad(
    u: Any,
    v: Any,
    t: Any,
    dy: Any,
    x: Any,
    gamma: Any = None,
    beta: Any = None,
    weights: Any = None,
    *,
    plan: NormalizationPlan,
) -> tuple[Any, Any, Any]:
    """(ddy, dx, dgamma) of the primitive `batch_norm_grad_grad`.

    ⟨(u, v, t), batch_norm_grad⟩ = Σ g·(gamma·q + v·xhat + t), where q is the derivative of xhat
    in the direction u; what follows is its gradient.
    """
    if plan.ghost is not None:
        groups = Groups(_joining, x.shape, plan)
        arrays = zip(*[groups.data(a) for a in (u, dy, x, weights)], strict=True)
        parts = [
            batch_norm_grad_grad(u, v, t, g, x, gamma, beta, w, plan=groups.plan)
            for u, g, x, w in arrays
        ]
        ddy, dx, dgamma = zip(*parts, strict=True)
        return groups.join(list(ddy)), groups.join(list(dx)), _added(dgamma)
    xhat, rstd, p = normalized(x, weights, plan)
    z = _affine(xhat, gamma, beta, plan)
    g = _gated(dy, z, weights, plan)
    scale = 1.0 if gamma is None else _parameter(gamma, plan)
    v, t = _parameter(v, plan), _parameter(t, plan)
    h = g * scale
    pu = u * p
    h1, u1 = _total(h * xhat, plan), _total(pu * xhat, plan)
    direction, f = u - xhat * u1, _total(u * h, plan) - h1 * u1
    if plan.center:
        h0, u0 = _total(h, plan), _total(pu, plan)
        direction, f = direction - u0, f - h0 * u0
    q = rstd * direction
    c = g * v - rstd * (h * u1 + pu * h1)
    inner = xhat * (_total(c * xhat, plan) + rstd * f)
    inner = inner + _total(c, plan) if plan.center else inner
    ddy = _gated(q * scale + v * xhat + t, z, weights, plan)
    return ddy, rstd * (c - p * inner), sum_(g * q, axis=plan.param_reduced)


def grad_grad_pullback(
    B: Any,
    g: Any,
    u: Any,
    v: Any,
    t: Any,
    dy: Any,
    x: Any,
    gamma: Any,
    beta: Any,
    weights: Any,
    plan: NormalizationPlan,
    wants: tuple[bool, ...],
) -> tuple[Any, ...]:
    """The rule of the primitive `batch_norm_grad_grad`: differentiate the composite.

    The composite works on aliases of the inputs, and the derivative is taken with respect to
    these: so it stops at the inputs of this operation. Without that cut it would run on through
    the cotangents, which depend on x as well, and count their share twice.
    """
    wanted = dict(zip(("u", "v", "t", "dy", "x", "gamma"), (*wants[:5], wants[8]), strict=True))
    given = {"u": u, "v": v, "t": t, "dy": dy, "x": x, "gamma": gamma}
    with enable_grad():
        own = {name: _alias(B, a, wanted[name]) for name, a in given.items()}
        outputs = batch_norm_grad_grad(
            **own, beta=_tensor(B, beta), weights=_tensor(B, weights), plan=plan
        )
        pairs = [(y, _tensor(B, c)) for y, c in zip(outputs, g, strict=True) if y.requires_grad]
        inputs = [own[name] for name, want in wanted.items() if want]
        found = grad(
            [y for y, _ in pairs],
            inputs,
            [c for _, c in pairs],
            create_graph=not isinstance(B, Backend),
            allow_unused=True,
        )
    results = iter([d._data if isinstance(B, Backend) and d is not None else d for d in found])
    du, dv, dt, ddy, dx, dgamma = [next(results) if want else None for want in wanted.values()]
    return du, dv, dt, ddy, dx, *(None,) * 3, dgamma, *(None,) * 3


def _tensor(B: Any, a: Any) -> Any:
    """A raw array of the first reading as a tensor; what is one already (or None) as it is."""
    return make(B, a, None) if isinstance(B, Backend) and a is not None else a


def _alias(B: Any, a: Any, wanted: bool) -> Any:
    """A tensor with the values of `a` and a node of its own, if it is wanted."""
    tensor = _tensor(B, a)
    if tensor is None or not wanted:
        return tensor
    if tensor._node is not None:
        return positive(tensor)
    backend, array = tensor._backend, tensor._data
    return make(backend, array, Leaf(backend, array.shape, array.dtype))
