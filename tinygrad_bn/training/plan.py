"""What `Trainer.fit` was asked to do, checked."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..data.dataset import check_int
from ..serialization import FilePath
from .callbacks import EarlyStopping


class Plan:
    """The arguments of `Trainer.fit`, and which of its events are due."""

    def __init__(
        self,
        loader: Any,
        *,
        epochs: int | None,
        steps: int | None,
        validation: Iterable[Any] | None,
        validate_every: int | None,
        checkpoint_path: FilePath | None,
        checkpoint_every: int | None,
        early_stopping: EarlyStopping | None,
    ) -> None:
        if (epochs is None) == (steps is None):
            raise ValueError(f"Trainer.fit: give epochs or steps, got {epochs=} and {steps=}")
        numbers = {"epochs": epochs, "steps": steps}
        intervals = {"validate_every": validate_every, "checkpoint_every": checkpoint_every}
        for least, group in ((0, numbers), (1, intervals)):
            for name, value in group.items():
                if value is not None:
                    check_int("Trainer.fit", name, value, least=least)
        if not hasattr(loader, "__len__"):
            raise TypeError(
                f"Trainer.fit: train_loader must have a length, got {type(loader).__name__}"
            )
        if len(loader) == 0:
            raise ValueError("Trainer.fit: train_loader has no batches")
        if validation is None and (validate_every is not None or early_stopping is not None):
            name = "validate_every" if validate_every is not None else "early_stopping"
            raise ValueError(f"Trainer.fit: {name} needs validation=")
        if validation is not None and not isinstance(validation, Iterable):
            raise TypeError(f"Trainer.fit: validation must give batches, got {validation!r}")
        if early_stopping is not None and not isinstance(early_stopping, EarlyStopping):
            raise TypeError(
                f"Trainer.fit: early_stopping must be an EarlyStopping, got {early_stopping!r}"
            )
        if checkpoint_every is not None and checkpoint_path is None:
            raise ValueError("Trainer.fit: checkpoint_every needs checkpoint_path=")
        if checkpoint_path is not None and not hasattr(loader, "state_dict"):
            raise TypeError(
                "Trainer.fit: checkpoints need a train_loader with state_dict, such as "
                f"DataLoader, got {type(loader).__name__}"
            )
        if checkpoint_path is not None and not Path(checkpoint_path).parent.is_dir():
            raise FileNotFoundError(
                "Trainer.fit: checkpoint_path must be in a folder that exists, "
                f"got {os.fspath(checkpoint_path)!r}"
            )
        self.loader = loader
        self.epochs = epochs
        self.steps = steps
        self.validation = validation
        self.validate_every = validate_every
        self.checkpoint_path = checkpoint_path
        self.checkpoint_every = checkpoint_every
        self.early_stopping = early_stopping

    def rewind(self) -> None:
        """Make the loader go on where it stands, not begin a new epoch."""
        if hasattr(self.loader, "state_dict"):
            self.loader.load_state_dict(self.loader.state_dict())

    def first_batch(self) -> int:
        """The number, in its epoch, of the batch that the loader gives next."""
        if hasattr(self.loader, "state_dict"):
            return self.loader.state_dict().get("position", 0)
        return 0

    def reached(self, step: int, epoch: int) -> bool:
        """Whether the goal has been reached."""
        return epoch >= self.epochs if self.epochs is not None else step >= self.steps  # type: ignore[operator]

    def total_steps(self) -> int:
        """The number of steps of the whole training."""
        return self.steps if self.steps is not None else self.epochs * len(self.loader)  # type: ignore[operator]

    def validation_due(self, step: int) -> bool:
        """Whether to validate after this step (not: at an epoch's end)."""
        return self.validate_every is not None and step % self.validate_every == 0

    def checkpoint_due(self, step: int) -> bool:
        """Whether to save after this step (not: at an epoch's end)."""
        return self.checkpoint_every is not None and step % self.checkpoint_every == 0
