"""Checks of what users pass to the functional forms of normalization."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..autograd import Variable
from ..backend.normalization_plan import NormalizationPlan


def check_input(name: str, x: Any) -> Any:
    if not isinstance(x, Variable):
        x = ops.asarray(x)
    if x._data.dtype is x._backend.usual:  # real floating point
        return x
    if x._data.dtype not in x._backend.floating or x.dtype.kind != "f":
        raise TypeError(f"{name}: x must be real floating point, got dtype {x.dtype.name}")
    return x


def check_parameters(name: str, x: Any, plan: NormalizationPlan, **parameters: Any) -> None:
    shape = x._data.shape
    if plan.param_axis == (1,):
        wanted: tuple[int, ...] = (shape[1],)
    else:
        wanted = tuple([shape[a] for a in plan.param_axis])
    for key, a in parameters.items():
        if a is None:
            continue
        given = a._data.shape if isinstance(a, Variable) else getattr(a, "shape", ())
        if given != wanted:
            raise ValueError(
                f"{name}: {key} must have the shape {wanted} of axis {plan.param_axis} of x "
                f"{tuple(shape)}, got {tuple(given)}"
            )


def check_residual(name: str, x: Any, residual: Any) -> Any:
    if not isinstance(residual, Variable):
        residual = ops.asarray(residual, device=x.backend)
    if residual._data.shape != x._data.shape:
        raise ValueError(
            f"{name}: residual must have the shape {x.shape} of x, got {tuple(residual.shape)}"
        )
    return residual


def aligned_weights(name: str, x: Any, weights: Any, plan: NormalizationPlan) -> Any:
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


def extent(shape: tuple[int, ...], kept: tuple[int, ...]) -> int:
    """How many values each channel of an array of `shape` has."""
    axes = {a % len(shape) for a in kept}
    return math.prod([n for a, n in enumerate(shape) if a not in axes])
