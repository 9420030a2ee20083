"""Noise in the activations, whose moments change at every step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .. import nn, random
from ..tensor import Tensor
from .recording import Hooks, find


class ActivationNoise(Hooks):
    """Adds noise to the outputs of modules in training, with moments that change at every step.

        y ← a·y + b,   a ~ N(s, jitter²), b ~ U(m - jitter, m + jitter) for each sample and channel
        s ~ U(1, scale), m ~ U(-shift, shift) for each channel, drawn anew at each call

    So every unit's distribution shifts and stretches from one step to the next: a covariate shift
    made on purpose. Draws come from the program's random stream; nothing is added in evaluation.

    Raises ValueError unless shift >= 0, scale >= 1 and jitter >= 0, and for unknown names.
    Source: after Santurkar et al., 2018, section 2.2 and appendix A.
    """

    def __init__(
        self,
        model: nn.Module,
        names: Iterable[str],
        *,
        shift: float = 0.5,
        scale: float = 1.25,
        jitter: float = 0.1,
    ) -> None:
        if not (shift >= 0 and scale >= 1 and jitter >= 0):
            raise ValueError(
                "ActivationNoise: needs shift >= 0, scale >= 1 and jitter >= 0, "
                f"got {shift}, {scale} and {jitter}"
            )
        super().__init__()
        self._modules = find("ActivationNoise", model, names)
        self.shift, self.scale, self.jitter = shift, scale, jitter

    def _attach(self) -> list[Any]:
        return [m.register_forward_hook(self._disturb) for m in self._modules.values()]

    def _disturb(self, module: nn.Module, args: tuple[Any, ...], result: Tensor) -> Tensor | None:
        if not module.training:
            return None
        draw: dict[str, Any] = {"dtype": result.dtype, "device": result.backend}
        channels = (1, *result.shape[1:])
        stretch = random.uniform(channels, 1, self.scale, **draw)
        offset = random.uniform(channels, -self.shift, self.shift, **draw)
        a = random.normal(result.shape, 0, self.jitter, **draw) + stretch
        b = random.uniform(result.shape, -self.jitter, self.jitter, **draw) + offset
        return a * result + b
