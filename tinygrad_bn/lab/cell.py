"""One cell of an experiment while it is being measured: settings, data, progress, interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .digits import Digits
from .experiment import Settings


class Stopped(Exception):
    """The cell was left in good order because a stop was asked for."""


@dataclass
class Cell:
    """A variant and a seed, with what measuring them needs.

    Attributes:
        settings, variant, seed: what the cell's numbers depend on, and nothing else does.
        digits: the handwritten digits.
        partial: the file for the state of a training that has to stop half-way.
        stop: whether to stop, asked after each step.
        progress: told (steps made, steps in all) after each step.
    """

    settings: Settings
    variant: str
    seed: int
    digits: Digits
    partial: Path
    stop: Callable[[], bool] = lambda: False
    progress: Callable[[int, int], None] = lambda done, total: None

    def __getitem__(self, key: str) -> Any:
        return self.settings[key]

    @contextmanager
    def part(self, number: int, of: int) -> Iterator[None]:
        """Inside the block a training is the part `number` (from 0) of several."""
        whole = self.progress
        self.progress = lambda done, total: whole(number * total + done, of * total)
        try:
            yield
        finally:
            self.progress = whole
