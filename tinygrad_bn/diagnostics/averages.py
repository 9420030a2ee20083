"""Moving averages of batch norm statistics, for several decays in one training."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import nn, ops
from .distributions import Array
from .recording import Hooks


class MovingAverages(Hooks):
    """Population estimates of a model's batch norm layers with several decays at once.

    While the `with` block lasts each training batch moves an estimate for every decay, as
    `BatchNorm(decay=…)` would: running = decay·running + (1 - decay)·batch, from mean 0 and
    variance 1. `write(decay)` puts one of them into the layers. The layers have features along
    axis 1, or (N, C) inputs.
    """

    def __init__(self, model: nn.Module, decays: Iterable[float]) -> None:
        super().__init__()
        self._layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm)]
        self.decays = list(decays)
        if not self._layers or not self.decays:
            raise ValueError("MovingAverages: needs a model with BatchNorm layers, and decays")
        self._estimates: list[dict[float, tuple[Array, Array]]] = [
            {d: (np.zeros(m.num_features), np.ones(m.num_features)) for d in self.decays}
            for m in self._layers
        ]

    def _attach(self) -> list[Any]:
        pairs = zip(self._layers, self._estimates, strict=True)
        return [layer.register_forward_pre_hook(_observer(found)) for layer, found in pairs]

    def write(self, decay: float) -> None:
        """Put the estimates of a decay into running_mean and running_var of every layer."""
        if decay not in self.decays:
            raise ValueError(f"MovingAverages: decay must be one of {self.decays}, got {decay}")
        for layer, estimates in zip(self._layers, self._estimates, strict=True):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            mean, var = (a.astype(np.float32) for a in estimates[decay])
            layer.running_mean.assign(ops.asarray(mean, device=layer.running_mean.backend))
            layer.running_var.assign(ops.asarray(var, device=layer.running_var.backend))


def _observer(estimates: dict[float, tuple[Array, Array]]) -> Callable[..., None]:
    def observe(module: nn.Module, args: tuple[Any, ...]) -> None:
        if not module.training:
            return
        x = args[0].detach().numpy().astype(np.float64)
        axes = (0, *range(2, x.ndim))
        mean, var = x.mean(axis=axes), x.var(axis=axes, ddof=1)
        for d, (old_mean, old_var) in estimates.items():
            estimates[d] = (d * old_mean + (1 - d) * mean, d * old_var + (1 - d) * var)

    return observe
