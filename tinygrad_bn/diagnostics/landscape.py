"""The loss along its gradient: how far the gradient can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from .. import autograd, nn, ops
from ..tensor import Tensor


def gradient(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[float, list[Tensor]]:
    """The loss and its gradient by the model's parameters that learn; `.grad` is left alone."""
    value = loss()
    wanted = [p for p in model.parameters() if p.requires_grad]
    found = autograd.grad(value, wanted)
    return float(value), list(found)


@dataclass(frozen=True)
class Landscape:
    """The loss and its gradient along a straight way downhill from where the model is.

    With θ the parameters, g = ∇L(θ) and η the step sizes:

    Attributes:
        loss: L(θ).
        norm: ‖g‖, over all parameters as one vector.
        step_sizes: η.
        losses: L(θ - η·g).
        changes: ‖∇L(θ - η·g) - g‖.
    """

    loss: float
    norm: float
    step_sizes: tuple[float, ...]
    losses: tuple[float, ...]
    changes: tuple[float, ...]

    @property
    def loss_range(self) -> float:
        """max L(θ - η·g) - min L(θ - η·g): how much the loss varies along the way."""
        return max(self.losses) - min(self.losses)

    @property
    def predictiveness(self) -> float:
        """max ‖∇L(θ - η·g) - g‖: by how much the gradient at θ misleads; 0 is perfect."""
        return max(self.changes)

    @property
    def smoothness(self) -> float:
        """max ‖∇L(θ - η·g) - g‖/(η·‖g‖): the Lipschitz constant of the gradient along the way.

        NaN where the gradient is 0.
        """
        if self.norm == 0:
            return float("nan")
        pairs = zip(self.changes, self.step_sizes, strict=True)
        return max(change / (eta * self.norm) for change, eta in pairs)


def along_gradient(
    model: nn.Module, loss: Callable[[], Tensor], step_sizes: Sequence[float]
) -> Landscape:
    """Walk from the model's parameters against the gradient, and come back.

    Args:
        model: its parameters that require a gradient are moved, and put back; so are its buffers.
        loss: the loss of the model on a batch, a tensor of one element, computed anew at each
            call. With dropout or other randomness in it the numbers are of little use.
        step_sizes: positive numbers η.

    Raises ValueError for no step sizes or one that is not positive.
    Source: Santurkar et al., "How Does Batch Normalization Help Optimization?", 2018, figure 4.
    """
    sizes = tuple(float(eta) for eta in step_sizes)
    if not sizes or not all(eta > 0 for eta in sizes):
        raise ValueError(f"along_gradient: step_sizes must be positive numbers, got {sizes}")
    wanted = [p for p in model.parameters() if p.requires_grad]
    with kept(model):
        start, g = gradient(model, loss)
        origin = [ops.asarray(p.detach(), copy=True) for p in wanted]
        losses, changes = [], []
        for eta in sizes:
            for p, at, direction in zip(wanted, origin, g, strict=True):
                p.assign(at - eta * direction)
            value, there = gradient(model, loss)
            losses.append(value)
            changes.append(_norm([a - b for a, b in zip(there, g, strict=True)]))
    return Landscape(start, _norm(g), sizes, tuple(losses), tuple(changes))


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(np.sqrt(sum(float((t.astype("float64") ** 2).sum()) for t in tensors)))


@contextmanager
def kept(model: nn.Module) -> Iterator[None]:
    """After the block the model's parameters and buffers are what they were before, to the bit."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [ops.asarray(t.detach(), copy=True) for t in tensors]
    try:
        yield
    finally:
        for t, old in zip(tensors, before, strict=True):
            t.assign(old)
