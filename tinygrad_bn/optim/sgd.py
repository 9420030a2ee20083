"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..backend import Backend
from .optimizer import Group, Optimizer


class SGD(Optimizer):
    """Gradient descent, with momentum if wanted.

        g ← ∂loss/∂p + weight_decay·p        (-∂loss/∂p with `maximize`)
        b ← momentum·b + (1 - dampening)·g   (b = g at the first step)
        p ← p - lr·b                         (p - lr·(g + momentum·b) with `nesterov`)

    Raises ValueError for lr, momentum or weight_decay < 0, and for nesterov without momentum or
    with dampening.
    Source: Sutskever et al., "On the importance of initialization and momentum", 2013.
    """

    slots = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ValueError for an option out of its range."""
        for name in ("lr", "momentum", "weight_decay"):
            self._require(options, name)
        if options["nesterov"] and (options["momentum"] <= 0 or options["dampening"] != 0):
            raise ValueError(
                "SGD: nesterov needs momentum > 0 and dampening 0, got "
                f"momentum {options['momentum']} and dampening {options['dampening']}"
            )

    def update(
        self,
        backend: Backend,
        group: Group,
        params: list[Any],
        grads: list[Any],
        states: list[dict[str, Any]],
    ) -> list[Any]:
        """One step over raw arrays."""
        arrays, buffers = backend.sgd_step(
            params,
            grads,
            [s.get("momentum_buffer") for s in states],
            lr=group["lr"],
            momentum=group["momentum"],
            dampening=group["dampening"],
            weight_decay=group["weight_decay"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
        )
        if group["momentum"]:
            for s, buffer in zip(states, buffers, strict=True):
                s["momentum_buffer"] = buffer
        return arrays
