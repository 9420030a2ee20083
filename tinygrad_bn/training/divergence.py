"""A training whose loss is no number any more, and saying so."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .trainer import Trainer


class DivergenceWarning(RuntimeWarning):
    """The loss of a training became NaN or infinite."""


def first_bad(losses: Sequence[float], first_step: int) -> int | None:
    """The step of the first loss that is NaN or infinite; they are those from `first_step` on."""
    return next((s for s, x in enumerate(losses, first_step) if not math.isfinite(x)), None)


class Divergence:
    """Warns, once for a call of `Trainer.fit`, of a loss that was a number when it began."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._told = trainer.diverged is not None

    def check(self, frames: int) -> None:
        """Warn if it is time; `frames` is how many lie between here and the caller of `fit`."""
        step = self._trainer.diverged
        if step is None or self._told:
            return
        self._told = True
        value = self._trainer.history["loss"][step - 1]
        warnings.warn(
            f"Trainer: the loss became {value} at step {step}: the training has diverged. A "
            "smaller learning rate or clip_norm may help; detect_anomaly() finds the operation",
            DivergenceWarning,
            stacklevel=frames + 2,
        )
