"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ..backend import Backend
from .optimizer import Group, Optimizer, is_number


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient.

        g ← ∂loss/∂p + weight_decay·p          (-∂loss/∂p with `maximize`)
        m ← β₁·m + (1 - β₁)·g,   v ← β₂·v + (1 - β₂)·g²
        p ← p - lr·m̂/(√v̂ + eps),   m̂ = m/(1 - β₁ᵗ),   v̂ = v/(1 - β₂ᵗ)

    With `amsgrad` v̂ uses the greatest v so far.

    Raises ValueError for lr, eps or weight_decay < 0 and betas outside [0, 1).
    Sources: Kingma and Ba, 2014; Reddi et al., 2018 (amsgrad).
    """

    slots = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")
    decoupled = False

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ValueError for an option out of its range."""
        for name in ("lr", "eps", "weight_decay"):
            self._require(options, name)
        betas = options["betas"]
        if not (
            isinstance(betas, tuple | list)
            and len(betas) == 2
            and all(is_number(b) and 0 <= b < 1 for b in betas)
        ):
            raise ValueError(f"{self._name}: betas must be two numbers in [0, 1), got {betas}")

    def update(
        self,
        backend: Backend,
        group: Group,
        params: list[Any],
        grads: list[Any],
        states: list[dict[str, Any]],
    ) -> list[Any]:
        """One step over raw arrays."""
        slots = self.slots if group["amsgrad"] else self.slots[:2]
        for s, p in zip(states, params, strict=True):
            s["step"] = s.get("step", 0) + 1
            for slot in slots:
                if s.get(slot) is None:
                    s[slot] = backend.zeros(p.shape, dtype=p.dtype)
        arrays, *moments = backend.adam_step(
            params,
            grads,
            *[[s.get(slot) for s in states] for slot in self.slots],
            steps=[s["step"] for s in states],
            lr=group["lr"],
            betas=group["betas"],
            eps=group["eps"],
            weight_decay=group["weight_decay"],
            decoupled=self.decoupled,
            amsgrad=group["amsgrad"],
            maximize=group["maximize"],
        )
        for slot, moment in zip(slots, moments, strict=False):
            for s, array in zip(states, moment, strict=True):
                s[slot] = array
        return arrays


class AdamW(Adam):
    """Adam with the weight decay apart from the gradient: p ← p·(1 - lr·weight_decay) first.

    Errors as for `Adam`.   Source: Loshchilov and Hutter, 2017.
    """

    decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, maximize=maximize)
