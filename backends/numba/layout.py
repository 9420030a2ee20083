"""In which form the kernels see an array: rows of channels, or slabs of neighbours.

Axes are taken in the order in which they lie in memory; those of length 1 are left out, and those
that are kept, or averaged over, side by side count as one. What remains is one of the patterns
below (K kept, R averaged over), or there is no kernel for it.

Between kernels that have emptied the caches, the first call of anything takes 3 to 9 µs whatever it
does, and the second little. So arrays and views are made by one function here, NumPy's constructor.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from .kernels import rows, rows_grad, slabs, slabs_grad
from .memory import LEAST, PAGE, Shelf, shelf_of
from .vectors import STAT

_MISSING = {"RK": 1, "KRK": 0, "R": 3, "KR": 2, "RKR": 1, "KRKR": 0}
"""How many leading lengths of a form a pattern leaves out: they are 1."""
_ROWS = ("RK", "KRK")
_KERNELS = {True: (rows.forward, rows_grad.backward), False: (slabs.forward, slabs_grad.backward)}
_ACTIVATION = {None: 0, "relu": 1, "leaky_relu": 2}
WIDE = 64
"""Numbers of a row from which on it is not widened: a tile of `lanes`."""
STRIDE = 256
"""Numbers of a row, multiples of which are a multiple of a quarter of a page."""
RESULTS, GRADIENT = (PAGE // 4, PAGE // 2), PAGE // 4 * 3
"""Places within a page; data of the user's and what other operations make begin at a page."""
FEW = 64
"""Rows that are left as they are."""
MANY = 1024
"""Forms that are remembered."""

_forms: dict[tuple[Any, ...], Form | None] = {}


@dataclass(frozen=True, eq=False)
class Form:
    """How arrays of one shape, dtype and memory layout are handed to kernels.

    Attributes:
        order: the axes as they lie in memory, outermost first.
        inverse: the permutation that undoes it.
        dense: the lengths of the axes in that order.
        shape: what kernels see: (G, R, W) of rows, each of them one or more rows of channels, or
            (G, N, C, L) of slabs.
        rows: which of the two.
        whole: True if the order is that of the axes themselves.
        dtype: that kernels compute in, and of the statistics.
        wide: whether it is another than that of the arrays.
        nbytes: of an array.
        shelf: of `memory`, where large ones get theirs; None for small ones.
        parameters: how many numbers gamma and beta have.
        size: how many elements.
        strided: whether rows are a multiple of STRIDE, so that one column has few places
            within pages.
        places: for results, in turn: what one layer makes is what the next is given.
        kept: the shape of the statistics.
        flat: whether they are vectors.
        eps: the plan's, rounded to `dtype`.
        center, act, slope: the plan's, as kernels take them.
        forward, backward: the kernels, for so many elements.
    """

    order: tuple[int, ...]
    inverse: tuple[int, ...]
    dense: tuple[int, ...]
    shape: tuple[int, ...]
    rows: bool
    whole: bool
    dtype: Any
    wide: bool
    nbytes: int
    shelf: Shelf | None
    parameters: int
    size: int
    strided: bool
    places: Iterator[int]
    kept: tuple[int, ...]
    flat: bool
    eps: float
    center: int
    act: int
    slope: float
    forward: Callable[..., Any]
    backward: Callable[..., Any]

    def view(self, a: Any) -> Any:
        """An array like x as kernels see it; a copy only if it lies otherwise in memory."""
        dtype = self.dtype
        if not self.whole:
            a = a.transpose(self.order)
        if (a.dtype is not dtype and a.dtype != dtype) or not a.flags.carray:
            a = np.array(a, dtype, order="C")
        return ndarray(self.shape, dtype, a)

    def empty(self, place: int = 0) -> tuple[Any, Any]:
        """A new array like x in `dtype`, and how kernels see it; `place` is where it begins in a
        page if it matters (see `memory`): one of `places`, or GRADIENT."""
        memory = None
        if self.shelf is not None:
            memory = self.shelf.lease(self.nbytes, place if self.strided else 0)
        dense = ndarray(self.dense, self.dtype, memory)
        seen = ndarray(self.shape, self.dtype, dense if memory is None else memory)
        return dense if self.whole else dense.transpose(self.inverse), seen

    def narrow(self, out: Any, dtype: Any) -> Any:
        """`out` in the dtype of x."""
        return out if out.dtype == dtype else out.astype(dtype)


def form_of(x: Any, plan: NormalizationPlan) -> Form | None:
    """The form for x, or None if no kernel takes it."""
    key = x.shape, None if x.flags.c_contiguous else _order(x, plan), x.dtype, plan
    try:
        return _forms[key]
    except KeyError:
        if len(_forms) >= MANY:
            _forms.clear()
        _forms[key] = form = _new_form(*key)
        return form


def _order(x: Any, plan: NormalizationPlan) -> tuple[int, ...] | None:
    """The axes as they lie in memory, or None if x is to be copied."""
    order = tuple(sorted(range(x.ndim), key=lambda a: -x.strides[a]))
    return order if x.transpose(order).flags.c_contiguous and _ascends(order, plan) else None


def _ascends(order: tuple[int, ...], plan: NormalizationPlan) -> bool:
    """Whether the kept axes lie in memory in their own order, as statistics do."""
    kept = [a for a in order if a in plan.axis]
    return kept == sorted(kept)


def _new_form(
    shape: tuple[int, ...], order: tuple[int, ...] | None, given: Any, plan: NormalizationPlan
) -> Form | None:
    folded = plan.nested and plan.folded == tuple(range(len(plan.folded)))
    if 0 in shape or not folded or plan.masked or plan.ghost is not None or given.char not in STAT:
        return None
    own = tuple(range(len(shape)))
    axes = own if order is None else order
    labels, lengths = "", list[int]()
    for a in axes:
        label = "K" if a in plan.axis else "R"
        if shape[a] == 1:
            continue
        if labels.endswith(label):
            lengths[-1] *= shape[a]
        else:
            labels += label
            lengths.append(shape[a])
    if labels not in _MISSING:
        return None
    seen = (*(1,) * _MISSING[labels], *lengths)
    inverse = tuple(sorted(own, key=axes.__getitem__))
    dense = tuple([shape[a] for a in axes])
    if labels in _ROWS:
        seen = _widened(*seen)
    dtype, kept = STAT[given.char], plan.kept(shape)
    width, size = math.prod([shape[a] for a in plan.param_axis]), math.prod(shape)
    nbytes = size * dtype.itemsize
    forward, backward = _KERNELS[labels in _ROWS]
    work = size // 2 if labels in _ROWS else size  # threads of rows meet, which has to pay as well
    return Form(
        axes,
        inverse,
        dense,
        seen,
        labels in _ROWS,
        axes == own,
        dtype,
        dtype != given,
        nbytes,
        shelf_of(nbytes) if nbytes >= LEAST else None,
        width,
        size,
        labels in _ROWS and seen[2] % STRIDE == 0,
        itertools.cycle(RESULTS),
        kept,
        len(kept) == 1,
        float(dtype.type(plan.eps)),
        int(plan.center),
        _ACTIVATION[plan.activation],
        plan.slope,
        forward.for_work(work),
        backward.for_work(work),
    )


def _widened(groups: int, rows: int, channels: int) -> tuple[int, int, int]:
    """Short rows side by side, so that loops over a row are worth their beginning and end."""
    while channels < WIDE and rows % 2 == 0 and rows > FEW:
        rows, channels = rows // 2, channels * 2
    return groups, rows, channels
