"""Losses of classification: cross-entropy of logits, negative log-likelihood.

The classes lie on axis 1 of (N, C) or (N, C, d₁, …) inputs, and on axis 0 of a vector (C,).
Names, arguments and semantics are PyTorch's. `reduction` is "mean" (weighted, over the targets that
are not ignored; NaN if there are none), "sum", or "none".
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..dtypes import int64
from ..refusal import check_integer, check_number, named
from .activation import require_floating
from .datatype import astype
from .elementwise import masked, where
from .indexing import getitem, take_along_axis
from .loss import check_reduction, reduce_losses, tensors_of
from .manipulation import expand_dims, reshape, squeeze
from .reduction import sum
from .softmax import log_softmax

__all__ = [
    "cross_entropy",
    "nll_loss",
]


def _class_axis(shape: tuple[int, ...]) -> int:
    return 1 if len(shape) > 1 else 0


def _class_cross_entropy_dx(B: Any, g: Any, x: Any, slope: Any, reduction: str) -> Any:
    slope = B.class_slope(x, slope, reduction=reduction)
    if reduction == "none":
        return B.expand_dims(g, axis=_class_axis(x.shape)) * slope
    return B.scaled(slope, g)


@primitive(aux=("slope",), x=_class_cross_entropy_dx)
def class_cross_entropy(B: Any, x: Any, target: Any, *, reduction: str) -> Any:
    """-ln softmax(x)[target], reduced, and its gradient `slope` with respect to x.

    slope = softmax(x) - onehot(target), divided by the number of targets for the mean;
    d/dx = g·slope.
    """
    return B.class_cross_entropy(x, target, reduction=reduction)


def _class_slope_dx(B: Any, g: Any, x: Any, reduction: str) -> Any:
    axis = _class_axis(x.shape)
    d = B.softmax_pull(g, B.softmax(x, axis=axis), axis=axis)
    if reduction != "mean":
        return d
    count = 1
    for i, n in enumerate(x.shape):
        count *= 1 if i == axis else n
    return d / max(count, 1)


@primitive(x=_class_slope_dx)
def class_slope(B: Any, x: Any, slope: Any, *, reduction: str) -> Any:
    """The `slope` of `class_cross_entropy`, known already, as a function of x.

    d/dx is that of the softmax, divided by the number of targets for the mean.
    """
    return B.class_slope(x, slope, reduction=reduction)


# ------------------------------------------------------------------------------------- checking


def _check_logits(name: str, input: Any) -> int:
    """The class axis of a tensor with classes."""
    require_floating(input._backend, name, input._data, "input")
    shape = input.shape
    axis = _class_axis(shape)
    if len(shape) == 0 or shape[axis] == 0:
        raise ValueError(f"{name}: input must be (C,) or (N, C, ...) with C >= 1, got {shape}")
    return axis


def _class_targets(name: str, input: Any, target: Any, axis: int) -> Any:
    """Class numbers in int64; whether they are in range is not asked here."""
    if target.dtype.kind not in "iu":
        raise TypeError(
            f"{name}: target must be integer class numbers (or, for cross_entropy, probabilities "
            f"in a floating-point dtype), got dtype {target.dtype.name}"
        )
    expected = input.shape[:axis] + input.shape[axis + 1 :]
    if target.shape != expected:
        raise ValueError(
            f"{name}: target must have shape {expected}, that of input {input.shape} without the "
            f"class axis, got {target.shape}"
        )
    return target if target.dtype == int64 else astype(target, int64)


def _class_weights(name: str, input: Any, weight: Any, axis: int) -> Any:
    """The weights of the classes as a tensor (None stays)."""
    if weight is None:
        return None
    _, weight = tensors_of(input=input, weight=weight)
    require_floating(weight._backend, name, weight._data, "weight")
    if weight.shape != (input.shape[axis],):
        raise ValueError(
            f"{name}: weight must have shape {(input.shape[axis],)}, one per class, "
            f"got {weight.shape}"
        )
    return weight


def _along(weight: Any, input: Any, axis: int) -> Any:
    """Weights of the classes, shaped to multiply `input`."""
    return reshape(weight, (-1,) + (1,) * (input.ndim - 1 - axis))


def _kept(name: str, target: Any, ignore_index: int, classes: int) -> tuple[Any, Any]:
    """Which targets are not ignored, and the targets with class 0 in place of the ignored."""
    kept = target != ignore_index
    safe = where(kept, target, 0)
    B = target._backend
    if B.outside(safe._data, classes):
        low, high = int(B.min(safe._data)), int(B.max(safe._data))
        raise ValueError(
            f"{name}: target must hold classes from 0 to {classes - 1} or ignore_index "
            f"{ignore_index}, got {low if low < 0 else high}"
        )
    return kept, safe


# ----------------------------------------------------------------------------------- the losses


def _picked(
    logp: Any, kept: Any, safe: Any, weight: Any, axis: int, smoothing: float, reduction: str
) -> Any:
    """-logp at the targets, mixed with the mean over all classes, weighted and reduced."""
    at_target = squeeze(take_along_axis(logp, expand_dims(safe, axis=axis), axis=axis), axis=axis)
    if weight is None:
        weights = astype(kept, logp.dtype)
    else:
        weights = masked(getitem(weight, key=safe._data), kept)
    losses = -masked(at_target, kept) * weights
    if smoothing:
        weighted = logp if weight is None else logp * _along(weight, logp, axis)
        uniform = masked(-sum(weighted, axis=axis), kept)
        losses = losses * (1 - smoothing) + uniform * (smoothing / logp.shape[axis])
    if reduction != "mean":
        return reduce_losses(losses, reduction)
    total = sum(weights)
    return sum(losses) / where(total == 0, float("nan"), total)


def _cross_entropy_probabilities(
    input: Any, target: Any, weight: Any, axis: int, smoothing: float, reduction: str
) -> Any:
    """-Σ target·weight·ln softmax(input) over the classes; the mean is over the examples."""
    if target.shape != input.shape:
        raise ValueError(
            f"cross_entropy: target in a floating-point dtype must be class probabilities in the "
            f"shape of input, {input.shape}, got {target.shape}"
        )
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[axis]
    if weight is not None:
        target = target * _along(weight, input, axis)
    return reduce_losses(-sum(log_softmax(input, axis=axis) * target, axis=axis), reduction)


@named
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """-ln softmax(input)[target], or -Σ target·ln softmax(input) for class probabilities.

    Args:
        input: logits, (C,), (N, C) or (N, C, d₁, …).
        target: class numbers, integers of the shape of input without the class axis; or class
            probabilities, floating-point numbers of the shape of input (not checked to sum to 1).
        weight: (C,), multiplies the losses of each class; the mean over class numbers is divided
            by the sum of the weights of the targets.
        ignore_index: targets of this number contribute nothing; for class numbers only.
        reduction: "mean", "sum" or "none".
        label_smoothing: in [0, 1]: the part of the target that is spread over all classes.

    Raises:
        ValueError: a class number that is out of range, shapes that do not fit, another reduction,
            label_smoothing outside [0, 1], ignore_index >= 0 with probabilities.
        TypeError: logits that are not of real floating-point numbers, boolean or complex targets.

    Source of the smoothing: Szegedy et al., "Rethinking the Inception Architecture", 2016.
    """
    name = "cross_entropy"
    check_reduction(name, reduction)
    check_number(name, "label_smoothing", label_smoothing, least=0, most=1)
    ignore_index = check_integer(name, "ignore_index", ignore_index)
    input, target = tensors_of(input=input, target=target)
    axis = _check_logits(name, input)
    weight = _class_weights(name, input, weight, axis)
    if target.dtype.kind == "f":
        if ignore_index >= 0:
            raise ValueError(
                f"{name}: ignore_index is for class numbers, not probabilities, got {ignore_index}"
            )
        return _cross_entropy_probabilities(input, target, weight, axis, label_smoothing, reduction)
    target = _class_targets(name, input, target, axis)
    classes = input.shape[axis]
    plain = weight is None and label_smoothing == 0 and not 0 <= ignore_index < classes
    if plain and not target._backend.outside(target._data, classes):
        return class_cross_entropy(input, target, reduction=reduction)[0]
    kept, safe = _kept(name, target, ignore_index, classes)
    logp = log_softmax(input, axis=axis)
    return _picked(logp, kept, safe, weight, axis, label_smoothing, reduction)


@named
def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Any:
    """-input[target], of log-probabilities: what `cross_entropy` does after `log_softmax`.

    Args:
        input: log-probabilities, (C,), (N, C) or (N, C, d₁, …).
        target: class numbers, integers of the shape of input without the class axis.
        weight: (C,), multiplies the losses of each class; the mean is divided by the sum of the
            weights of the targets.
        ignore_index: targets of this number contribute nothing.
        reduction: "mean", "sum" or "none".

    Raises:
        ValueError: a class number that is out of range, shapes that do not fit, another reduction.
        TypeError: input that is not of real floating-point numbers, target not of integers.
    """
    check_reduction("nll_loss", reduction)
    ignore_index = check_integer("nll_loss", "ignore_index", ignore_index)
    input, target = tensors_of(input=input, target=target)
    axis = _check_logits("nll_loss", input)
    weight = _class_weights("nll_loss", input, weight, axis)
    target = _class_targets("nll_loss", input, target, axis)
    kept, safe = _kept("nll_loss", target, ignore_index, input.shape[axis])
    return _picked(input, kept, safe, weight, axis, 0.0, reduction)
