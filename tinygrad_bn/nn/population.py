"""Population statistics from data: what batch norm's moving average only approaches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

from .. import ops
from ..autograd import no_grad
from ..dtypes import float64
from .module import Module
from .normalization import BatchNorm
from .normalization_functional import BatchStatistics

_METHODS = ("average", "moments")


class PopulationStatistics(NamedTuple):
    """An estimate of a layer's population, in float64.

    Attributes:
        mean: of each channel.
        var: the unbiased variance of each channel.
        count: how many values it rests on; for method "average", how many batches.
    """

    mean: Any
    var: Any
    count: Any


class PopulationComparison(NamedTuple):
    """How far a layer's moving average is from its population; the worst channel counts.

    Attributes:
        name: of the layer in the model.
        mean_shift: largest |running_mean - mean|, in population standard deviations.
        smallest_ratio, largest_ratio: of running_var/var.
        worst_channel: where the mean is off most.
    """

    name: str
    mean_shift: float
    smallest_ratio: float
    largest_ratio: float
    worst_channel: int

    def __str__(self) -> str:
        return (
            f"{self.name or '(model)'}: mean off by up to {self.mean_shift:.3g} σ (channel "
            f"{self.worst_channel}), variance {self.smallest_ratio:.3g} to "
            f"{self.largest_ratio:.3g} times the population's"
        )


class _Average:
    """The paper's procedure: E[x] = E_B[mean_B], Var[x] = E_B[var_B·m/(m - 1)]."""

    def __init__(self) -> None:
        self.batches, self.mean, self.var = 0, 0.0, 0.0
        self.found: PopulationStatistics

    def add(self, statistics: BatchStatistics) -> None:
        mean, var = statistics.double_mean(), _double(statistics.unbiased())
        self.batches += 1
        self.mean = self.mean + (mean - self.mean) / self.batches
        self.var = self.var + (var - self.var) / self.batches

    def result(self) -> PopulationStatistics:
        return PopulationStatistics(self.mean, self.var, self.batches)


class _Moments:
    """All batches merged by Chan's formula: the moments of the whole data, N/(N - 1)."""

    def __init__(self) -> None:
        self.count: Any = 0
        self.mean: Any = 0.0
        self.moment: Any = 0.0

    def add(self, statistics: BatchStatistics) -> None:
        mean, var, n = statistics.double_mean(), _double(statistics.var), statistics.count
        n = n if isinstance(n, int) else _double(n)
        both = self.count + n
        delta = mean - self.mean
        self.mean = self.mean + delta * (n / both)
        self.moment = self.moment + var * n + delta * delta * (self.count * n / both)
        self.count = both

    def result(self) -> PopulationStatistics:
        return PopulationStatistics(self.mean, self.moment / (self.count - 1), self.count)


def _double(a: Any) -> Any:
    return ops.astype(a, float64)


def estimate_population(
    model: Module,
    batches: Iterable[Any],
    *,
    method: str = "average",
    layerwise: bool = False,
    update: bool = True,
    inputs: Callable[[Any], Any] | None = None,
) -> dict[str, PopulationStatistics]:
    """Population statistics of every batch norm layer of `model`, from data.

    The model runs in evaluation mode (no dropout), but batch norm layers whose population is not
    known yet normalise by the batch.

    Args:
        model: holds `BatchNorm` layers with a population estimate.
        batches: what the model is called with; of tuples and lists the first element. For
            `layerwise` it is gone through once per layer, so it must not be an iterator.
        method: "average": means of the batches' statistics, the paper's procedure (algorithm 2);
            "moments": the exact mean and variance of all the data.
        layerwise: one pass for each layer, in order of execution, with the layers before it
            already normalising by their population: each sees what it will see in evaluation.
            Otherwise one pass for all.
        update: write the result into running_mean and running_var, and the number of batches
            into num_batches_tracked; False leaves the model as it was.
        inputs: makes the argument (or the tuple of arguments) of the model from a batch.

    Returns:
        For each layer that was called, by its name in the model, its `PopulationStatistics`.

    Raises:
        ValueError: no such layer, no batch, an unknown method, an iterator for several passes, a
            batch with one value per channel, or NaN or Inf in a layer's input.

    Source: Ioffe and Szegedy, 2015, algorithm 2 and section 3.1.
    """
    if method not in _METHODS:
        raise ValueError(f"estimate_population: method must be one of {_METHODS}, got {method!r}")
    layers = {
        name: m
        for name, m in model.named_modules()
        if isinstance(m, BatchNorm) and m.running_mean is not None
    }
    if not layers:
        raise ValueError(
            f"estimate_population: {type(model).__name__} holds no BatchNorm with an estimate"
        )
    if layerwise and iter(batches) is batches:
        raise ValueError(
            "estimate_population: layerwise goes through the batches once per layer; pass a list "
            f"or a loader, not the iterator {type(batches).__name__}"
        )
    calls = _Calls(model, batches, inputs or _first)
    found: dict[str, PopulationStatistics] = {}
    kept = {name: [b.detach() for b in layer.buffers()] for name, layer in layers.items()}
    with _evaluation(model, layers.values()):
        pending = dict(layers)
        while pending:
            done = _one_pass(calls, pending, method, layerwise)
            for name, statistics in done.items():
                found[name] = statistics
                _write(layers[name], statistics, calls.count)
                layers[name].normalize_with = "population"
                del pending[name]
            if not layerwise or not done:
                break
    if not update:
        for name, buffers in kept.items():
            for buffer, old in zip(layers[name].buffers(), buffers, strict=True):
                buffer._data = old._data
    return found


