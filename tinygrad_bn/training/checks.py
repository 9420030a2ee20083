"""Checks of what users pass to `Trainer`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..nn import Module
from ..optim import Optimizer
from ..refusal import check_number


def check_arguments(
    model: Any, optimizer: Any, loss: Any, metrics: Any, schedule_each: Any, clip_norm: Any
) -> None:
    """Raise TypeError or ValueError, as `Trainer` says, for the first one that will not do."""
    if not callable(loss):
        raise TypeError(f"Trainer: loss must be callable, got {type(loss).__name__}")
    for name, value, kind in (("model", model, Module), ("optimizer", optimizer, Optimizer)):
        if not isinstance(value, kind):
            raise TypeError(
                f"Trainer: {name} must be an instance of {kind.__name__}, "
                f"got {type(value).__name__}"
            )
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(f"Trainer: metrics must be functions by name, got {type(metrics).__name__}")
    if metrics is not None and "loss" in metrics:
        raise ValueError("Trainer: metrics must not be called 'loss', the name of the loss itself")
    if schedule_each not in ("epoch", "step"):
        raise ValueError(f"Trainer: schedule_each must be 'epoch' or 'step', got {schedule_each!r}")
    if clip_norm is not None:
        check_number("Trainer", "clip_norm", clip_norm, above=0)
