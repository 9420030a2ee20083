"""In which form the kernels see weighted arrays: that of `layout`, and the weights beside them.

Weights may be as large as x, but most often are the same for all channels: then the kernels get
one for each row of channels, or one run for all of them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from .layout import Form, form_of
from .vectors import flat

LEAST = 32
"""Numbers of a row from which on it is a row of its own if its numbers have one weight."""


@functools.lru_cache(maxsize=1024)
def _unmasked(plan: NormalizationPlan) -> NormalizationPlan:
    """The plan without its mask: padding is a matter of values, not of the form of arrays."""
    return replace(plan, masked=False)


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


@functools.lru_cache(maxsize=1024)
def _form_for(form: Form, channels: int) -> Form:
    """The form with rows of `channels` numbers, which have one weight, where they are long enough
    for loops over them."""
    groups = form.shape[0]
    if not form.rows or channels < LEAST:
        return form
    rows = math.prod(form.shape) // (groups * channels)
    return replace(form, shape=(groups, rows, channels))


@dataclass(frozen=True)
class Weighted:
    """An input and its weights as kernels see them.

    Attributes:
        shape: of x itself.
        form: that of x.
        x, weights: (G, R, W) and (G, R, V), or (G, N, C, L) and (G, N, V, L).
    """

    shape: tuple[int, ...]
    form: Form
    x: Any
    weights: Any

    @staticmethod
    def of(x: Any, weights: Any, plan: NormalizationPlan) -> Weighted | None:
        """None where no kernel takes x; weights None are 1."""
        form = None if plan.ghost is not None else form_of(x, _unmasked(plan))
        if form is None:
            return None
        if weights is None:
            weights = np.ones((1,) * x.ndim, form.dtype)
        lengths = _lengths(weights.shape, x.shape, form.order, plan)
        spread = np.broadcast_to(weights.transpose(form.order), lengths)
        w = np.array(spread, form.dtype, order="C")
        if w.size < x.size:
            form = _form_for(form, x.size // w.size)
        w = w.reshape(*form.shape[:2], -1, *form.shape[3:])
        return Weighted(x.shape, form, form.view(x), w)

    def vector(self, a: Any, value: float) -> Any:
        """A parameter as a vector."""
        return flat(a, self.form.parameters, value, self.form.dtype)

    def added(self, residual: Any) -> tuple[Any, int]:
        """A residual as kernels see it, and whether there is one."""
        return (self.x, 0) if residual is None else (self.form.view(residual), 1)

    def total(self, weights: Any, plan: NormalizationPlan) -> Any:
        """Σ weights of each statistic, a vector in float64, from weights that are not spread."""
        shape, times = self.shape, 1
        for a in plan.reduced:
            times *= shape[a] if weights.shape[a] == 1 else 1
        weights = weights.astype(self.form.dtype, copy=False)
        total = weights.sum(plan.reduced, dtype=np.float64) * times
        return np.ascontiguousarray(np.broadcast_to(total, plan.kept(shape))).reshape(-1)
