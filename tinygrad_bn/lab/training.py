"""The training of one cell: steps, measurements at given steps, exact resumption, divergence."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

import numpy as np

from .. import nn, optim
from ..backend import rng
from ..data import DataLoader
from ..serialization import load_checkpoint, save_checkpoint
from ..training import Trainer, accuracy
from .cell import Cell, Stopped
from .digits import Batches

Measure = Callable[[], Mapping[str, Any]]
_SAVE_EVERY = 20.0  # seconds of training that a killed process may lose


class Training:
    """Trains a network by gradient descent and measures it on the way.

    Attributes:
        trainer: makes the steps.
        records: one dict for each measurement: its step, and what `measure` gave.
        diverged: the step at which the loss was no number any more; None if it always was.
    """

    def __init__(
        self,
        cell: Cell,
        network: nn.Module,
        data: Any,
        *,
        rate: float,
        batch_size: int,
        loss: nn.Module | None = None,
    ) -> None:
        self.cell = cell
        self.network = network
        self.loader = DataLoader(data, batch_size, shuffle=True, drop_last=True, seed=cell.seed)
        trained = [p for p in network.parameters() if p.requires_grad]
        self.trainer = Trainer(
            network,
            optim.SGD(trained, lr=rate),
            loss or nn.CrossEntropyLoss(),
            metrics={} if loss else {"accuracy": accuracy},
            progress=False,
        )
        self.records: list[dict[str, Any]] = []
        self.diverged: int | None = None
        self._saved = time.monotonic()

    def run(
        self, steps: int, at: Collection[int], measure: Measure, *, keep: bool = True
    ) -> list[dict[str, Any]]:
        """Train, measuring after the steps in `at` (0: before the first); returns `records`.

        Ends early, at `diverged`, when a loss is infinite or NaN. `keep` says that an interrupted
        training can be taken up from the cell's file: that all its state is in the network, the
        optimizer, the loader and the random streams.

        Raises Stopped, with the state saved if it may be kept, when the cell is told to stop.
        """
        due = set(at)
        if not (keep and self._restore()) and 0 in due:
            self._record(measure)
        with np.errstate(over="ignore", invalid="ignore"):  # divergence is a result here
            while self.trainer.step < steps and self.diverged is None:
                self._epoch(steps, due, measure, keep)
        self.cell.partial.unlink(missing_ok=True)
        return self.records

    def _epoch(self, steps: int, due: set[int], measure: Measure, keep: bool) -> None:
        for batch in self.loader:
            loss = float(self.trainer.train_step(batch))
            step = self.trainer.step
            if not math.isfinite(loss):
                self.diverged = step
                return
            if step in due:
                self._record(measure)
            self.cell.progress(step, steps)
            if self.cell.stop():
                self._save(keep)
                raise Stopped
            if time.monotonic() - self._saved > _SAVE_EVERY:
                self._save(keep)
            if step == steps:
                return

    def _record(self, measure: Measure) -> None:
        self.records.append({"step": self.trainer.step, **measure()})

    # -------------------------------------------------------------------------- resuming

    def _save(self, keep: bool) -> None:
        self._saved = time.monotonic()
        if keep:
            tree = {
                "settings": dict(self.cell.settings),
                "trainer": self.trainer.state_dict(),
                "loader": self.loader.state_dict(),
                "random": rng.get_state(),
                "records": self.records,
            }
            save_checkpoint(self.cell.partial, tree)

    def _restore(self) -> bool:
        """Take up a saved state; one that is damaged or of other settings is as good as none."""
        with suppress(OSError, ValueError, KeyError):
            tree = load_checkpoint(self.cell.partial)
            if tree["settings"] == dict(self.cell.settings):
                self.trainer.load_state_dict(tree["trainer"])
                self.loader.load_state_dict(tree["loader"])
                rng.set_state(tree["random"])
                self.records = list(tree["records"])
                return True
        return False


def evaluate(network: nn.Module, batches: Batches) -> dict[str, float]:
    """Accuracy and mean cross-entropy on batches, in evaluation mode."""
    judge = Trainer(
        network,
        optim.SGD(network.parameters()),
        nn.CrossEntropyLoss(),
        metrics={"accuracy": accuracy},
        progress=False,
    )
    return judge.evaluate(batches)


def milestones(steps: int, fine: int, coarse: int) -> list[int]:
    """0, then every `fine` steps up to `coarse`, then every `coarse` up to `steps`."""
    points = {*range(0, min(coarse, steps), fine), *range(coarse, steps + 1, coarse), steps}
    return sorted(points)
