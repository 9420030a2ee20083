"""Instruments for looking into a network while it learns; they work on any `Module`.

    with Recorder(model, ["4"], gradients=True) as seen:
        loss(model(x), y).backward()
    percentiles(seen["4"].input, (15, 50, 85))      # how the inputs of a layer are distributed
    channel_moments(seen["4"].output)               # mean and deviation of each channel
    along_gradient(model, lambda: loss(model(x), y), [0.05, 0.1, 0.2]).predictiveness

Nothing here changes a model for good: hooks are taken out, parameters and buffers are put back to
the bit, and `.grad` is left alone. What is recorded is NumPy, on the host.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from . import autograd, nn, ops, random
from .tensor import Tensor

__all__ = [
    "ActivationNoise",
    "Landscape",
    "MovingAverages",
    "PercentileTrace",
    "Recorder",
    "Recording",
    "along_gradient",
    "channel_moments",
    "gradient",
    "layers",
    "percentiles",
]

Array = NDArray[np.floating[Any]]


def layers(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    """The names of all modules of a kind, in the order of `named_modules`."""
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


def _find(owner: str, model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """The modules of these names; ValueError, with the nearest match, for one there is not."""
    modules = dict(model.named_modules())
    for name in (wanted := list(names)):
        if name not in modules:
            near = difflib.get_close_matches(name, modules, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{owner}: {type(model).__name__} has no module {name!r}{hint}")
    return {name: modules[name] for name in wanted}


# ------------------------------------------------------------------------------ distributions


def percentiles(x: ArrayLike, q: Sequence[float] = (15, 50, 85)) -> Array:
    """The q-th percentiles of every channel, over the samples; linear between two samples.

    Shapes: x (N, *C), result (len(q), *C), in float64.
    Raises ValueError for no samples or a q outside [0, 100].
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(f"percentiles: x must be (N, *C) with samples, got shape {values.shape}")
    if not all(0 <= p <= 100 for p in q):
        raise ValueError(f"percentiles: q must be in [0, 100], got {tuple(q)}")
    return np.percentile(values, q, axis=0)


def channel_moments(x: ArrayLike) -> tuple[Array, Array]:
    """Mean and standard deviation (divisor N) of every channel, over the samples.

    Shapes: x (N, *C), results (*C), in float64. Raises ValueError for no samples.
    """
    values = np.asarray(x, dtype=np.float64)
    if values.ndim == 0 or len(values) == 0:
        raise ValueError(
            f"channel_moments: x must be (N, *C) with samples, got shape {values.shape}"
        )
    return values.mean(axis=0), values.std(axis=0)


class PercentileTrace:
    """Percentiles of a layer's channels over time, and how far they wander.

    Attributes:
        steps: when they were taken.
        values: (T, 3, *C): the lower, the median and the upper one at each step.

    Source: Ioffe and Szegedy, 2015, figure 1b, c, where they are 15, 50 and 85.
    """

    def __init__(self, lower: float = 15, upper: float = 85) -> None:
        if not 0 <= lower < 50 < upper <= 100:
            raise ValueError(
                "PercentileTrace: needs 0 <= lower < 50 < upper <= 100, "
                f"got lower={lower}, upper={upper}"
            )
        self.q = (lower, 50, upper)
        self.steps: list[int] = []
        self._rows: list[Array] = []

    def add(self, step: int, x: ArrayLike) -> None:
        """Take the percentiles of x (N, *C)."""
        self.add_percentiles(step, percentiles(x, self.q))

    def add_percentiles(self, step: int, rows: ArrayLike) -> None:
        """Take percentiles (3, *C) that were computed before."""
        self._rows.append(np.asarray(rows, dtype=np.float64))
        self.steps.append(step)

    @property
    def values(self) -> Array:
        """(T, 3, *C); ValueError before the first `add`."""
        if not self._rows:
            raise ValueError("PercentileTrace: nothing has been added yet")
        return np.stack(self._rows)

    @property
    def spread(self) -> Array:
        """Upper less lower percentile at each step, (T, *C)."""
        return self.values[:, 2] - self.values[:, 0]

    @property
    def median_drift(self) -> Array:
        """The range of the median over time, max - min, (*C)."""
        return np.ptp(self.values[:, 1], axis=0)

    @property
    def relative_drift(self) -> Array:
        """`median_drift` in units of the spread's mean over time, (*C): free of the scale."""
        return self.median_drift / self.spread.mean(axis=0)


# -------------------------------------------------------------------------------------- hooks


