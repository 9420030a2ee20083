"""Carrying out an experiment: every variant with every seed, and going on where it stopped."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..backend import default_backend
from ..blas import one_thread
from . import store
from .cell import Cell, Stopped
from .digits import Digits
from .experiment import Experiment, Values

SEEDS = 3
QUICK_SEEDS = 1


class Watcher:
    """Told what goes on; this one shows nothing and never stops a run."""

    def begin(self, experiment: Experiment, total: int, finished: int) -> None:
        """Before the first cell: how many cells there are, and how many are finished already."""

    def working(self, variant: str, seed: int, fraction: float) -> None:
        """While a cell is measured: how much of it is done."""

    def finished(self, variant: str, seed: int, seconds: float) -> None:
        """After each cell."""

    def stop(self) -> bool:
        """Whether the run is to stop; asked after each training step."""
        return False


def run(
    experiment: Experiment,
    folder: Path,
    digits: Digits,
    *,
    seeds: int,
    quick: bool,
    watcher: Watcher,
) -> bool:
    """Measure the cells that have no file yet; whether all are measured now.

    The networks are small: meanwhile BLAS uses one thread, see `blas`.

    Raises StoreError when the folder holds cells of another run, OSError and ValueError when the
    digits cannot be read.
    """
    settings = describe(experiment, digits, quick)
    todo, total = _plan(experiment, folder, settings, seeds)
    watcher.begin(experiment, total, total - len(todo))
    for variant, seed, path in todo:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial, report = path.with_suffix(".partial"), _report(watcher, variant, seed)
        cell = Cell(settings, variant, seed, digits, partial, watcher.stop, report)
        start = time.perf_counter()
        try:
            with one_thread():
                values = experiment.measure(cell)
        except Stopped:
            return False
        seconds = time.perf_counter() - start
        store.write(path, _record(experiment, cell, seconds, values))
        watcher.finished(variant, seed, seconds)
        if watcher.stop():
            return False
    return True


def _record(experiment: Experiment, cell: Cell, seconds: float, values: Values) -> dict[str, Any]:
    return {
        "experiment": experiment.name,
        "variant": cell.variant,
        "seed": cell.seed,
        "settings": cell.settings,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "seconds": round(seconds, 3),
        "values": values,
    }


def describe(experiment: Experiment, digits: Digits, quick: bool) -> dict[str, Any]:
    """Everything that the numbers depend on, besides variant and seed."""
    settings = {**experiment.settings(quick), "quick": quick, "backend": default_backend().name}
    return {**settings, "train_images": len(digits.train)} if experiment.on_digits else settings


def _plan(
    experiment: Experiment, folder: Path, settings: dict[str, Any], seeds: int
) -> tuple[Sequence[tuple[str, int, Path]], int]:
    """The cells without a file, and the number of all cells. One seed is whole before the next."""
    todo, total = [], 0
    for seed in range(seeds):
        for variant in experiment.variants(settings):
            total += 1
            path = store.path_of(folder, experiment.name, variant, seed)
            if path.exists():
                store.check_same(path, store.read(path), settings)
            else:
                todo.append((variant, seed, path))
    return todo, total


def _report(watcher: Watcher, variant: str, seed: int) -> Callable[[int, int], None]:
    return lambda done, total: watcher.working(variant, seed, done / total)
