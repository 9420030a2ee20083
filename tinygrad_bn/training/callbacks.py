"""What may be done between steps: callbacks, and stopping early."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..data.dataset import check_int
from ..nn import Module
from ..ops import asarray
from ..refusal import check_number

if TYPE_CHECKING:
    from .trainer import Trainer


class Callback:
    """Override what you need; the trainer calls it. `trainer.stop()` ends the training."""

    def on_step(self, trainer: Trainer) -> None:
        """After each step."""

    def on_epoch(self, trainer: Trainer) -> None:
        """After each whole epoch."""

    def on_validation(self, trainer: Trainer, values: Mapping[str, float]) -> None:
        """After each validation, with the loss and the metrics."""


class EarlyStopping:
    """Stop when a value of the validation has not improved for `patience` validations.

    Args:
        monitor: 'loss' or the name of a metric.
        patience: how many validations without improvement are borne.
        mode: 'min' if smaller is better, 'max' if greater is.
        min_delta: what counts as an improvement must be more than this.
        restore_best: put the best weights back into the model at the end of the training.

    Attributes:
        best: the best value so far.
        stopped: whether it has stopped the training.

    Raises TypeError for a patience that is no integer; ValueError for patience < 1, another mode,
    or min_delta < 0; when used, for a monitor
    that the validation does not give.
    """

    def __init__(
        self,
        monitor: str = "loss",
        *,
        patience: int = 5,
        mode: str = "min",
        min_delta: float = 0.0,
        restore_best: bool = True,
    ) -> None:
        if mode not in ("min", "max"):
            raise ValueError(f"EarlyStopping: mode must be 'min' or 'max', got {mode!r}")
        check_number("EarlyStopping", "min_delta", min_delta, least=0)
        self.monitor = monitor
        self.patience = check_int("EarlyStopping", "patience", patience, least=1)
        self.mode = mode
        self.min_delta = min_delta
        self.restore_best = restore_best
        self.best = math.inf if mode == "min" else -math.inf
        self.stopped = False
        self._waited = 0
        self._weights: dict[str, Any] | None = None

    def update(self, model: Module, values: Mapping[str, float]) -> bool:
        """Take note of a validation; whether the training should stop now."""
        if self.monitor not in values:
            raise ValueError(
                f"EarlyStopping: monitor must be one of {sorted(values)}, got {self.monitor!r}"
            )
        value = values[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        if gain > self.min_delta:
            self.best, self._waited = value, 0
            if self.restore_best:
                self._weights = {k: asarray(v, copy=True) for k, v in model.state_dict().items()}
        else:
            self._waited += 1
            self.stopped = self._waited >= self.patience
        return self.stopped

    def finish(self, model: Module) -> None:
        """Put the best weights back, if that was asked for and there are any."""
        if self._weights is not None:
            model.load_state_dict(self._weights)

    def state_dict(self) -> dict[str, Any]:
        """What it has seen: numbers, and the best weights."""
        return {
            "best": self.best,
            "waited": self._waited,
            "stopped": self.stopped,
            "weights": self._weights,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.best, self._waited = float(state["best"]), int(state["waited"])
        self.stopped, self._weights = bool(state["stopped"]), state["weights"]