@dataclass
class Recording:
    """The latest call of a module: arrays of its first input, its output and what came back.

    `gradient` is that of the loss by the output; None until a backward pass, or if not asked for.
    """

    input: Array
    output: Array
    gradient: Array | None = None


class Recorder:
    """Records the latest call of modules, by name, while the `with` block lasts.

    Args:
        model: any module.
        names: which of its modules, by their dotted names; "" is the model.
        gradients: also record the gradients that arrive at their outputs.

    Raises ValueError for a name that the model has not; KeyError for one that was not called.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], *, gradients: bool = False) -> None:
        self._modules = _find("Recorder", model, names)
        self._gradients = gradients
        self._recordings: dict[str, Recording] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> Recorder:
        for name, module in self._modules.items():
            self._handles.append(module.register_forward_hook(self._hook(name)))
        return self

    def __exit__(self, *exc: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def __getitem__(self, name: str) -> Recording:
        if name not in self._recordings:
            raise KeyError(f"Recorder: {name!r} has not been called; {list(self._recordings)} have")
        return self._recordings[name]

    def _hook(self, name: str) -> Callable[..., None]:
        def record(module: nn.Module, args: tuple[Any, ...], result: Tensor) -> None:
            seen = Recording(_copy(args[0]), _copy(result))
            self._recordings[name] = seen
            if self._gradients and result.requires_grad:
                result.register_hook(lambda g: setattr(seen, "gradient", _copy(g)))

        return record


def _copy(x: Tensor) -> Array:
    return np.array(x.detach().numpy())


class ActivationNoise:
    """Adds noise to the outputs of modules in training, with moments that change at every step.

        y ← a·y + b,   a ~ N(s_c, scale²), b ~ N(m_c, shift²) for each sample and channel
        s_c ~ U(1 - scale, 1 + scale),  m_c ~ U(-shift, shift) for each channel, anew at each call

    So every unit's distribution shifts and stretches from one step to the next: a covariate shift
    made on purpose. Draws come from the program's random stream; nothing is added in evaluation.

    Source: after Santurkar et al., 2018, section 2.2 and appendix A.
    """

    def __init__(
        self, model: nn.Module, names: Iterable[str], *, shift: float, scale: float
    ) -> None:
        if not (shift >= 0 and scale >= 0):
            raise ValueError(f"ActivationNoise: needs shift and scale >= 0, got {shift}, {scale}")
        self._modules = _find("ActivationNoise", model, names)
        self.shift, self.scale = shift, scale
        self._handles: list[Any] = []

    def __enter__(self) -> ActivationNoise:
        self._handles = [m.register_forward_hook(self._disturb) for m in self._modules.values()]
        return self

    def __exit__(self, *exc: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _disturb(self, module: nn.Module, args: tuple[Any, ...], result: Tensor) -> Tensor | None:
        if not module.training:
            return None
        draw = {"dtype": result.dtype, "device": result.backend}
        channels = (1, *result.shape[1:])
        stretch = 1 + self.scale * random.uniform(channels, -1, 1, **draw)
        offset = self.shift * random.uniform(channels, -1, 1, **draw)
        a = stretch + self.scale * random.normal(result.shape, **draw)
        b = offset + self.shift * random.normal(result.shape, **draw)
        return a * result + b


class MovingAverages:
    """Population estimates of a model's batch norm layers with several decays at once.

    While the `with` block lasts each training batch moves an estimate for every decay, as
    `BatchNorm(decay=…)` would: running = decay·running + (1 - decay)·batch, from mean 0 and
    variance 1. `write(decay)` puts one of them into the layers. The layers have features along
    axis 1, or (N, C) inputs.
    """

    def __init__(self, model: nn.Module, decays: Iterable[float]) -> None:
        self._layers = [m for m in model.modules() if isinstance(m, nn.BatchNorm)]
        self.decays = list(decays)
        if not self._layers or not self.decays:
            raise ValueError("MovingAverages: needs a model with BatchNorm layers, and decays")
        self._estimates = [
            {d: (np.zeros(m.num_features), np.ones(m.num_features)) for d in self.decays}
            for m in self._layers
        ]
        self._handles: list[Any] = []

    def __enter__(self) -> MovingAverages:
        for layer, estimates in zip(self._layers, self._estimates, strict=True):
            self._handles.append(layer.register_forward_pre_hook(_observer(estimates)))
        return self

    def __exit__(self, *exc: object) -> None:
        while self._handles:
            self._handles.pop().remove()

    def write(self, decay: float) -> None:
        """Put the estimates of a decay into running_mean and running_var of every layer."""
        if decay not in self.decays:
            raise ValueError(f"MovingAverages: decay must be one of {self.decays}, got {decay}")
        for layer, estimates in zip(self._layers, self._estimates, strict=True):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            mean, var = (a.astype(np.float32) for a in estimates[decay])
            layer.running_mean.assign(ops.asarray(mean, device=layer.running_mean.backend))
            layer.running_var.assign(ops.asarray(var, device=layer.running_var.backend))


def _observer(estimates: dict[float, tuple[Array, Array]]) -> Callable[..., None]:
    def observe(module: nn.Module, args: tuple[Any, ...]) -> None:
        if not module.training:
            return
        x = args[0].detach().numpy().astype(np.float64)
        axes = (0, *range(2, x.ndim))
        mean, var = x.mean(axis=axes), x.var(axis=axes, ddof=1)
        for d, (old_mean, old_var) in estimates.items():
            estimates[d] = (d * old_mean + (1 - d) * mean, d * old_var + (1 - d) * var)

    return observe


# ---------------------------------------------------------------------------------- landscape


def gradient(model: nn.Module, loss: Callable[[], Tensor]) -> tuple[float, list[Tensor]]:
    """The loss and its gradient by the model's parameters that learn; `.grad` is left alone."""
    value = loss()
    wanted = [p for p in model.parameters() if p.requires_grad]
    found = autograd.grad(value, wanted)
    return float(value), list(found)


