"""Sums and means of the Numba backend: large arrays, along their last axes or down their first."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_reduction import ReductionReference

from .kernels import reduction as kernels

Axis = int | tuple[int, ...] | None

LEAST = 1 << 16
"""Elements below which NumPy's own sum is as quick."""


class NumbaReduction(ReductionReference):
    """Overrides of the reference, by the same names; what they do not take is passed on."""

    def sum(
        self, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        """Σ x, totals in float64."""
        if dtype is not None or x.size < LEAST or x.dtype.char not in "fd" or not x.flags.carray:
            return super().sum(x, axis=axis, dtype=dtype, keepdims=keepdims)
        axes = _normalized(axis, x.ndim)
        first, last = range(len(axes)), range(x.ndim - len(axes), x.ndim)
        if not axes or len(set(axes)) < len(axes) or tuple(axes) not in (tuple(first), tuple(last)):
            return super().sum(x, axis=axis, dtype=dtype, keepdims=keepdims)
        kept = [n for i, n in enumerate(x.shape) if i not in axes]
        out = np.empty(math.prod(kept), x.dtype)
        if tuple(axes) == tuple(last):
            rows = x.reshape(out.size, -1)
            partial = np.empty((out.size, -(-rows.shape[1] // kernels.SPAN)))
            kernels.along_rows(x.size, rows, partial, out)
        else:
            rows = x.reshape(-1, out.size)
            partial = np.zeros((-(-rows.shape[0] // kernels.ROWS), out.size))
            kernels.down_columns(x.size, rows, partial, out)
        return out.reshape(
            [1 if i in axes else n for i, n in enumerate(x.shape)] if keepdims else kept
        )

    def mean(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Σ x / n."""
        if x.size < LEAST or x.dtype.char not in "fd":
            return super().mean(x, axis=axis, keepdims=keepdims)
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return total / x.dtype.type(x.size // total.size)


def _normalized(axis: Axis, ndim: int) -> list[int]:
    """The axes counted from the front, ascending; none of them where one does not exist."""
    given = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    if any(not -ndim <= a < ndim for a in given):
        return []
    return sorted(a % ndim for a in given)