def compare_population(
    model: Module, batches: Iterable[Any], **options: Any
) -> list[PopulationComparison]:
    """Each layer's moving average against its population on `batches`; the model stays as it is.

    Options and errors are those of `estimate_population`. A mean off by a good part of σ, or a
    ratio of variances far from 1, means that evaluation does not see what training saw: estimate
    the population, or train on with a larger decay.
    """
    found = estimate_population(model, batches, update=False, **options)
    layers = dict(model.named_modules())
    rows = []
    for name, population in found.items():
        layer = layers[name]
        shift = ops.abs(_double(layer.running_mean) - population.mean) / ops.sqrt(
            population.var + layer.eps
        )
        ratio = (_double(layer.running_var) + layer.eps) / (population.var + layer.eps)
        rows.append(
            PopulationComparison(
                name,
                float(ops.max(shift)),
                float(ops.min(ratio)),
                float(ops.max(ratio)),
                int(ops.argmax(ops.reshape(shift, (-1,)))),
            )
        )
    return rows


# -------------------------------------------------------------------------------------- steps


class _Reached(Exception):
    """The layer of a pass has its statistics: the rest of the forward is not needed."""


class _Calls:
    """Runs the model on all batches."""

    def __init__(self, model: Module, batches: Iterable[Any], inputs: Callable[[Any], Any]) -> None:
        self.model, self.batches, self.inputs = model, batches, inputs
        self.count = 0

    def __call__(self) -> None:
        self.count = 0
        for batch in self.batches:
            self.count += 1
            arguments = self.inputs(batch)
            with suppress(_Reached):
                self.model(*(arguments if isinstance(arguments, tuple) else (arguments,)))
        if self.count == 0:
            raise ValueError("estimate_population: there is no batch")


def _first(batch: Any) -> Any:
    return batch[0] if isinstance(batch, tuple | list) else batch


def _one_pass(
    calls: _Calls, pending: dict[str, BatchNorm], method: str, only_first: bool
) -> dict[str, PopulationStatistics]:
    """Statistics of the layers that are called, or only of the one that is called first."""
    gathered: dict[str, Any] = {}

    def collector(name: str) -> Callable[[BatchStatistics], None]:
        def collect(statistics: BatchStatistics) -> None:
            _check(name, statistics)
            if only_first and gathered and name not in gathered:
                raise _Reached
            if name not in gathered:
                gathered[name] = _Average() if method == "average" else _Moments()
            gathered[name].add(statistics)

        return collect

    for name, layer in pending.items():
        layer._collect = collector(name)
    calls()
    return {name: accumulator.result() for name, accumulator in gathered.items()}


def _check(name: str, statistics: BatchStatistics) -> None:
    few = statistics.count <= 1
    if few if isinstance(few, bool) else bool(ops.any(few)):
        raise ValueError(f"estimate_population: {name!r} got a batch with one value in a channel")
    if not bool(ops.all(ops.isfinite(statistics.mean + statistics.var))):
        raise ValueError(f"estimate_population: NaN or Inf in the input of {name!r}")


@contextmanager
def _evaluation(model: Module, layers: Iterable[BatchNorm]) -> Iterator[None]:
    """Evaluation mode, batch norm by the batch; everything is as before afterwards."""
    layers = list(layers)
    modes = [(m, m.training) for m in model.modules()]
    controls = [(layer, layer.normalize_with, layer.frozen) for layer in layers]
    model.eval()
    for layer in layers:
        layer.normalize_with, layer.frozen = "batch", False
    try:
        with no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
        for layer, source, frozen in controls:
            layer.normalize_with, layer.frozen, layer._collect = source, frozen, None


def _write(layer: BatchNorm, statistics: PopulationStatistics, batches: int) -> None:
    """New arrays for the buffers; the old ones stay as they are for whoever holds them."""
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.num_batches_tracked is not None
    for buffer, value in (
        (layer.running_mean, statistics.mean),
        (layer.running_var, statistics.var),
        (layer.num_batches_tracked, ops.zeros_like(layer.num_batches_tracked) + batches),
    ):
        buffer._data = ops.astype(value, buffer.dtype)._data
