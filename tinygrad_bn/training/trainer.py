"""The training loop: steps, validations, checkpoints, and going on exactly where it stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..autograd import no_grad
from ..backend import rng
from ..nn import Module
from ..nn.state import check_state
from ..nn.utils import clip_grad_norm_
from ..optim import LRScheduler, Optimizer
from ..serialization import CheckpointError, FilePath, load_checkpoint, save_checkpoint
from ..tensor import Tensor
from .callbacks import Callback, EarlyStopping
from .checks import check_arguments
from .divergence import Divergence, first_bad
from .interrupt import InterruptGuard, TrainingInterrupted
from .plan import Plan
from .progress import Silent, reporter
from .restore import load_together

Loss = Callable[[Any, Any], Tensor]
Metric = Callable[[Any, Any], Any]
_PENDING = 256  # losses kept as tensors before they are read


class Trainer:
    """Trains a model on batches `(*inputs, target)`: loss(model(*inputs), target) is minimised.

    Args:
        model, optimizer: the optimizer holds the model's parameters.
        loss: gives a tensor of one element.
        metrics: functions of output and target by name, averaged over validation samples.
        scheduler: stepped after each epoch, or after each step.
        schedule_each: 'epoch' or 'step'.
        clip_norm: bound for the norm of all gradients; None for none.
        callbacks: called between steps.
        progress: False: show nothing; True or None: a live bar on a terminal, a line for each
            validation elsewhere.

    Attributes:
        step, epoch: how many steps and whole epochs have been made.
        history: {"loss": one number per step, "validation": dicts of step, epoch and values}.
        diverged: the first step whose loss was NaN or infinite, None if there was none, of the
            losses that have been read (all, after `history`); `fit` warns of it.

    Raises:
        ValueError: another `schedule_each`, clip_norm <= 0, a metric called 'loss'.
        TypeError: a model, an optimizer or another argument of the wrong kind.
    """

    def __init__(
        self,
        model: Module,
        optimizer: Optimizer,
        loss: Loss,
        *,
        metrics: Mapping[str, Metric] | None = None,
        scheduler: LRScheduler | None = None,
        schedule_each: str = "epoch",
        clip_norm: float | None = None,
        callbacks: Sequence[Callback] = (),
        progress: bool | None = None,
    ) -> None:
        check_arguments(
            model,
            optimizer,
            loss,
            metrics=metrics,
            scheduler=scheduler,
            schedule_each=schedule_each,
            clip_norm=clip_norm,
            callbacks=callbacks,
            progress=progress,
        )
        self.model = model
        self.optimizer = optimizer
        self.loss = loss
        self.metrics = dict(metrics or {})
        self.scheduler = scheduler
        self.schedule_each = schedule_each
        self.clip_norm = clip_norm
        self.callbacks = list(callbacks)
        self.progress = progress
        self.step = 0
        self.epoch = 0
        self._history: dict[str, list[Any]] = {"loss": [], "validation": []}
        self._pending: list[Tensor] = []
        self._stopping = False
        self.diverged: int | None = None

    @property
    def history(self) -> dict[str, list[Any]]:
        """Losses by step, and validations."""
        self._read_losses()
        return self._history

    def _read_losses(self) -> None:
        losses = self._history["loss"]
        fresh = [float(loss) for loss in self._pending]
        self._pending.clear()
        if self.diverged is None:
            self.diverged = first_bad(fresh, len(losses) + 1)
        losses += fresh

    def stop(self) -> None:
        """End the training after this step."""
        self._stopping = True

    # ------------------------------------------------------------------------------ steps

    def train_step(self, batch: Sequence[Any]) -> Tensor:
        """Forward, backward and one step of the optimizer; returns the loss, detached."""
        optimizer = self.optimizer
        optimizer.zero_grad()
        *inputs, target = batch
        loss = self.loss(self.model(*inputs), target)
        if not isinstance(loss, Tensor):
            raise TypeError(f"Trainer: loss must give a Tensor, got {type(loss).__name__}")
        loss.backward()
        if self.clip_norm is not None:
            params = (p for group in optimizer.param_groups for p in group["params"])
            clip_grad_norm_(params, self.clip_norm)
        optimizer.step()
        self.step += 1
        loss = loss.detach()
        self._pending.append(loss)
        if len(self._pending) >= _PENDING:
            self._read_losses()
        return loss

    def evaluate(self, loader: Iterable[Any]) -> dict[str, float]:
        """The loss and the metrics over `loader`, averaged over samples, in evaluation mode.

        Raises ValueError when the loader has no samples.
        """
        self._read_losses()
        totals = dict.fromkeys(("loss", *self.metrics), 0.0)
        count = 0
        training = self.model.training
        self.model.eval()
        try:
            with no_grad():
                for *inputs, target in loader:
                    output = self.model(*inputs)
                    n = target.shape[0]
                    count += n
                    totals["loss"] += float(self.loss(output, target)) * n
                    for name, metric in self.metrics.items():
                        totals[name] += float(metric(output, target)) * n
        finally:
            self.model.train(training)
        if count == 0:
            raise ValueError("Trainer.evaluate: the loader has no samples")
        return {name: total / count for name, total in totals.items()}

    # -------------------------------------------------------------------------------- fit

    def fit(
        self,
        train_loader: Any,
        *,
        epochs: int | None = None,
        steps: int | None = None,
        validation: Iterable[Any] | None = None,
        validate_every: int | None = None,
        checkpoint_path: FilePath | None = None,
        checkpoint_every: int | None = None,
        resume_from: FilePath | None = None,
        early_stopping: EarlyStopping | None = None,
    ) -> dict[str, list[Any]]:
        """Train until so many epochs or steps have been made in all, and return `history`.

        Args:
            train_loader: a `DataLoader`, or anything with a length that gives batches.
            epochs, steps: the goal, one of the two; what was made before this call counts.
            validation: batches to evaluate on.
            validate_every: steps between two evaluations; default: after each epoch.
            checkpoint_path: the file that holds the state, replaced each time, and at the end.
            checkpoint_every: steps between two checkpoints; default: after each epoch.
            resume_from: a checkpoint to go on from: the same numbers follow, bit for bit, as
                without the interruption.
            early_stopping: watches the validations.

        Raises:
            TrainingInterrupted: after Ctrl-C or SIGTERM; the step in hand has been finished and,
                with `checkpoint_path`, the state has been saved.
            CheckpointError: `resume_from` is damaged or of another model.
            ValueError: arguments that contradict one another, an empty loader.
        """
        plan = Plan(
            train_loader,
            epochs=epochs,
            steps=steps,
            validation=validation,
            validate_every=validate_every,
            checkpoint_path=checkpoint_path,
            checkpoint_every=checkpoint_every,
            early_stopping=early_stopping,
        )
        if resume_from is not None:
            self.load_checkpoint(resume_from, train_loader, early_stopping)
        plan.rewind()
        self.model.train()
        self._stopping = early_stopping is not None and early_stopping.stopped
        warner = Divergence(self)
        with InterruptGuard() as guard, reporter(self.progress, plan.total_steps()) as show:
            while not self._stopping and not plan.reached(self.step, self.epoch):
                self._epoch(plan, guard, show, warner)
        self._read_losses()
        warner.check(1)
        if plan.checkpoint_path is not None:
            self._save(plan)
        if early_stopping is not None:
            early_stopping.finish(self.model)
        return self.history

    def _epoch(self, plan: Plan, guard: InterruptGuard, show: Silent, warner: Divergence) -> None:
        """What is left of an epoch."""
        length = len(plan.loader)
        for number, batch in enumerate(plan.loader, plan.first_batch() + 1):
            loss = self.train_step(batch)
            if self.scheduler is not None and self.schedule_each == "step":
                self.scheduler.step()
            show.step(self.step, self.epoch, loss)
            warner.check(2)
            for callback in self.callbacks:
                callback.on_step(self)
            if plan.validation_due(self.step):
                self._validate(plan, show)
            if plan.checkpoint_due(self.step):
                self._save(plan)
            if guard.requested:
                self._interrupted(plan)
            # After the last batch the loop ends by itself, and the epoch with it.
            if self._stopping or (self.step == plan.steps and number < length):
                return
        if self.scheduler is not None and self.schedule_each == "epoch":
            self.scheduler.step()
        self.epoch += 1
        for callback in self.callbacks:
            callback.on_epoch(self)
        if plan.validate_every is None:
            self._validate(plan, show)
        if plan.checkpoint_every is None and plan.checkpoint_path is not None:
            self._save(plan)
        if guard.requested:
            self._interrupted(plan)

    def _validate(self, plan: Plan, show: Silent) -> None:
        if plan.validation is None:
            return
        values = self.evaluate(plan.validation)
        self._history["validation"].append({"step": self.step, "epoch": self.epoch, **values})
        show.validation(self.step, self.epoch, values)
        for callback in self.callbacks:
            callback.on_validation(self, values)
        if plan.early_stopping is not None and plan.early_stopping.update(self.model, values):
            self.stop()

    def _interrupted(self, plan: Plan) -> None:
        if plan.checkpoint_path is not None:
            self._save(plan)
        path = None if plan.checkpoint_path is None else os.fspath(plan.checkpoint_path)
        raise TrainingInterrupted(self.step, path)

    # ------------------------------------------------------------------------ checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Model, optimizer, scheduler, step and history."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scheduler": None if self.scheduler is None else self.scheduler.state_dict(),
            "step": self.step,
            "epoch": self.epoch,
            "history": self.history,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises ValueError when it is another model's or setup's; nothing has changed then.
        """
        if (state["scheduler"] is None) != (self.scheduler is None):
            have, had = ("no", "a") if self.scheduler is None else ("a", "no")
            raise ValueError(f"Trainer: there is {have} scheduler, the state was saved with {had}")
        step, epoch = int(state["step"]), int(state["epoch"])
        history = {key: list(values) for key, values in state["history"].items()}
        parts: list[tuple[Any, Any]] = [(self.optimizer, state["optimizer"])]
        if self.scheduler is not None:
            parts.append((self.scheduler, state["scheduler"]))
        check_state(self.model, state["model"])  # first: it says best what is different
        load_together([*parts, (self.model, state["model"])])
        self.step, self.epoch, self._history, self._pending = step, epoch, history, []
        self.diverged = first_bad(history["loss"], 1)

    def _save(self, plan: Plan) -> None:
        self.save_checkpoint(plan.checkpoint_path, plan.loader, plan.early_stopping)  # type: ignore[arg-type]

    def save_checkpoint(
        self, path: FilePath, loader: Any, early_stopping: EarlyStopping | None = None
    ) -> None:
        """Write all that is needed to go on exactly: this trainer, the loader's position, the
        random streams. Atomic; raises OSError, and the old file is then unchanged."""
        tree = {
            **self.state_dict(),
            "loader": loader.state_dict(),
            "random": rng.get_state(),
            "early_stopping": None if early_stopping is None else early_stopping.state_dict(),
        }
        save_checkpoint(path, tree)

    def load_checkpoint(
        self, path: FilePath, loader: Any, early_stopping: EarlyStopping | None = None
    ) -> None:
        """Take up the state that `save_checkpoint` wrote.

        Raises CheckpointError, naming the file and the differing keys, when it is damaged or of
        another model, optimizer or loader; nothing has changed then.
        """
        tree = load_checkpoint(path)
        try:
            random = tree["random"]
            parts: list[tuple[Any, Any]] = [(loader, tree["loader"])]
            if early_stopping is not None and tree["early_stopping"] is not None:
                parts.append((early_stopping, tree["early_stopping"]))
            load_together([*parts, (self, tree)])
            rng.set_state(random)
        except KeyError as error:
            raise CheckpointError(
                f"{Path(path)}: no checkpoint of a Trainer: lacks {error}"
            ) from None
        except (ValueError, TypeError) as error:
            raise CheckpointError(f"{Path(path)}: {error}") from error
