"""`python -m benchmarks`: run the workloads, print the table, write JSON and a bar chart."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from . import workloads
from .harness import OURS, Result, measure


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 if a target was missed."""
    names = [w.NAME for w in workloads.ALL]
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("only", nargs="*", metavar="NAME", help=f"of: {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="fewer rounds: under a minute in all")
    parser.add_argument("--out", type=Path, default=Path("runs/bench"), help="folder for results")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.only) - set(names))
    if unknown:
        parser.error(f"unknown workload {unknown[0]!r}; known are {', '.join(names)}")
    chosen = [w for w in workloads.ALL if not options.only or w.NAME in options.only]
    rounds, batch_seconds = (7, 0.05) if options.quick else (41, 0.1)
    todo = [(w, case, b) for w in chosen for case, b in w.cases().items()]
    results = [
        measure(w, case, builders, rounds=rounds, batch_seconds=batch_seconds)
        for w, case, builders in track(todo, "Measuring", console=Console(stderr=True))
    ]
    _print(results)
    _write(results, options.out)
    missed = [r for r in results for p in r.targets if r.reached(p) is False]
    return 1 if missed else 0


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    import numpy

    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "numpy": numpy.__version__,
    }


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor()


def _print(results: list[Result]) -> None:
    table = Table(title="How many times faster than each peer (median of interleaved rounds)")
    for column in ("workload", "case", "ours", "peer", "theirs", "ratio", "target", "reached"):
        table.add_column(column, justify="left" if column in ("workload", "case") else "right")
    for r in results:
        for peer in (*r.ratios, *r.missing):
            if peer in r.missing:
                table.add_row(r.workload, r.case, "", peer, r.missing[peer], "", "", "not run")
                continue
            reached = {None: "", True: "yes", False: "NO"}[r.reached(peer)]
            target = f"{r.targets[peer]:.2f}" if peer in r.targets else ""
            ours, theirs = _time(r.seconds[OURS]), _time(r.seconds[peer])
            ratio = f"{r.ratios[peer]:.2f}"
            table.add_row(r.workload, r.case, ours, peer, theirs, ratio, target, reached)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


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
