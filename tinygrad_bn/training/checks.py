"""Checks of what users pass to `Trainer`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..nn import Module
from ..optim import LRScheduler, Optimizer
from ..refusal import check_number
from .callbacks import Callback


def check_arguments(
    model: Any,
    optimizer: Any,
    loss: Any,
    *,
    metrics: Any,
    scheduler: Any,
    schedule_each: Any,
    clip_norm: Any,
    callbacks: Any,
    progress: Any,
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
    if scheduler is not None and not isinstance(scheduler, LRScheduler):
        raise TypeError(f"Trainer: scheduler must be an LRScheduler, got {scheduler!r}")
    if not isinstance(callbacks, Sequence) or not all(isinstance(c, Callback) for c in callbacks):
        raise TypeError(f"Trainer: callbacks must be a sequence of Callbacks, got {callbacks!r}")
    if progress not in (None, True, False):
        raise TypeError(f"Trainer: progress must be None or a bool, got {progress!r}")
    if schedule_each not in ("epoch", "step"):
        raise ValueError(f"Trainer: schedule_each must be 'epoch' or 'step', got {schedule_each!r}")
    if clip_norm is not None:
        check_number("Trainer", "clip_norm", clip_norm, above=0)
