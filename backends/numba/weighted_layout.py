"""In which form the kernels see weighted arrays: that of `layout`, and the weights beside them.

Weights may be as large as x, but most often are the same for all channels: then the kernels get
one for each row of channels, or one run for all of them.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from .layout import Form, form_of
from .vectors import STAT, flat


@functools.lru_cache(maxsize=1024)
def _unmasked(plan: NormalizationPlan) -> NormalizationPlan:
    """The plan without its mask: padding is a matter of values, not of the form of arrays."""
    given = {f.name: getattr(plan, f.name) for f in fields(plan) if f.init}
    return NormalizationPlan(**given | {"masked": False})


@functools.lru_cache(maxsize=1024)
def _lengths(
    weights: tuple[int, ...], shape: tuple[int, ...], order: tuple[int, ...], plan: Any
) -> tuple[int, ...]:
    """To which lengths weights of a shape are spread, axes as in `order`: 1 along all channels
    where they are the same for all, else those of x."""
    channels = list[int]()
    for a in reversed([a for a in order if shape[a] != 1]):
        if a in plan.axis:
            channels.append(a)
        elif channels:
            break  # what is kept further out are groups
    shared = all(weights[a] == 1 for a in channels)
    return tuple([1 if shared and a in channels else shape[a] for a in order])


def count_of(weights: Any, shape: tuple[int, ...], plan: NormalizationPlan) -> Any:
    """Σ weights of each statistic, a vector in float64, from weights that are not yet spread."""
    times = 1
    for a in plan.reduced:
        times *= shape[a] if weights.shape[a] == 1 else 1
    total = weights.sum(plan.reduced, dtype=np.float64) * times
    return np.ascontiguousarray(np.broadcast_to(total, plan.kept(shape))).reshape(-1)


@dataclass(frozen=True)
class Weighted:
    """An input and its weights as kernels see them.

    Attributes:
        form: that of x.
        dtype: of the statistics.
        x, weights: (G, R, W) and (G, R, V), or (G, N, C, L) and (G, N, V, L).
    """

    form: Form
    dtype: Any
    x: Any
    weights: Any

    @staticmethod
    def of(x: Any, weights: Any, plan: NormalizationPlan) -> Weighted | None:
        """None where no kernel takes x."""
        form = None if plan.ghost is not None else form_of(x, _unmasked(plan))
        if form is None:
            return None
        dtype = STAT[x.dtype.char]
        lengths = _lengths(weights.shape, x.shape, form.order, plan)
        spread = np.broadcast_to(weights.transpose(form.order), lengths)
        w = np.array(spread, dtype, order="C")
        middle = form.shape[:2]
        w = w.reshape(*middle, -1) if form.rows else w.reshape(*middle, -1, form.shape[3])
        return Weighted(form, dtype, form.view(x, dtype), w)

    def vector(self, a: Any, value: float) -> Any:
        """A parameter as a vector."""
        return flat(a, self.form.parameters, value, self.dtype)

    def added(self, residual: Any) -> tuple[Any, int]:
        """A residual as kernels see it, and whether there is one."""
        return (self.x, 0) if residual is None else (self.form.view(residual, self.dtype), 1)

    def slabs(self, a: Any, channels: int) -> Any:
        """x, or an array like it or like its weights, as slabs; rows are turned into them."""
        if not self.form.rows:
            return a
        groups, width = a.shape[0], a.shape[2]
        here = width * channels // (groups * self.x.shape[2])  # 1, or the channels of a group
        return np.ascontiguousarray(a.reshape(groups, 1, -1, here).swapaxes(2, 3))

    def unturned(self, turned: Any, out: Any) -> None:
        """Slabs stored in `out`, as rows are seen."""
        out.reshape(len(turned), -1, turned.shape[2])[:] = turned[:, 0].swapaxes(1, 2)
