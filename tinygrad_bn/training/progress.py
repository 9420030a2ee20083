"""What a person sees of a training: a live line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import Any

_INTERVAL = 0.1  # seconds between two updates of a live line


def describe(values: Mapping[str, float]) -> str:
    """'loss 0.4321  accuracy 0.9012'."""
    return "  ".join(f"{name} {value:.4f}" for name, value in values.items())


class Silent:
    """Shows nothing. `epoch` is the number of whole epochs made."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *exc: object) -> None:
        pass

    def step(self, step: int, epoch: int, loss: Any) -> None:
        """After each step; `loss` is a tensor."""

    def validation(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """After each validation."""


class Plain(Silent):
    """One line for each validation."""

    def validation(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Print it."""
        print(f"epoch {epoch}  step {step}  {describe(values)}", flush=True)


class Live(Silent):
    """A progress bar with the latest loss and validation."""

    def __init__(self, total: int | None) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("loss {task.fields[loss]}  {task.fields[values]}"),
        )
        self._task = self._bar.add_task("", total=total, epoch=1, loss="", values="")
        self._total = total
        self._next = 0.0

    def __enter__(self) -> Live:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def step(self, step: int, epoch: int, loss: Any) -> None:
        """Update the bar, ten times a second at most: reading the loss waits for the device.

        The last step is always shown.
        """
        now = time.monotonic()
        if now >= self._next or step == self._total:
            self._next = now + _INTERVAL
            self._bar.update(self._task, completed=step, epoch=epoch + 1, loss=f"{float(loss):.4f}")

    def validation(self, step: int, epoch: int, values: Mapping[str, float]) -> None:
        """Show the values beside the bar."""
        self._bar.update(self._task, completed=step, values=f"validation: {describe(values)}")


def reporter(progress: bool | None, total: int | None) -> Silent:
    """Nothing if False; a live bar on a terminal; plain lines elsewhere."""
    if progress is False:
        return Silent()
    return Live(total) if sys.stdout.isatty() else Plain()
