"""The population estimate of a batch norm layer: buffers, their update, staging."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import ops
from ..autograd import is_checkpointing, is_recomputing
from ..autograd.runtime import make
from ..backend.quiet import quiet
from ..dtypes import float64, int64
from ..tensor import Tensor
from .module import Module
from .normalization_functional import BatchStatistics


class RunningStatistics(Module):
    """A module with running_mean, running_var and num_batches_tracked.

    An update gives the buffers new arrays and leaves the old ones as they are, so a graph that
    has saved them for its backward is not disturbed.

    running_var gathers the unbiased variance, m/(m - 1) times the batch's. A channel whose batch
    holds NaN or Inf keeps its estimate, and `num_batches_skipped` counts that. Such a channel, or
    one with fewer than two values (by mask or weights), is counted in `num_updates_missed` too;
    without a decay, num_batches_tracked - num_updates_missed batches are averaged.
    """

    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    num_batches_skipped: Tensor | None
    num_updates_missed: Tensor | None
    decay: float | None

    def _make_buffers(self, shape: tuple[int, ...] | None, options: dict[str, Any]) -> None:
        """Register the buffers; `shape` None registers absent ones."""
        absent = shape is None
        whole = {"dtype": int64, "device": options["device"]}
        buffers = {
            "running_mean": None if absent else ops.zeros(shape, **options),
            "running_var": None if absent else ops.ones(shape, **options),
            "num_batches_tracked": None if absent else ops.zeros((), **whole),
        }
        for name, tensor in buffers.items():
            self.register_buffer(name, tensor)
        for name in ("num_batches_skipped", "num_updates_missed"):
            counter = None if absent else ops.zeros(shape, **whole)
            self.register_buffer(name, counter, persistent=False)
        self._collect: Callable[[BatchStatistics], None] | None = None
        self._previous: tuple[Any, Any] | None = None
        self._staging = False
        self._staged: tuple[Any, Any, Any] | None = None

    def reset_running_stats(self) -> None:
        """Forget the estimate: mean 0, variance 1, no batch seen."""
        if self.running_mean is None:
            return
        for buffer in self.buffers(recurse=False):
            buffer.assign(1 if buffer is self.running_var else 0)
        self._staged = None

    def stage_statistics(self, staging: bool = True) -> None:
        """From now on gather the statistics of batches until `commit_statistics()`.

        With False, back to an update per batch; ValueError if what was gathered is not committed.
        """
        if not staging and self._staged is not None:
            raise ValueError(
                f"{type(self).__name__}: statistics are staged; call commit_statistics() first"
            )
        self._staging = staging

    @quiet()
    def commit_statistics(self) -> None:
        """Update the estimate once, with the gathered batches merged as if they were one batch."""
        staged, self._staged = self._staged, None
        if staged is None:
            return
        n, mean, moment = staged
        assert self.running_mean is not None
        backend = self.running_mean._backend
        var = moment / backend.where(n > 1, n, 1.0)
        dtype = self.running_mean.dtype
        mean, var, count = [backend.astype(a, dtype) for a in (mean, var, n)]
        self._advance(mean, var, *self._unbiasing(count))

    def _estimate(self) -> tuple[Any, Any]:
        """running_mean and running_var; in a replay of `checkpoint` those of the first pass,
        which the update that followed it has replaced."""
        if self._previous is None or not is_recomputing():
            return self.running_mean, self.running_var
        assert self.running_mean is not None
        backend = self.running_mean._backend
        return make(backend, self._previous[0], None), make(backend, self._previous[1], None)

    def _arrays(self) -> tuple[Any, Any]:
        """What running_mean and running_var hold."""
        assert self.running_mean is not None
        assert self.running_var is not None
        return self.running_mean._data, self.running_var._data

    # ---------------------------------------------------------------------------- update

    def _state(self) -> tuple[Any, ...]:
        """The buffers that an update changes, in the order of `B.advance_estimate`."""
        return (
            self.running_mean,
            self.running_var,
            self.num_batches_tracked,
            self.num_batches_skipped,
            self.num_updates_missed,
        )

    def _to_move(self, x: Any, count: int) -> tuple[tuple[Any, ...], float, float | None] | None:
        """What `batch_norm_by_plan` needs to move the estimate in the same step, for `count` values
        per channel; None where `_observe` has to do that."""
        mean, var, tracked, skipped, missed = self._state()
        if self._staging or is_checkpointing() or mean._backend is not x._backend:
            return None
        old = mean._data, var._data, tracked._data, skipped._data, missed._data
        return old, count / (count - 1), None if self.decay is None else 1 - self.decay

    def _observe(self, mean: Any, low: Any, var: Any, count: Any) -> None:
        """Learn from the raw statistics of a batch: at once, or later if staging."""
        assert self.running_mean is not None
        B = self.running_mean._backend
        with quiet():
            if self._staging:
                wide = [B.astype(a, float64) for a in (mean, low, var)]
                self._stage(wide[0] + wide[1], wide[2], count)
                return
            several = None
            if isinstance(count, int):
                factor: Any = count / (count - 1)
            else:
                factor, several = self._unbiasing(count)
            self._advance(mean, var, factor, several)

    def _unbiasing(self, count: Any) -> tuple[Any, Any]:
        """m/(m - 1) of every channel, and where m > 1."""
        assert self.running_mean is not None
        several = count > 1
        return count / self.running_mean._backend.where(several, count - 1, 1.0), several

    def _advance(self, mean: Any, var: Any, factor: Any, usable: Any) -> None:
        """Move the estimate towards raw statistics, var times a factor, where they are usable."""
        assert self.running_mean is not None
        old = [buffer._data for buffer in self._state()]
        rate = None if self.decay is None else 1 - self.decay
        B = self.running_mean._backend
        self._move(B.advance_estimate(*old, mean, var, factor, usable, rate))

    def _move(self, moved: tuple[Any, ...]) -> None:
        """Give the buffers the arrays that an update has made."""
        mean, var, tracked, skipped, missed = self._state()
        new_mean, new_var, tracked._data, skipped._data, missed._data = moved
        dtype, made = mean._data.dtype, new_mean.dtype
        if made is not dtype and made != dtype:
            new_mean, new_var = [mean._backend.astype(a, dtype) for a in (new_mean, new_var)]
        mean._data, var._data = new_mean, new_var

    def _stage(self, mean: Any, var: Any, count: Any) -> None:
        """Merge a batch into what is staged, by Chan's formula in float64; NaN and Inf stay out."""
        assert self.running_mean is not None
        assert self.num_batches_skipped is not None
        B, skipped = self.running_mean._backend, self.num_batches_skipped
        finite = B.isfinite(mean + var)
        bad = B.astype(B.logical_not(finite), skipped._data.dtype)
        skipped._data = skipped._data + bad
        n = B.where(
            finite,
            (count if isinstance(count, int) else B.astype(count, mean.dtype)) * B.ones_like(mean),
            0.0,
        )
        mean, moment = B.where(finite, mean, 0.0), B.where(finite, var * n, 0.0)
        if self._staged is not None:
            m, old_mean, old_moment = self._staged
            both = n + m
            share = n / B.where(both > 0, both, 1.0)
            delta = mean - old_mean
            n, mean = both, old_mean + delta * share
            moment = moment + old_moment + delta * delta * (m * share)
        self._staged = n, mean, moment


def stage_statistics(model: Module, staging: bool = True) -> None:
    """`stage_statistics` of every layer of `model` that keeps running statistics."""
    for layer in _layers(model):
        layer.stage_statistics(staging)


def commit_statistics(model: Module) -> None:
    """`commit_statistics` of every such layer: call it beside the optimizer's step."""
    for layer in _layers(model):
        layer.commit_statistics()


def _layers(model: Module) -> list[RunningStatistics]:
    return [m for m in model.modules() if isinstance(m, RunningStatistics)]
