"""Losses of regression, and what all losses share: arguments, reductions.

Names, arguments and semantics are PyTorch's. `reduction` is "mean" over all elements (NaN if there
are none), "sum", or "none". Shapes must be equal: nothing is broadcast.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Variable, primitive
from ..autograd.runtime import make
from ..backend import default_backend
from ..refusal import check_number, named
from .activation import require_floating
from .reduction import mean, sum

__all__ = [
    "huber_loss",
    "l1_loss",
    "mse_loss",
    "smooth_l1_loss",
]

REDUCTIONS = ("mean", "sum", "none")


def check_reduction(name: str, reduction: str, known: tuple[str, ...] = REDUCTIONS) -> None:
    """ValueError for a reduction that there is not."""
    if not isinstance(reduction, str) or reduction not in known:
        raise ValueError(f"{name}: reduction must be one of {known}, got {reduction!r}")


def tensors_of(**arguments: Any) -> list[Any]:
    """The arguments as tensors: array-likes are copied to the backend of the first tensor."""
    given = [a._backend for a in arguments.values() if isinstance(a, Variable)]
    B = given[0] if given else default_backend()
    return [
        a if isinstance(a, Variable) else make(B, B.asarray(a, copy=True), None)
        for a in arguments.values()
    ]


def reduce_losses(losses: Any, reduction: str) -> Any:
    """The losses, their sum or their mean."""
    if reduction == "none":
        return losses
    if reduction == "mean" and losses.size > 0:
        return mean(losses)
    return sum(losses) * float("nan") if reduction == "mean" else sum(losses)


def check_pair(B: Any, name: str, input: Any, target: Any) -> None:
    """Two raw arrays of real floating-point numbers in one shape."""
    require_floating(B, name, input, "input")
    require_floating(B, name, target, "target")
    if input.shape != target.shape:
        raise ValueError(
            f"{name}: target must have the shape of input, {tuple(input.shape)}, "
            f"got {tuple(target.shape)}"
        )


def _times_weight(name: str, losses: Any, weight: Any) -> tuple[Any, Any]:
    """Losses times weights of their shape, and the weights as a tensor."""
    losses, weight = tensors_of(losses=losses, weight=weight)
    if weight.shape != losses.shape:
        raise ValueError(
            f"{name}: weight must have the shape of input, {losses.shape}, got {weight.shape}"
        )
    return losses * weight, weight


def _weighted(name: str, losses: Any, weight: Any, reduction: str) -> Any:
    """`reduce_losses` with weights, by the sum of which the mean is divided."""
    if weight is None:
        return reduce_losses(losses, reduction)
    losses, weight = _times_weight(name, losses, weight)
    if reduction == "mean" and losses.size > 0:
        return sum(losses) / sum(weight)
    return reduce_losses(losses, reduction)


# --------------------------------------------------------------------------------- regression


@primitive(
    input=lambda B, g, input, target: g * (2 * (input - target)),
    target=lambda B, g, input, target: g * (2 * (target - input)),
)
def squared_error(B: Any, input: Any, target: Any, *, name: str) -> Any:
    """(input - target)².   d/dinput = 2·g·(input - target) = -d/dtarget."""
    check_pair(B, name, input, target)
    return B.square(input - target)


@primitive(
    input=lambda B, g, input, target: g * B.sign(input - target),
    target=lambda B, g, input, target: g * B.sign(target - input),
)
def absolute_error(B: Any, input: Any, target: Any, *, name: str) -> Any:
    """|input - target|.   d/dinput = g·sign(input - target) = -d/dtarget, 0 at equality."""
    check_pair(B, name, input, target)
    return B.abs(input - target)


@primitive(
    input=lambda B, g, input, target, beta: g * B.clip((input - target) / beta, -1.0, 1.0),
    target=lambda B, g, input, target, beta: g * B.clip((target - input) / beta, -1.0, 1.0),
)
def smooth_error(B: Any, input: Any, target: Any, *, name: str, beta: float) -> Any:
    """d²/(2·beta) where |d| < beta, else |d| - beta/2, with d = input - target.

    d/dinput = g·d/beta, limited to [-g, g], = -d/dtarget.
    """
    check_pair(B, name, input, target)
    d = B.abs(input - target)
    return B.where(d < beta, d * d * (0.5 / beta), d - 0.5 * beta)


@named
def mse_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """(input - target)², by default the mean of it.

    Args:
        input, target: one shape.
        reduction: "mean", "sum" or "none".
        weight: the same shape; the mean is then Σ weight·loss/Σ weight.

    Raises:
        ValueError: shapes that differ, another reduction.
        TypeError: tensors that are not of real floating-point numbers.
    """
    check_reduction("mse_loss", reduction)
    losses = squared_error(input, target, name="mse_loss")
    return _weighted("mse_loss", losses, weight, reduction)


@named
def l1_loss(input: Any, target: Any, *, reduction: str = "mean", weight: Any = None) -> Any:
    """|input - target|, by default the mean of it; the derivative is 0 where they are equal.

    Arguments and errors are those of `mse_loss`.
    """
    check_reduction("l1_loss", reduction)
    losses = absolute_error(input, target, name="l1_loss")
    return _weighted("l1_loss", losses, weight, reduction)


@named
def smooth_l1_loss(input: Any, target: Any, *, reduction: str = "mean", beta: float = 1.0) -> Any:
    """d²/(2·beta) where |d| < beta, else |d| - beta/2, with d = input - target.

    Args:
        input, target: one shape.
        reduction: "mean", "sum" or "none".
        beta: where the parabola meets the line; 0 gives `l1_loss`.

    Raises:
        ValueError: shapes that differ, another reduction, a negative beta.
        TypeError: tensors that are not of real floating-point numbers.
    """
    check_reduction("smooth_l1_loss", reduction)
    check_number("smooth_l1_loss", "beta", beta, least=0)
    if beta == 0:
        losses = absolute_error(input, target, name="smooth_l1_loss")
    else:
        losses = smooth_error(input, target, name="smooth_l1_loss", beta=beta)
    return reduce_losses(losses, reduction)


@named
def huber_loss(
    input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None
) -> Any:
    """d²/2 where |d| < delta, else delta·(|d| - delta/2), with d = input - target.

    Args:
        input, target: one shape.
        reduction: "mean", "sum" or "none".
        delta: where the parabola meets the line.
        weight: the same shape; multiplies the losses. The mean is still over elements (in
            `mse_loss` and `l1_loss` it is not).

    Raises:
        ValueError: shapes that differ, another reduction, delta not above 0.
        TypeError: tensors that are not of real floating-point numbers.
    """
    check_reduction("huber_loss", reduction)
    check_number("huber_loss", "delta", delta, above=0)
    losses = smooth_error(input, target, name="huber_loss", beta=delta) * delta
    if weight is not None:
        losses, _ = _times_weight("huber_loss", losses, weight)
    return reduce_losses(losses, reduction)
