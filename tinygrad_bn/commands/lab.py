"""`tinygrad-bn lab`: list, run and report."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tinygrad_bn import set_default_backend
from tinygrad_bn.backend import BackendUnavailableError, UnknownBackendError, get_backend
from tinygrad_bn.lab import registry, report, runner
from tinygrad_bn.lab.digits import Digits
from tinygrad_bn.lab.experiment import Experiment
from tinygrad_bn.lab.store import StoreError
from tinygrad_bn.training import InterruptGuard

from .console import literal_console
from .errors import Interrupted, expecting

_INTERVAL = 0.2  # seconds between two updates of the bar


def run(options: Mapping[str, Any], program: str) -> None:
    """Carry out one of the three actions; `options` as the command line gave them.

    Raises CommandError for what may go wrong outside, Interrupted after Ctrl-C or SIGTERM.
    """
    {"list": _list, "run": _run, "report": _report}[options["action"]](options, program)


def _list(options: Mapping[str, Any], program: str) -> None:
    table = Table(title="Experiments")
    for column in ("name", "question", "from"):
        table.add_column(column, overflow="fold")
    for name in registry.NAMES:
        experiment = registry.get(name)
        table.add_row(name, experiment.question, experiment.source)
    literal_console().print(table)


def _run(options: Mapping[str, Any], program: str) -> None:
    with expecting(ValueError):
        names = list(registry.NAMES) if options["names"] == ["all"] else options["names"]
        experiments = [registry.get(name) for name in names]
    with expecting(UnknownBackendError, BackendUnavailableError):
        if options["backend"] is not None:
            set_default_backend(get_backend(options["backend"], source="from --backend"))
    quick, out = options["quick"], Path(options["out"])
    seeds = options["seeds"] or (runner.QUICK_SEEDS if quick else runner.SEEDS)
    digits = Digits(options["data"], subset=quick and options["data"] is None)
    with expecting(OSError, ValueError):
        digits.load()
    console = literal_console()
    with InterruptGuard() as guard, expecting(OSError, StoreError):
        for experiment in experiments:
            with Display(console, guard) as watcher:
                whole = runner.run(
                    experiment, out, digits, seeds=seeds, quick=quick, watcher=watcher
                )
            if not whole:
                assert guard.signal is not None
                raise Interrupted(
                    "Interrupted; everything so far is saved. Go on with the same command:\n"
                    f"  {program} lab run {_arguments(options)}",
                    guard.signal,
                )
    console.print(
        f"The numbers are in {out}. For the page: {program} lab report {shlex.quote(str(out))}",
        soft_wrap=True,
        highlight=False,
    )


def _arguments(options: Mapping[str, Any]) -> str:
    words = [*options["names"], *(["--quick"] if options["quick"] else [])]
    for name in ("seeds", "backend", "data", "out"):
        if options[name] is not None:
            words += [f"--{name}", str(options[name])]
    return shlex.join(words)


def _report(options: Mapping[str, Any], program: str) -> None:
    folder = Path(options["folder"])
    with expecting(OSError, StoreError, ImportError):
        paths = [report.write_page(folder)]
        if options["markdown"] is not None:
            paths.append(report.write_markdown(folder, Path(options["markdown"])))
    literal_console().print(
        "Wrote", ", ".join(str(path) for path in paths), soft_wrap=True, highlight=False
    )


class Display(runner.Watcher):
    """A live bar on a terminal, a line for each cell elsewhere."""

    def __init__(self, console: Console, guard: InterruptGuard) -> None:
        self._console, self._guard = console, guard
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[cell]}", markup=False),
            console=console,
            disable=not console.is_terminal,
        )
        self._name, self._total, self._done, self._due = "", 0, 0, 0.0

    def __enter__(self) -> Display:
        self._bar.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._bar.stop()

    def begin(self, experiment: Experiment, total: int, finished: int) -> None:
        """Open the bar, or say what is to come."""
        self._name, self._total, self._done = experiment.name, total, finished
        self._task = self._bar.add_task(experiment.name, total=total, completed=finished, cell="")
        self._line(f"{experiment.title} {total} cells, {finished} of them measured before")

    def working(self, variant: str, seed: int, fraction: float) -> None:
        """Move the bar, a few times a second."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _INTERVAL
            cell = f"{variant}, seed {seed}: {fraction:.0%}"
            self._bar.update(self._task, completed=self._done + fraction, cell=cell)

    def finished(self, variant: str, seed: int, seconds: float) -> None:
        """Count the cell."""
        self._done += 1
        self._bar.update(self._task, completed=self._done, cell=f"{variant}, seed {seed}")
        self._line(f"{variant}, seed {seed}: {seconds:.1f} s ({self._done} of {self._total})")

    def stop(self) -> bool:
        """After Ctrl-C."""
        return self._guard.requested

    def _line(self, text: str) -> None:
        if not self._console.is_terminal:
            self._console.print(f"{self._name}: {text}", soft_wrap=True, highlight=False)
