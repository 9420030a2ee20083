"""Timing on a device with CUDA events, as medians, against a copy measured in the same run."""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

ROUNDS = 30
WARM = 5


BALLAST = 256 << 20
"""Bytes of a copy that occupies the device: a tenth of a millisecond on the fastest GPUs."""
SHORTEST_COPY = 1e-4


def seconds(cupy: Any, call: Callable[[], Any], rounds: int = ROUNDS) -> float:
    """The median time of a call on the device alone.

    The device is given copies to do first, so many that the host has queued all calls before the
    first one begins: the time between two events is then that of the call and not the host's.
    """
    for _ in range(WARM):
        call()
    cupy.cuda.get_current_stream().synchronize()
    begun = time.perf_counter()
    call()
    host = time.perf_counter() - begun
    source = cupy.zeros((BALLAST,), dtype=cupy.uint8)
    target = cupy.empty_like(source)
    for _ in range(int(2 * rounds * host / SHORTEST_COPY) + 1):
        cupy.copyto(target, source)
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


def find_torch() -> tuple[Any, str]:
    """PyTorch on the GPU and ''; or None and why it cannot be measured."""
    try:
        torch = importlib.import_module("torch")
    except (ImportError, OSError) as error:  # OSError: a library that it loads is missing
        return None, f"PyTorch could not be imported ({error})"
    if torch.cuda.is_available():
        return torch, ""
    if torch.version.cuda is None:
        return None, f"PyTorch {torch.__version__} is built without CUDA"
    return None, f"PyTorch {torch.__version__}, for CUDA {torch.version.cuda}, finds no GPU"


@dataclass
class Figure:
    """One figure that is to be measured.

    Attributes:
        name: what was measured.
        value, unit: how much; the value is None where it was not measured.
        asked: the least that is asked for; None where it is for information.
        note: how the figure comes about, or why it was not measured.
    """

    name: str
    value: float | None
    unit: str
    asked: float | None = None
    note: str = ""

    @property
    def outcome(self) -> str:
        """'reached', 'missed', 'not measured', or nothing where nothing is asked."""
        if self.value is None:
            return "not measured"
        if self.asked is None:
            return ""
        return "reached" if self.value >= self.asked else "missed"
