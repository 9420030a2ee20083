"""Layers as functions: what they compute, given inputs and parameters, without a module.

Most are operations of `tinygrad_bn` under the names that PyTorch users look for here.
"""

from __future__ import annotations

from typing import Any

from ..autograd.runtime import make
from ..backend import rng
from ..ops import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    elu,
    gelu,
    huber_loss,
    kl_div,
    l1_loss,
    leaky_relu,
    linear,
    log_softmax,
    mish,
    mse_loss,
    multiply,
    nll_loss,
    one_hot,
    relu,
    selu,
    sigmoid,
    silu,
    smooth_l1_loss,
    softmax,
    softplus,
    tanh,
    zeros_like,
)
from ..refusal import named
from ..tensor import Tensor
from .normalization_functional import (
    BatchStatistics,
    batch_norm,
    batch_renorm,
    batch_statistics,
    normalize_by,
)
from .sample_normalization_functional import (
    group_norm,
    instance_norm,
    layer_norm,
    rms_norm,
)

__all__ = [
    "BatchStatistics",
    "batch_norm",
    "batch_renorm",
    "batch_statistics",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "dropout",
    "elu",
    "gelu",
    "group_norm",
    "huber_loss",
    "instance_norm",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "mish",
    "mse_loss",
    "nll_loss",
    "normalize_by",
    "one_hot",
    "relu",
    "rms_norm",
    "selu",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "tanh",
]


def check_probability(owner: str, p: Any) -> float:
    """`p` as a float in [0, 1]; ValueError or TypeError that names `owner` otherwise."""
    try:
        number = float(p)
    except (TypeError, ValueError):
        raise TypeError(f"{owner}: p must be a number, got {p!r}") from None
    if not 0 <= number <= 1:
        raise ValueError(f"{owner}: p must be in [0, 1], got {p}")
    return number


@named
def dropout(x: Tensor, p: float = 0.5, training: bool = True) -> Tensor:
    """x with each element set to zero with probability p and the others divided by 1 - p.

    Unchanged if not `training`. The mask comes from the random stream of the tensor's backend.

    Raises ValueError unless 0 <= p <= 1.
    Source: Srivastava et al., "Dropout", JMLR 15, 2014.
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"dropout: x must be a tensor, got {type(x).__name__}")
    p = check_probability("dropout", p)
    if not training or p == 0:
        return x
    if p == 1:
        return multiply(x, zeros_like(x))
    backend = x._backend
    mask = backend.dropout_mask(rng.stream(backend), x.shape, p, x.dtype)
    return multiply(x, make(backend, mask, None))
