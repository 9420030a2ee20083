"""`python -m benchmarks`: run the workloads, print the table, write JSON and a bar chart."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import workloads
from .harness import Result, measure
from .peers import OURS

PACKAGES = ("numpy", "numba", "torch", "jax")


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 if a target was missed."""
    options = _parser().parse_args(arguments)
    names = [w.NAME for w in workloads.ALL]
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        _parser().error(f"unknown workload {unknown[0]!r}; known are {', '.join(names)}")
    chosen = [w for w in workloads.ALL if not options.only or w.NAME in options.only]
    rounds, batch_seconds = (5, 0.02) if options.quick else (41, 0.1)
    todo = [(w, name, c) for w in chosen for name, c in w.cases().items() if options.case in name]
    results = [
        measure(w, name, case, rounds=rounds, batch_seconds=batch_seconds)
        for w, name, case in track(todo, "Measuring", console=Console(stderr=True))
    ]
    _print(results)
    _write(results, options.out)
    missed = [r for r in results for p in r.targets if r.reached(p) is False]
    return 1 if missed else 0


def _parser() -> argparse.ArgumentParser:
    names = ", ".join(w.NAME for w in workloads.ALL)
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of: {names}")
    parser.add_argument("--case", default="", metavar="TEXT", help="cases with TEXT in their name")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute in all")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for results")
    return parser


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _print(results: list[Result]) -> None:
    table = Table(
        title="How many times faster than each peer (median of interleaved rounds)",
        caption="over bound: our time over that of the unavoidable traffic, at the speed of a copy",
    )
    columns = ("workload", "case", "ours", "over bound", "peer", "theirs", "ratio", "target", "")
    for column in columns:
        left = column in ("workload", "case", "peer")
        table.add_column(column, justify="left" if left else "right")
    for r in results:
        first: tuple[str, ...] = (
            r.workload,
            r.case,
            _time(r.seconds[OURS]) if OURS in r.seconds else r.missing[OURS],
            "" if r.over_bound is None else f"{r.over_bound:.2f}",
        )
        for peer in (*r.ratios, *(p for p in r.missing if p != OURS)):
            table.add_row(*first, *_row(r, peer))
            first = ("",) * 4
    Console(width=None if sys.stdout.isatty() else 140).print(table)


def _row(r: Result, peer: str) -> tuple[str, ...]:
    """The columns of one peer."""
    target = f"{r.targets[peer]:.2f}" if peer in r.targets else ""
    if peer not in r.ratios:
        return peer, r.missing[peer], "", target, "not run"
    reached = {None: "", True: "yes", False: "NO"}[r.reached(peer)]
    return peer, _time(r.seconds[peer]), f"{r.ratios[peer]:.2f}", target, reached


def _time(seconds: float) -> str:
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-2 else f"{seconds * 1e3:.1f} ms"


def _write(results: list[Result], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    record = {"machine": machine(), "results": [asdict(r) for r in results]}
    (folder / "results.json").write_text(json.dumps(record, indent=2) + "\n")
    from .chart import draw

    draw(results, folder / "ratios.png")
    print(f"written: {folder / 'results.json'}, {folder / 'ratios.png'}")


if __name__ == "__main__":
    raise SystemExit(main())
