"""Learning rates over time. `step()` after each epoch (or step, as you count), as in PyTorch.

The rate of a group is a formula of its rate at the beginning and the number of steps `t` made.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..refusal import check_integer, check_number
from .optimizer import Optimizer


class LRScheduler:
    """Sets each group's `lr` to `rate(lr at the beginning, t, number of the group)`.

    Attributes:
        base_lrs: the rates at the beginning.
        last_epoch: t, how often `step` was called.

    Raises TypeError for something that is no Optimizer.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(
                f"{type(self).__name__}: optimizer must be an Optimizer, "
                f"got {type(optimizer).__name__}"
            )
        self.optimizer = optimizer
        self.base_lrs = [float(group["lr"]) for group in optimizer.param_groups]
        self.last_epoch = 0
        self._set()

    def rate(self, base: float, t: int, group: int) -> float:
        """The rate after `t` steps of the group that began with `base`."""
        raise NotImplementedError

    def _set(self) -> None:
        if len(self.optimizer.param_groups) != len(self.base_lrs):
            raise ValueError(
                f"{type(self).__name__}: made for {len(self.base_lrs)} groups, the optimizer has "
                f"{len(self.optimizer.param_groups)} now: add groups before making the scheduler"
            )
        for i, (group, base) in enumerate(
            zip(self.optimizer.param_groups, self.base_lrs, strict=True)
        ):
            group["lr"] = self.rate(base, self.last_epoch, i)

    def step(self) -> None:
        """One epoch (or step) further."""
        self.last_epoch += 1
        self._set()

    def get_last_lr(self) -> list[float]:
        """The rates of the groups now."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, as plain numbers."""
        return {"last_epoch": self.last_epoch, "base_lrs": list(self.base_lrs)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, and set the rates.

        Raises ValueError for other keys or another number of groups.
        """
        caller = f"{type(self).__name__}.load_state_dict"
        if set(state) != {"last_epoch", "base_lrs"}:
            raise ValueError(
                f"{caller}: keys must be 'last_epoch' and 'base_lrs', got {sorted(state)}"
            )
        if len(state["base_lrs"]) != len(self.base_lrs):
            raise ValueError(
                f"{caller}: base_lrs must have {len(self.base_lrs)} numbers, "
                f"got {len(state['base_lrs'])}"
            )
        self.last_epoch = int(state["last_epoch"])
        self.base_lrs = [float(rate) for rate in state["base_lrs"]]
        self._set()


class StepLR(LRScheduler):
    """lr·gamma^⌊t/step_size⌋. ValueError for step_size < 1, TypeError for no integer."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1) -> None:
        check_number("StepLR", "gamma", gamma)
        if check_integer("StepLR", "step_size", step_size) < 1:
            raise ValueError(f"StepLR: step_size must be >= 1, got {step_size}")
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        """lr·gamma^⌊t/step_size⌋."""
        return base * self.gamma ** (t // self.step_size)


class ExponentialLR(LRScheduler):
    """lr·gamma^t."""

    def __init__(self, optimizer: Optimizer, gamma: float) -> None:
        check_number("ExponentialLR", "gamma", gamma)
        self.gamma = gamma
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        """lr·gamma^t."""
        return base * self.gamma**t


class CosineAnnealingLR(LRScheduler):
    """eta_min + (lr - eta_min)·(1 + cos(π·t/T_max))/2. ValueError for T_max < 1.

    Source: Loshchilov and Hutter, "SGDR", 2016, without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0) -> None:
        check_number("CosineAnnealingLR", "eta_min", eta_min)
        if check_integer("CosineAnnealingLR", "T_max", T_max) < 1:
            raise ValueError(f"CosineAnnealingLR: T_max must be >= 1, got {T_max}")
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        """Half a cosine wave, from lr to eta_min."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LambdaLR(LRScheduler):
    """lr·lr_lambda(t); one function, or a list with one for each group.

    The functions are not part of `state_dict`.
    Raises ValueError for a list of another length than there are groups.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        lr_lambda: Callable[[int], float] | Sequence[Callable[[int], float]],
    ) -> None:
        groups = len(getattr(optimizer, "param_groups", ()))
        if not callable(lr_lambda) and not (
            isinstance(lr_lambda, Sequence) and all(map(callable, lr_lambda))
        ):
            raise TypeError(
                f"LambdaLR: lr_lambda must be a function, or a list of them, got {lr_lambda!r}"
            )
        self.lr_lambdas = [lr_lambda] * groups if callable(lr_lambda) else list(lr_lambda)
        if groups and len(self.lr_lambdas) != groups:
            raise ValueError(
                f"LambdaLR: lr_lambda must have one function for each of {groups} groups, "
                f"got {len(self.lr_lambdas)}"
            )
        super().__init__(optimizer)

    def rate(self, base: float, t: int, group: int) -> float:
        """lr·lr_lambda(t)."""
        return base * self.lr_lambdas[group](t)
