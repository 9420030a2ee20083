"""Interleaved timing: every peer in turn, round after round, so that a drifting machine is fair.

A workload is a module in `benchmarks/workloads/` with

    NAME         a short name
    DESCRIPTION  one line for the table
    SELF_TIMED   True if the functions to time return their seconds themselves
    cases()      case name -> `Case`

`ours` is the peer that the others are divided by, `copy` the one whose time gives the bandwidth of
memory: a case with `traffic` is compared with the time that so much reading and writing takes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .peers import OURS

COPY = "copy"
Builder = Callable[[], Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        peers: a builder by name; it prepares everything and returns the function to time, or
            raises ImportError where the peer is not installed.
        targets: the ratio peer/ours that is to be reached, by peer (others: for information).
        traffic: None, or how often the array that `copy` copies has to be read or written; the
            copy itself is 2.
    """

    peers: dict[str, Builder]
    targets: dict[str, float] = field(default_factory=dict)
    traffic: float | None = None


@dataclass
class Result:
    """Measured times of one case.

    Attributes:
        workload, case: what was measured.
        seconds: median seconds of one call, by peer.
        least: the fewest seconds of one call in any round, by peer.
        ratios: median over the rounds of peer/ours, by peer: how many times faster ours is.
        targets: the ratio to reach, by peer.
        missing: peers that could not run, with the reason.
        over_bound: our seconds over those that the unavoidable traffic of memory takes at the
            speed of the copy (None without `traffic`).
    """

    workload: str
    case: str
    seconds: dict[str, float] = field(default_factory=dict)
    least: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    targets: dict[str, float] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    over_bound: float | None = None

    def reached(self, peer: str) -> bool | None:
        """Whether the target against `peer` was reached; None if there is none."""
        if peer not in self.targets or peer not in self.ratios:
            return None
        return self.ratios[peer] >= self.targets[peer]


def measure(workload: Any, name: str, case: Case, *, rounds: int, batch_seconds: float) -> Result:
    """Time all peers of a case in turn, `rounds` times.

    In each round every peer makes as many calls as fill about `batch_seconds`; the order turns
    round from one round to the next, so no peer always runs in another's warm cache.
    """
    result = Result(workload.NAME, name, targets=dict(case.targets))
    functions: dict[str, Callable[[], Any]] = {}
    for peer, build in case.peers.items():
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
    _evaluate(result, samples, case)
    return result


def _evaluate(result: Result, samples: dict[str, list[float]], case: Case) -> None:
    """Medians and ratios of what was measured, into the result."""
    result.seconds = {peer: statistics.median(s) for peer, s in samples.items() if peer != COPY}
    result.least = {peer: min(s) for peer, s in samples.items() if peer != COPY}
    if OURS not in samples:
        return
    for peer in result.seconds:
        if peer != OURS:
            result.ratios[peer] = _ratio(samples[peer], samples[OURS])
    if case.traffic is not None:
        result.over_bound = 2 / case.traffic * _ratio(samples[OURS], samples[COPY])


def _ratio(theirs: list[float], ours: list[float]) -> float:
    return statistics.median([a / b for a, b in zip(theirs, ours, strict=True)])


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
