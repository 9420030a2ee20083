"""Batch norm as PyTorch and Keras write it down, in our words and back.

here      running = decay·running + (1 - decay)·batch,  running_var unbiased, eps 1e-5
PyTorch   running = (1 - momentum)·running + momentum·batch,  unbiased, eps 1e-5
Keras     moving = momentum·moving + (1 - momentum)·batch,  biased, eps 1e-3, axis -1
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .. import ops
from .normalization import BatchNorm


def decay_from_pytorch(momentum: float | None) -> float | None:
    """decay = 1 - momentum; None stays None: the cumulative average."""
    return None if momentum is None else round(1 - momentum, 15)


def decay_to_pytorch(decay: float | None) -> float | None:
    """momentum = 1 - decay; None stays None."""
    return None if decay is None else round(1 - decay, 15)


def decay_from_keras(momentum: float) -> float:
    """decay = momentum."""
    return momentum


def batch_norm_from_pytorch(module: Any, **options: Any) -> BatchNorm:
    """A `BatchNorm` that does what a PyTorch batch norm module does, with its values.

    Args:
        module: a `torch.nn.BatchNorm1d`, 2d or 3d (or anything with its attributes).
        options: further arguments of `BatchNorm`.
    """
    layer = BatchNorm(
        module.num_features,
        eps=module.eps,
        decay=decay_from_pytorch(module.momentum),
        affine=module.weight is not None,
        track_running_stats=module.running_mean is not None,
        **options,
    )
    layer.load_state_dict(module.state_dict())
    return layer.train(module.training)


def batch_norm_from_keras(
    weights: Mapping[str, Any],
    *,
    momentum: float = 0.99,
    epsilon: float = 1e-3,
    axis: int = -1,
    count: int | None = None,
    **options: Any,
) -> BatchNorm:
    """A `BatchNorm` with the values of a Keras `BatchNormalization` layer.

    Args:
        weights: arrays named moving_mean, moving_variance, and gamma and beta where they exist.
        momentum, epsilon, axis: as the Keras layer has them (these are its defaults).
        count: values per channel in the batches that moving_variance was gathered from: it holds
            biased variances, which m/(m - 1) makes unbiased; None takes it as it is, which gives
            the same output as Keras.
        options: further arguments of `BatchNorm`.

    Raises:
        ValueError: a name is missing or unknown, or count < 2.
    """
    known = {"gamma", "beta", "moving_mean", "moving_variance"}
    if not {"moving_mean", "moving_variance"} <= set(weights) <= known:
        raise ValueError(
            "batch_norm_from_keras: weights must be moving_mean and moving_variance, and gamma and "
            f"beta if there are, got {sorted(weights)}"
        )
    if count is not None and count < 2:
        raise ValueError(f"batch_norm_from_keras: count must be >= 2, got {count}")
    layer = BatchNorm(
        len(weights["moving_mean"]),
        axis=axis,
        eps=epsilon,
        decay=decay_from_keras(momentum),
        scale="gamma" in weights,
        shift="beta" in weights,
        **options,
    )
    factor = 1.0 if count is None else count / (count - 1)
    variance = ops.asarray(weights["moving_variance"]) * factor
    for target, value in (
        (layer.weight, weights.get("gamma")),
        (layer.bias, weights.get("beta")),
        (layer.running_mean, weights["moving_mean"]),
        (layer.running_var, variance),
    ):
        if target is not None:
            target.assign(value)
    return layer


def batch_norm_to_keras(layer: BatchNorm, *, count: int | None = None) -> dict[str, Any]:
    """What `batch_norm_from_keras` takes: arguments, and weights as NumPy arrays.

    Args:
        layer: with a population estimate, a decay and one feature axis.
        count: values per channel in the batches; if given, running_var is made biased.

    Raises:
        ValueError: Keras has no such layer.
    """
    if layer.running_mean is None or layer.decay is None or not isinstance(layer.axis, int):
        raise ValueError(
            f"batch_norm_to_keras: {layer!r}: Keras always keeps an estimate, with a decay, along "
            "one axis"
        )
    assert layer.running_var is not None
    variance = layer.running_var * (1.0 if count is None else (count - 1) / count)
    tensors = {
        "gamma": layer.weight,
        "beta": layer.bias,
        "moving_mean": layer.running_mean,
        "moving_variance": variance,
    }
    weights = {k: t.detach().numpy().copy() for k, t in tensors.items() if t is not None}
    return {
        "weights": weights,
        "momentum": layer.decay,
        "epsilon": layer.eps,
        "axis": layer.axis,
    }
