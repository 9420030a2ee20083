"""Losses of probabilities: binary cross-entropy, Kullback-Leibler divergence.

Names, arguments and semantics are PyTorch's. `reduction` is "mean" over all elements (NaN if there
are none), "sum", or "none". Shapes must be equal: nothing is broadcast but the weights.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..refusal import named
from .loss import REDUCTIONS, check_pair, check_reduction, reduce_losses, tensors_of
from .reduction import sum

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "kl_div",
]

# ------------------------------------------------------------------------ binary cross-entropy


def _check_probabilities(B: Any, name: str, argument: str, p: Any) -> None:
    # The negation of `inside`, so that NaN is refused too.
    if not bool(B.all(B.logical_and(p >= 0, p <= 1))):
        raise ValueError(
            f"{name}: {argument} must be in [0, 1] everywhere, "
            f"got values from {float(B.min(p))} to {float(B.max(p))}"
        )


@primitive(
    input=lambda B, g, input, target: (
        g * ((input - target) / B.clip(input * (1 - input), 1e-12, None))
    ),
    target=lambda B, g, input: g * (B.bounded_log(1 - input) - B.bounded_log(input)),
)
def binary_entropy(B: Any, input: Any, target: Any) -> Any:
    """-(target·ln input + (1 - target)·ln(1 - input)), both logarithms not below -100.

    d/dinput = g·(input - target)/(input·(1 - input)), the divisor not below 10⁻¹²;
    d/dtarget = g·(ln(1 - input) - ln input).
    """
    name = "binary_cross_entropy"
    check_pair(B, name, input, target)
    _check_probabilities(B, name, "input", input)
    _check_probabilities(B, name, "target", target)
    return B.binary_entropy(input, target)


@primitive(x=lambda B, g, x: g / B.clip(x, 1e-12, None))
def bounded_log(B: Any, x: Any) -> Any:
    """ln x, not below -100.   d/dx = g/x, the divisor not below 10⁻¹²."""
    return B.bounded_log(x)


def _logit_entropy_dx(B: Any, g: Any, input: Any, target: Any, pos_weight: Any) -> Any:
    if pos_weight is None:
        return g * (B.sigmoid(input) - target)
    return g * (1 - target - (1 + (pos_weight - 1) * target) * B.sigmoid(-input))


def _logit_entropy_dtarget(B: Any, g: Any, input: Any, pos_weight: Any) -> Any:
    if pos_weight is None:
        return -g * input
    return g * ((pos_weight - 1) * _softplus(B, -input) - input)


def _softplus(B: Any, x: Any) -> Any:
    return B.softplus(x, beta=1.0, threshold=float("inf"))


@primitive(
    input=_logit_entropy_dx,
    target=_logit_entropy_dtarget,
    pos_weight=lambda B, g, input, target: g * target * _softplus(B, -input),
)
def logit_entropy(B: Any, input: Any, target: Any, pos_weight: Any = None) -> Any:
    """(1 - target)·input + (1 + (pos_weight - 1)·target)·softplus(-input), without overflow.

    d/dinput = g·(σ(input) - target) where pos_weight is 1.
    """
    check_pair(B, "binary_cross_entropy_with_logits", input, target)
    tail = _softplus(B, -input)
    if pos_weight is not None:
        tail *= 1 + (pos_weight - 1) * target
    return (1 - target) * input + tail


def _broadcasting(name: str, argument: str, weight: Any, shape: tuple[int, ...]) -> None:
    """ValueError unless an array of `weight`'s shape broadcasts to `shape`."""
    own = weight.shape
    lengths = zip(own[::-1], shape[::-1], strict=False)
    if len(own) > len(shape) or any(w not in (1, n) for w, n in lengths):
        raise ValueError(f"{name}: {argument} must broadcast to shape {shape}, got {own}")