@dataclass(frozen=True)
class Landscape:
    """The loss and its gradient along a straight way downhill from where the model is.

    With θ the parameters, g = ∇L(θ) and η the step sizes:

    Attributes:
        loss: L(θ).
        norm: ‖g‖, over all parameters as one vector.
        step_sizes: η.
        losses: L(θ - η·g).
        changes: ‖∇L(θ - η·g) - g‖.
    """

    loss: float
    norm: float
    step_sizes: tuple[float, ...]
    losses: tuple[float, ...]
    changes: tuple[float, ...]

    @property
    def loss_range(self) -> float:
        """max L(θ - η·g) - min L(θ - η·g): how much the loss varies along the way."""
        return max(self.losses) - min(self.losses)

    @property
    def predictiveness(self) -> float:
        """max ‖∇L(θ - η·g) - g‖: by how much the gradient at θ misleads; 0 is perfect."""
        return max(self.changes)

    @property
    def smoothness(self) -> float:
        """max ‖∇L(θ - η·g) - g‖/(η·‖g‖): the Lipschitz constant of the gradient along the way.

        NaN where the gradient is 0.
        """
        if self.norm == 0:
            return float("nan")
        pairs = zip(self.changes, self.step_sizes, strict=True)
        return max(change / (eta * self.norm) for change, eta in pairs)


def along_gradient(
    model: nn.Module, loss: Callable[[], Tensor], step_sizes: Sequence[float]
) -> Landscape:
    """Walk from the model's parameters against the gradient, and come back.

    Args:
        model: its parameters that require a gradient are moved, and put back; so are its buffers.
        loss: the loss of the model on a batch, a tensor of one element, computed anew at each
            call. With dropout or other randomness in it the numbers are of little use.
        step_sizes: positive numbers η.

    Raises ValueError for no step sizes or one that is not positive.
    Source: Santurkar et al., "How Does Batch Normalization Help Optimization?", 2018, figure 4.
    """
    sizes = tuple(float(eta) for eta in step_sizes)
    if not sizes or not all(eta > 0 for eta in sizes):
        raise ValueError(f"along_gradient: step_sizes must be positive numbers, got {sizes}")
    wanted = [p for p in model.parameters() if p.requires_grad]
    with _kept(model):
        start, g = gradient(model, loss)
        origin = [ops.asarray(p.detach(), copy=True) for p in wanted]
        losses, changes = [], []
        for eta in sizes:
            for p, at, direction in zip(wanted, origin, g, strict=True):
                p.assign(at - eta * direction)
            value, there = gradient(model, loss)
            losses.append(value)
            changes.append(_norm([a - b for a, b in zip(there, g, strict=True)]))
    return Landscape(start, _norm(g), sizes, tuple(losses), tuple(changes))


def _norm(tensors: Sequence[Tensor]) -> float:
    return float(np.sqrt(sum(float((t.astype("float64") ** 2).sum()) for t in tensors)))


@contextmanager
def _kept(model: nn.Module) -> Iterator[None]:
    """Parameters and buffers are afterwards what they were before, to the bit."""
    tensors = [*model.parameters(), *model.buffers()]
    before = [ops.asarray(t.detach(), copy=True) for t in tensors]
    try:
        yield
    finally:
        for t, old in zip(tensors, before, strict=True):
            t.assign(old)
