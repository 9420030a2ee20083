"""Timing on a device with CUDA events, as medians, against a copy measured in the same run."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROUNDS = 30
WARM = 5


def seconds(cupy: Any, call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """The median time of a call on the device; the host must keep ahead of it."""
    for _ in range(WARM):
        call()
    pairs = []
    for _ in range(rounds):
        start, stop = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        call()
        stop.record()
        pairs.append((start, stop))
    pairs[-1][1].synchronize()
    return statistics.median([cupy.cuda.get_elapsed_time(a, b) for a, b in pairs]) / 1e3


def copy_bandwidth(cupy: Any, size: int) -> float:
    """Bytes per second, read and written, of a device copy of `size` bytes."""
    source = cupy.zeros((size,), dtype=cupy.uint8)
    target = cupy.empty_like(source)
    return 2 * size / seconds(cupy, lambda: cupy.copyto(target, source))


@dataclass
class Figure:
    """One measured figure.

    Attributes:
        name: what was measured.
        value, unit: how much.
        asked: the least that is asked for; None where it is for information.
        note: how the figure comes about.
    """

    name: str
    value: float
    unit: str
    asked: float | None = None
    note: str = ""

    @property
    def outcome(self) -> str:
        """'reached', 'missed', or nothing where nothing is asked."""
        if self.asked is None:
            return ""
        return "reached" if self.value >= self.asked else "missed"
