"""The progress of a comparison: a live bar on a terminal, one line per milestone elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .comparison import NETWORKS, Comparison, is_milestone

_INTERVAL = 0.1  # seconds between two updates of the bar


def _standing(comparison: Comparison) -> str:
    """'plain 57.1 %, with batch norm 90.2 %'."""
    if not comparison.curve["steps"]:
        return ""
    return ", ".join(
        f"{title} {comparison.curve[name]['accuracy'][-1]:.1%}" for name, title in NETWORKS.items()
    )


@contextmanager
def display(console: Console, comparison: Comparison) -> Iterator[Callable[[int], None]]:
    """Gives a function to call with the step number after each step."""
    images = len(comparison.loader.dataset)
    console.print(
        f"Two networks, {images:,} training images, {comparison.settings.steps:,} steps, "
        f"batches of {comparison.settings.batch_size}",
        highlight=False,
    )
    if not console.is_terminal:
        yield lambda step: _line(console, comparison, step)
        return
    bar = Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
        console=console,
    )
    task = bar.add_task("", total=comparison.settings.steps, completed=comparison.step)
    due = 0.0

    def show(step: int) -> None:
        nonlocal due
        now = time.monotonic()
        if now >= due or step == comparison.settings.steps:
            due = now + _INTERVAL
            bar.update(task, completed=step, description=_standing(comparison))

    with bar:
        yield show


def _line(console: Console, comparison: Comparison, step: int) -> None:
    if is_milestone(step):
        console.print(f"step {step:,}: {_standing(comparison)}", highlight=False, soft_wrap=True)
