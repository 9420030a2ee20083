"""Keeping gradients within bounds; PyTorch's names."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from .. import ops
from ..autograd import no_grad
from ..refusal import check_number
from ..tensor import Tensor


def _with_grad(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p for p in listed if p.grad is not None]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> float:
    """Scale all gradients by one factor so that their common norm is at most `max_norm`.

    The norm is that of all gradients taken as one vector: (Σ|g|^norm_type)^(1/norm_type), the
    greatest |g| for infinity. Returns the norm before.

    Raises:
        ValueError: max_norm < 0 or norm_type <= 0; with `error_if_nonfinite`, a norm that is NaN
            or infinite.
    """
    check_number("clip_grad_norm_", "max_norm", max_norm, least=0)
    check_number("clip_grad_norm_", "norm_type", norm_type, above=0)
    owners = _with_grad(parameters)
    norms = [_norm(p.grad, norm_type) for p in owners]
    if math.inf in (norm_type, *norms):
        total = max(norms, default=0.0)
    else:
        total = sum(n**norm_type for n in norms) ** (1 / norm_type)
    if error_if_nonfinite and not math.isfinite(total):
        raise ValueError(f"clip_grad_norm_: the norm of the gradients is {total}")
    factor = max_norm / (total + 1e-6)
    if not factor >= 1:
        for p in owners:
            p.grad = p.grad * factor  # type: ignore[operator]
    return total


def _norm(g: Any, norm_type: float) -> float:
    if g.size == 0:
        return 0.0
    g = ops.abs(g.astype("float64"))
    if norm_type == math.inf:
        return float(ops.max(g))
    return float(ops.sum(g**norm_type)) ** (1 / norm_type)


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Move every element of every gradient into [-clip_value, clip_value].

    Raises ValueError if clip_value < 0.
    """
    check_number("clip_grad_value_", "clip_value", clip_value, least=0)
    for p in _with_grad(parameters):
        p.grad = ops.clip(p.grad, -clip_value, clip_value)
