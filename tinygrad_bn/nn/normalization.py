"""Batch normalization layers."""

from __future__ import annotations

from typing import Any, Self

from .. import ops
from ..autograd import is_checkpointing, is_recomputing
from ..backend.normalization_plan import NormalizationPlan, normalization_plan
from . import normalization_functional as F
from .checks import check_size
from .normalization_checks import REFUSED, check_decay, one_of, refuse_momentum
from .normalization_inputs import check_input
from .parameter import Parameter
from .running_statistics import RunningStatistics

_SOURCES = ("auto", "batch", "population")
_PLANNED = ("axis", "eps", "activation", "slope", "ghost_size")
"""Attributes that a plan is made of."""


class BatchNorm(RunningStatistics):
    """Batch normalization of any layout: act(weight·(x - mean)/√(var + eps) + bias).

    Three things are separate: whose statistics normalise (`normalize_with`), whether the
    population estimate learns from the batch (`update_statistics`, in training only), and
    whether weight and bias learn (`affine`, `scale`, `shift`, their `requires_grad`).

    Shapes: x any; weight, bias, running_mean and running_var have that of its axes `axis`.

    Args:
        num_features: the length of the kept axis, or a tuple of lengths for several.
        axis: the axis or axes with features of their own; all others are averaged over.
        eps: added to the variance.
        decay: the weight of the old estimate: running = decay·running + (1 - decay)·batch;
            None averages all batches evenly.
        affine: whether there are weight and bias; `scale` and `shift` decide for each by itself.
        track_running_stats: whether there is a population estimate at all; without one the batch
            normalises in evaluation too.
        normalize_with: "batch", "population", or "auto": the batch in training.
        update_statistics: whether training batches move the population estimate.
        single_value: what to do by batch with one value per channel, which has no variance:
            "error", or "population" to normalise by the estimate and leave it alone.
        activation, slope: None, "relu" or "leaky_relu" after the affine map, in the same step.
        ghost_size: groups of so many samples have statistics of their own.
        name: shown by `repr` and in errors, to tell the layers of a model apart.
        momentum: refused; the message says how to convert it to `decay`.
        dtype, backend: of parameters and buffers; default float32 on the default backend.

    Buffers (PyTorch's names): running_mean, running_var (unbiased, m/(m - 1), starts at one),
    num_batches_tracked; and num_batches_skipped (not saved): for each channel how many batches
    held NaN or Inf there and were not taken into its estimate.

    Raises:
        ValueError: in forward, for an x that does not fit, or one value per channel.

    Source: Ioffe and Szegedy, "Batch Normalization", 2015. All of it: docs/batchnorm.md.
    """

    ranks: tuple[int, ...] = ()
    weight: Parameter | None
    bias: Parameter | None
    _plans: dict[int, NormalizationPlan]  # by the number of axes of x, negative with a mask

    def __init__(
        self,
        num_features: int | tuple[int, ...],
        *,
        axis: int | tuple[int, ...] = 1,
        eps: float = 1e-5,
        decay: float | None = 0.9,
        affine: bool = True,
        scale: bool | None = None,
        shift: bool | None = None,
        track_running_stats: bool = True,
        normalize_with: str = "auto",
        update_statistics: bool = True,
        single_value: str = "error",
        activation: str | None = None,
        slope: float = 0.01,
        ghost_size: int | None = None,
        name: str | None = None,
        momentum: Any = REFUSED,
        dtype: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        refuse_momentum(owner, momentum)
        self.num_features, self.axis = num_features, axis
        lengths = num_features if isinstance(num_features, tuple) else (num_features,)
        shape = tuple([check_size(owner, "num_features", n) for n in lengths])
        if len(shape) != (1 if isinstance(axis, int) else len(axis)):
            raise ValueError(
                f"{owner}: num_features must have a length for each axis of axis={axis!r}, "
                f"got {num_features!r}"
            )
        self._lengths = shape
        self.eps, self.decay = eps, check_decay(owner, decay)
        self.normalize_with = one_of(owner, "normalize_with", normalize_with, _SOURCES)
        self.single_value = one_of(owner, "single_value", single_value, ("error", "population"))
        self.update_statistics = update_statistics
        self.activation, self.slope, self.ghost_size = activation, slope, ghost_size
        self.frozen, self._affine_frozen, self.name = False, False, name
        options = {"dtype": dtype, "device": backend}
        scale, shift = [affine if given is None else given for given in (scale, shift)]
        self.register_parameter("weight", Parameter(ops.ones(shape, **options)) if scale else None)
        self.register_parameter("bias", Parameter(ops.zeros(shape, **options)) if shift else None)
        self._make_buffers(shape if track_running_stats else None, options)

    # -------------------------------------------------------------------------- controls

    def freeze(self, *, affine: bool = False) -> Self:
        """Normalise by the population estimate and leave it alone, in training mode too.

        `train()` does not undo it, `unfreeze()` does. With `affine`, weight and bias stop
        gathering gradients as well.
        """
        if self.running_mean is None:
            raise ValueError(
                f"{type(self).__name__}: freeze() needs a population estimate, and this layer has "
                "track_running_stats=False"
            )
        self.frozen = True
        if affine:
            self._affine_frozen = True
            self.requires_grad_(False)
        return self

    def unfreeze(self) -> Self:
        """Undo `freeze()`; after `freeze(affine=True)` weight and bias gather gradients again."""
        self.frozen = False
        if self._affine_frozen:
            self._affine_frozen = False
            self.requires_grad_(True)
        return self

    @property
    def normalizes_by_batch(self) -> bool:
        """Whether the next forward uses the statistics of its batch."""
        return self._modes()[0]

    @property
    def updates(self) -> bool:
        """Whether the next forward moves the population estimate."""
        return self._modes()[1]

    def _modes(self) -> tuple[bool, bool]:
        """Whether the next forward normalises by its batch, and whether it moves the estimate."""
        if self.running_mean is None:
            return True, False
        if self.frozen:
            return False, False
        training, source = self.training, self.normalize_with
        return (
            training if source == "auto" else source == "batch",
            training and self.update_statistics and not is_recomputing(),
        )

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if name in _PLANNED:
            object.__setattr__(self, "_plans", {})

    # --------------------------------------------------------------------------- forward

    def forward(
        self, x: Any, *, mask: Any = None, weights: Any = None, residual: Any = None
    ) -> Any:
        """x normalised; mask, weights and residual as in `nn.functional.batch_norm`."""
        x = check_input("batch_norm", x)
        shape = x._data.shape
        n = len(shape)
        plan = self._plans.get(n if mask is None else -n)
        if plan is None:
            plan = self._new_plan(shape, mask is not None)
        if plan.kept(shape) != self._lengths:
            raise self._misfit(shape)
        values = plan.extent(shape)
        by_batch, updates = self._modes()
        updates = updates and values > 1
        if is_checkpointing():
            self._previous = self._arrays() if updates else None
        fewest = values if self.ghost_size is None else self._fewest(shape, values)
        if by_batch and fewest == 1 and self._collect is None:
            if self.single_value == "error" or self.running_mean is None:
                raise ValueError(
                    f"{self!r}: one value per channel has no variance, got x of shape {shape}; "
                    "use a larger batch, or single_value='population' to normalise such a batch "
                    "by the population estimate"
                )
            by_batch = updates = False
        if not by_batch:
            y = self._by_population(x, mask, residual)
            if updates:
                found = F.batch_statistics(x, axis=self.axis, mask=mask, weights=weights)
                self._observe(*found.raw())
            return y
        alike = mask is None and weights is None and self.ghost_size is None
        y, mean, low, var, count, moved = self._by_batch(
            x,
            plan,
            mask,
            weights,
            residual,
            self._to_move(x, values) if updates and alike else None,
        )
        count = values if count is None else count
        if moved is not None:
            self._move(moved)
        elif updates:
            self._observe(mean, low, var, count)
        if self._collect is not None:
            self._collect(F.BatchStatistics.of(x._backend, mean, low, var, count))
        return y

    def _fewest(self, shape: tuple[int, ...], values: int) -> int:
        """How many values per channel the smallest ghost batch has."""
        assert self.ghost_size is not None
        if values == 0:
            return values
        kept = (self.axis,) if isinstance(self.axis, int) else self.axis
        first = next(i for i in range(len(shape)) if i not in {a % len(shape) for a in kept})
        rest = shape[first] % self.ghost_size
        return (rest or self.ghost_size) * (values // shape[first])

    def _by_batch(
        self,
        x: Any,
        plan: NormalizationPlan,
        mask: Any,
        weights: Any,
        residual: Any,
        estimate: Any,
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """As `batch_norm_by_plan`; who does not move the estimate leaves that to the caller."""
        return F.batch_norm_by_plan(
            x, self.weight, self.bias, plan, mask, weights, residual, estimate
        )

    def _by_population(self, x: Any, mask: Any, residual: Any) -> Any:
        y = F.normalize_by(
            x,
            *self._estimate(),
            self.weight,
            self.bias,
            axis=self.axis,
            eps=self.eps,
            activation=self.activation,
            slope=self.slope,
            residual=residual,
        )
        return y if mask is None else F.blank(y, mask, self.axis)

    def _new_plan(self, shape: tuple[int, ...], masked: bool) -> NormalizationPlan:
        """The plan for an x of `shape`, kept for all with as many axes; ValueError if there can be
        none."""
        n = len(shape)
        if self.ranks and n not in self.ranks:
            wanted = " or ".join(str(r) for r in self.ranks)
            raise ValueError(
                f"{type(self).__name__}: x must have {wanted} axes, got shape {tuple(shape)}"
            )
        kept = (self.axis,) if isinstance(self.axis, int) else self.axis
        if not all(-n <= a < n for a in kept):
            raise self._misfit(shape)
        plan = normalization_plan(
            n,
            self.axis,
            self.eps,
            activation=self.activation,
            slope=self.slope,
            masked=masked,
            ghost=self.ghost_size,
        )
        self._plans[-n if masked else n] = plan
        return plan

    def _misfit(self, shape: tuple[int, ...]) -> ValueError:
        return ValueError(
            f"{type(self).__name__}: x must have {self.num_features} features along axis "
            f"{self.axis}, got shape {tuple(shape)}"
        )

    def extra_repr(self) -> str:
        """The size, and what differs from the defaults."""
        parts = [f"{self.num_features}", f"eps={self.eps}", f"decay={self.decay}"]
        defaults = {
            "axis": 1,
            "normalize_with": "auto",
            "update_statistics": True,
            "single_value": "error",
            "activation": None,
            "ghost_size": None,
            "frozen": False,
            "name": None,
        }
        parts += [f"{k}={getattr(self, k)!r}" for k, v in defaults.items() if getattr(self, k) != v]
        if self.weight is None or self.bias is None:
            parts.append(f"scale={self.weight is not None}, shift={self.bias is not None}")
        if self.running_mean is None:
            parts.append("track_running_stats=False")
        return ", ".join(parts)


class _Ranked(BatchNorm):
    """`BatchNorm` with PyTorch's order of arguments, features along axis 1."""

    def __init__(self, num_features: int, eps: float = 1e-5, **options: Any) -> None:
        super().__init__(num_features, eps=eps, **options)


class BatchNorm1d(_Ranked):
    """`BatchNorm` over x (N, C) or (N, C, L); further arguments by keyword, see there."""

    ranks = (2, 3)


class BatchNorm2d(_Ranked):
    """`BatchNorm` over x (N, C, H, W); further arguments by keyword, see there."""

    ranks = (4,)


class BatchNorm3d(_Ranked):
    """`BatchNorm` over x (N, C, D, H, W); further arguments by keyword, see there."""

    ranks = (5,)
