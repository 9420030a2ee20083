"""What a normalization does, apart from its arrays: one plain, hashable value for every kernel."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field, replace

from ..refusal import check_integer, check_number


@dataclass(frozen=True, eq=False)
class NormalizationPlan:
    """Axes and constants of a normalization, with what follows from them worked out once.

    Made by `normalization_plan`, which checks and caches; kernels only read it. Plans are told
    apart by identity, which takes no time: kernels look up by plan what follows from it.

    Attributes:
        ndim: the number of axes of x.
        axis: the axes that statistics keep, ascending; all others are averaged over.
        param_axis: the axes that gamma and beta extend over, ascending (batch norm: `axis`).
        eps: added to the variance.
        center: False for root-mean-square normalization: the mean is not subtracted.
        activation: what follows the affine map: None, "relu" or "leaky_relu".
        slope: of "leaky_relu" for negative arguments.
        masked: positions of weight 0 are padding: not read, output 0, gradient 0.
        ghost: None, or how many samples (along the first averaged axis) share statistics.
        reduced: the axes averaged over, ascending.
        param_reduced: the axes that gamma and beta do not extend over, ascending.
        nested: gamma and beta extend over axes of the statistics only (batch norm, not layer norm).
        folded: the axes of a statistic (not of x) that gamma then lacks.
        plain: batch norm of the last axis: centred, without ghosts or padding.
        trailing: the statistics broadcast against x as they are; param_trailing the same for gamma.
    """

    ndim: int
    axis: tuple[int, ...]
    param_axis: tuple[int, ...]
    eps: float
    center: bool = True
    activation: str | None = None
    slope: float = 0.01
    masked: bool = False
    ghost: int | None = None
    reduced: tuple[int, ...] = field(init=False)
    param_reduced: tuple[int, ...] = field(init=False)
    nested: bool = field(init=False)
    folded: tuple[int, ...] = field(init=False)
    plain: bool = field(init=False)
    trailing: bool = field(init=False)
    param_trailing: bool = field(init=False)

    def __post_init__(self) -> None:
        derived: dict[str, object] = {
            "reduced": tuple(a for a in range(self.ndim) if a not in self.axis),
            "param_reduced": tuple(a for a in range(self.ndim) if a not in self.param_axis),
            "nested": set(self.param_axis) <= set(self.axis),
            "folded": tuple(i for i, a in enumerate(self.axis) if a not in self.param_axis),
            "plain": self.axis == self.param_axis == (self.ndim - 1,)
            and self.center
            and self.ghost is None
            and not self.masked,
            "trailing": _is_trailing(self.axis, self.ndim),
            "param_trailing": _is_trailing(self.param_axis, self.ndim),
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def extent(self, shape: tuple[int, ...]) -> int:
        """How many elements of an x of `shape` each statistic combines."""
        count = 1
        for a in self.reduced:
            count *= shape[a]
        return count

    def kept(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the statistics of an x of `shape`."""
        axis = self.axis
        return (shape[axis[0]],) if len(axis) == 1 else tuple([shape[a] for a in axis])


def _is_trailing(axes: tuple[int, ...], ndim: int) -> bool:
    return axes == tuple(range(ndim - len(axes), ndim))


@functools.lru_cache(maxsize=1024)
def normalization_plan(
    ndim: int,
    axis: int | tuple[int, ...],
    eps: float,
    *,
    param_axis: tuple[int, ...] | None = None,
    center: bool = True,
    activation: str | None = None,
    slope: float = 0.01,
    masked: bool = False,
    ghost: int | None = None,
    name: str = "batch_norm",
) -> NormalizationPlan:
    """The plan for an x with `ndim` axes; see `NormalizationPlan` for the arguments.

    Raises:
        ValueError: an axis out of range or named twice, eps that is negative or no number,
            an unknown activation, a ghost size below 1.
    """
    kept = _axes(name, axis, ndim)
    check_number(name, "eps", eps)
    if not (eps >= 0 and math.isfinite(eps)):
        raise ValueError(f"{name}: eps must be a finite number >= 0, got {eps!r}")
    if activation not in (None, "relu", "leaky_relu"):
        raise ValueError(
            f"{name}: activation must be None, 'relu' or 'leaky_relu', got {activation!r}"
        )
    check_number(name, "slope", slope)
    if ghost is not None and check_integer(name, "ghost_size", ghost) < 1:
        raise ValueError(f"{name}: a ghost batch has at least 1 sample, got {ghost!r}")
    parameters = kept if param_axis is None else param_axis
    return NormalizationPlan(ndim, kept, parameters, eps, center, activation, slope, masked, ghost)


def _axes(name: str, axis: int | tuple[int, ...], ndim: int) -> tuple[int, ...]:
    given = (axis,) if isinstance(axis, int) else tuple(axis)
    for a in given:
        if not -ndim <= a < ndim:
            raise ValueError(
                f"{name}: axis must lie in [{-ndim}, {ndim}) for an input of {ndim} axes, "
                f"got {axis!r}"
            )
    kept = tuple(sorted(a % ndim for a in given))
    if len(set(kept)) != len(kept):
        raise ValueError(f"{name}: axis names an axis twice: {axis!r}")
    return kept


@functools.lru_cache(maxsize=1024)
def linear_plan(plan: NormalizationPlan) -> NormalizationPlan:
    """The plan without its activation."""
    return replace(plan, activation=None)
