"""Interleaved timing: every peer in turn, round after round, so that a drifting machine is fair.

A workload is a module in `benchmarks/workloads/` with

    NAME         a short name
    DESCRIPTION  one line for the table
    TARGET       the ratio peer/ours that is to be reached, by peer (empty: for information)
    cases()      case name -> {peer name: builder}; a builder prepares everything and returns the
                 function to time, or raises ImportError where the peer is not installed
    SELF_TIMED   True if that function returns its seconds itself; else the call is timed

`ours` is the peer that the others are divided by.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

OURS = "ours"
Builder = Callable[[], Callable[[], Any]]


@dataclass
class Result:
    """Measured times of one case.

    Attributes:
        workload, case: what was measured.
        seconds: median seconds of one call, by peer.
        ratios: median over the rounds of peer/ours, by peer: how many times faster ours is.
        targets: the ratio to reach, by peer.
        missing: peers that could not run, with the reason.
    """

    workload: str
    case: str
    seconds: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def reached(self, peer: str) -> bool | None:
        """Whether the target against `peer` was reached; None if there is none."""
        if peer not in self.targets or peer not in self.ratios:
            return None
        return self.ratios[peer] >= self.targets[peer]


def measure(
    workload: Any, case: str, builders: dict[str, Builder], *, rounds: int, batch_seconds: float
) -> Result:
    """Time all peers of a case in turn, `rounds` times.

    In each round every peer makes as many calls as fill about `batch_seconds`; the order turns
    round from one round to the next, so no peer always runs in another's warm cache.
    """
    result = Result(workload.NAME, case, targets=dict(workload.TARGET))
    functions: dict[str, Callable[[], Any]] = {}
    for peer, build in builders.items():
        try:
            functions[peer] = build()
        except ImportError as error:
            result.missing[peer] = str(error)
    timer = _own_seconds if workload.SELF_TIMED else _seconds
    calls = {peer: _calibrate(f, timer, batch_seconds) for peer, f in functions.items()}
    samples: dict[str, list[float]] = {peer: [] for peer in functions}
    for number in range(rounds):
        order = list(functions.items())
        for peer, f in order if number % 2 == 0 else reversed(order):
            samples[peer].append(timer(f, calls[peer]))
    result.seconds = {peer: statistics.median(s) for peer, s in samples.items()}
    for peer in functions:
        if peer != OURS:
            pairs = zip(samples[peer], samples[OURS], strict=True)
            result.ratios[peer] = statistics.median([theirs / ours for theirs, ours in pairs])
    return result


def _seconds(f: Callable[[], Any], calls: int) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        f()
    return (time.perf_counter() - start) / calls


def _own_seconds(f: Callable[[], Any], calls: int) -> float:
    return statistics.median([f() for _ in range(calls)])


def _calibrate(f: Callable[[], Any], timer: Callable[..., float], batch_seconds: float) -> int:
    """Warm up, and find how many calls fill the batch."""
    timer(f, 2)
    return max(1, round(batch_seconds / max(timer(f, 2), 1e-9)))