@named
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, *, reduction: str = "mean"
) -> Any:
    """-(target·ln input + (1 - target)·ln(1 - input)) of probabilities.

    The logarithms are taken as -100 where they are below, so that the loss is finite.

    Args:
        input, target: one shape, values in [0, 1].
        weight: multiplies the losses; broadcast to their shape. The mean is still over elements.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: values outside [0, 1], shapes that do not fit, another reduction.
        TypeError: tensors that are not of real floating-point numbers.
    """
    name = "binary_cross_entropy"
    check_reduction(name, reduction)
    losses = binary_entropy(input, target)
    if weight is not None:
        losses, weight = tensors_of(losses=losses, weight=weight)
        _broadcasting(name, "weight", weight, losses.shape)
        losses = losses * weight
    return reduce_losses(losses, reduction)


@named
def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """`binary_cross_entropy` of σ(input), finite for all finite logits.

    Args:
        input, target: one shape; the targets usually in [0, 1].
        weight: multiplies the losses; broadcast to their shape.
        reduction: "mean", "sum" or "none".
        pos_weight: multiplies target·ln σ(input), the part of the positive class; broadcast.

    Raises:
        ValueError: shapes that do not fit, another reduction.
        TypeError: tensors that are not of real floating-point numbers.
    """
    name = "binary_cross_entropy_with_logits"
    check_reduction(name, reduction)
    input, target = tensors_of(input=input, target=target)
    if pos_weight is not None:
        _, pos_weight = tensors_of(input=input, pos_weight=pos_weight)
        _broadcasting(name, "pos_weight", pos_weight, target.shape)
    losses = logit_entropy(input, target, pos_weight)
    if weight is not None:
        losses, weight = tensors_of(losses=losses, weight=weight)
        _broadcasting(name, "weight", weight, losses.shape)
        losses = losses * weight
    return reduce_losses(losses, reduction)


# --------------------------------------------------------------------------------- divergence


def _divergence_dtarget(B: Any, g: Any, input: Any, target: Any) -> Any:
    zero = target == 0
    return B.masked(g * (B.log(B.where(zero, 1.0, target)) + 1 - input), ~zero)


@primitive(
    input=lambda B, g, target: -g * target,
    target=_divergence_dtarget,
)
def divergence(B: Any, input: Any, target: Any) -> Any:
    """target·(ln target - input), 0 where target = 0.

    d/dinput = -g·target,   d/dtarget = g·(ln target + 1 - input), 0 where target = 0.
    """
    check_pair(B, "kl_div", input, target)
    if bool(B.any(target < 0)):
        raise ValueError(f"kl_div: target must be >= 0 everywhere, got {float(B.min(target))}")
    return target * (B.log(B.where(target == 0, 1.0, target)) - input)


@primitive(
    input=lambda B, g, target: -g * B.exp(target),
    target=lambda B, g, input, target: g * (B.exp(target) * (target - input + 1)),
)
def log_divergence(B: Any, input: Any, target: Any) -> Any:
    """e^target·(target - input).   d/dinput = -g·e^target, d/dtarget = out + g·e^target."""
    check_pair(B, "kl_div", input, target)
    return B.exp(target) * (target - input)


@named
def kl_div(input: Any, target: Any, *, reduction: str = "mean", log_target: bool = False) -> Any:
    """Kullback-Leibler divergence target·(ln target - input) of log-probabilities `input`.

    Args:
        input: log-probabilities.
        target: probabilities of the same shape, or their logarithms if `log_target`.
        reduction: "batchmean" (the sum divided by the length of the first axis: the divergence
            of the definition), "mean" over all elements, "sum" or "none".
        log_target: whether target holds logarithms.

    Raises:
        ValueError: shapes that differ, a negative probability, another reduction.
        TypeError: tensors that are not of real floating-point numbers.
    """
    check_reduction("kl_div", reduction, (*REDUCTIONS, "batchmean"))
    losses = (log_divergence if log_target else divergence)(input, target)
    if reduction != "batchmean":
        return reduce_losses(losses, reduction)
    if losses.ndim == 0:
        raise ValueError("kl_div: reduction 'batchmean' needs an axis of examples, got shape ()")
    n = losses.shape[0]
    return sum(losses) / n if n else sum(losses) * float("nan")
