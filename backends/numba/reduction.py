"""Reductions of the Numba backend over axes that lie together in memory.

Sums, means and variances have their totals in float64. An axis of length 1 makes no difference, and
neighbouring axes that are all kept or all reduced count as one; what remains is one of the patterns
below (K kept, R reduced), or the reduction is NumPy's.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.backend.reference_reduction import ReductionReference

from .kernels import extremes
from .kernels import reduction as kernels
from .layout import form_of

Axis = int | tuple[int, ...] | None

LEAST = 1 << 16
"""Elements below which NumPy's own reduction is as quick, unless rows are narrow."""
LEAST_NARROW = 1 << 11
"""The same where they are: NumPy spends tens of nanoseconds on each."""
NARROW = {"R": 256, "K": 64}
"""Elements of a row below which it is narrow, if it is reduced itself, or kept."""
WIDE = 256
"""Columns from which on NumPy's own extremes are quicker, and as long as rows are made."""
FEW = 64
"""Rows below which NumPy's own sums of wide columns are quicker."""
TALL = 64
"""Rows from which on narrow ones are laid side by side."""

_ALONG, _DOWN, _BETWEEN = ("R", "KR"), ("RK", "KRK"), "RKR"


class Pattern(NamedTuple):
    """What reducing over some axes means for the memory of an array.

    Attributes:
        labels: kept and reduced lengths in turn, outermost first, by their letters.
        dense: those lengths.
        narrow: whether rows, the innermost lengths, are narrow.
        axes: the axes that are reduced, from the front.
        out: the shape of the result.
        kept: that shape with the reduced axes at length 1.
    """

    labels: str
    dense: tuple[int, ...]
    narrow: bool
    axes: tuple[int, ...]
    out: tuple[int, ...]
    kept: tuple[int, ...]

    def rows(self) -> tuple[int, int]:
        """Rows and their length, where every number is made of whole rows."""
        return math.prod(self.dense[:-1]), self.dense[-1]

    def matrices(self) -> tuple[int, int, int, int]:
        """Matrices, rows, width of a row and columns, where numbers are made of columns.

        Narrow rows are taken several side by side, which loops over a row are worth more for.
        """
        rows, columns = self.dense[-2:]
        width = columns
        while width < WIDE and rows % 2 == 0 and rows > TALL:
            rows, width = rows // 2, width * 2
        return math.prod(self.dense[:-2]), rows, width, columns


@functools.lru_cache(maxsize=1024)
def pattern_of(shape: tuple[int, ...], axis: Axis) -> Pattern | None:
    """The pattern of reducing over `axis`; None where that is not for kernels."""
    given = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    if 0 in shape or any(not -len(shape) <= a < len(shape) for a in given):
        return None
    axes = tuple(sorted(a % len(shape) for a in given))
    if not axes or len(set(axes)) < len(axes):
        return None
    labels, dense = "", list[int]()
    for a, n in enumerate(shape):
        label = "R" if a in axes else "K"
        if n > 1 and labels.endswith(label):
            dense[-1] *= n
        elif n > 1:
            labels += label
            dense.append(n)
    if labels not in (*_ALONG, *_DOWN, _BETWEEN):
        return None
    out = tuple([n for a, n in enumerate(shape) if a not in axes])
    kept = tuple([1 if a in axes else n for a, n in enumerate(shape)])
    return Pattern(labels, tuple(dense), dense[-1] < NARROW[labels[-1]], axes, out, kept)


def _pattern(x: Any, axis: Axis) -> Pattern | None:
    """The pattern if x is plain memory of a precision that kernels take."""
    if x.dtype.char not in "fd" or not x.flags.carray:
        return None
    return pattern_of(x.shape, axis)


class NumbaReduction(ReductionReference):
    """Overrides of the reference, by the same names; what they do not take is passed on."""

    def sum(
        self, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        """Σ x, totals in float64."""
        pattern = _pattern(x, axis) if x.size >= LEAST_NARROW and dtype is None else None
        if pattern is None or (x.size < LEAST and not pattern.narrow) or _is_flat(pattern):
            return super().sum(x, axis=axis, dtype=dtype, keepdims=keepdims)
        return _total(x, pattern).reshape(pattern.kept if keepdims else pattern.out)

    def mean(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Σ x / n."""
        if x.size < LEAST_NARROW or x.dtype.char not in "fd":
            return super().mean(x, axis=axis, keepdims=keepdims)
        total = self.sum(x, axis=axis, keepdims=keepdims)
        return total / x.dtype.type(x.size // total.size)

    def max(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Greatest element."""
        pattern = _pattern(x, axis) if x.size >= LEAST_NARROW else None
        if pattern is None or not _is_for_kernels(x, pattern):
            return super().max(x, axis=axis, keepdims=keepdims)
        return _extreme(x, pattern, 1).reshape(pattern.kept if keepdims else pattern.out)

    def min(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Smallest element."""
        pattern = _pattern(x, axis) if x.size >= LEAST_NARROW else None
        if pattern is None or not _is_for_kernels(x, pattern):
            return super().min(x, axis=axis, keepdims=keepdims)
        return _extreme(x, pattern, 0).reshape(pattern.kept if keepdims else pattern.out)

    def _variance(self, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
        """That of `batch_statistics`, whose kernels read x once in short sums about a shift."""
        pattern = pattern_of(x.shape, axis) if x.dtype.char in "fd" else None
        if pattern is None:
            return super()._variance(x, axis, correction, keepdims)
        n = x.size // math.prod(pattern.out)
        axes = tuple([a for a in range(x.ndim) if a not in pattern.axes])
        plan = normalization_plan(x.ndim, axes, 0.0)
        if _is_flat(pattern) or n <= correction or form_of(x, plan) is None:
            return super()._variance(x, axis, correction, keepdims)
        _, _, var, _ = self.batch_statistics(x, None, plan=plan)
        if correction:
            var = var * x.dtype.type(n / (n - correction))
        return np.asarray(var).reshape(pattern.kept if keepdims else pattern.out)

    batch_statistics: Any


def _is_flat(pattern: Pattern) -> bool:
    """Whether few rows are reduced to a wide one, which NumPy is quick and exact enough at."""
    return pattern.labels in _DOWN and pattern.dense[-1] >= WIDE and pattern.dense[-2] < FEW


def _is_for_kernels(x: Any, pattern: Pattern) -> bool:
    """Whether a kernel finds extremes quicker than NumPy."""
    if pattern.labels == _BETWEEN:
        return False
    wide = pattern.labels in _DOWN and pattern.dense[-1] >= WIDE
    return pattern.narrow or (x.size >= LEAST and not wide)


def _total(x: Any, pattern: Pattern) -> Any:
    """Sums of a pattern, flat."""
    if pattern.labels in _DOWN:
        matrices, rows, width, columns = pattern.matrices()
        out = np.empty((matrices, columns), x.dtype)
        partial = np.zeros((matrices, -(-rows // kernels.ROWS), width))
        kernels.down_columns(x.size, x.reshape(matrices, rows, width), partial, out)
        return out
    count, length = pattern.rows()
    out = np.empty(count, x.dtype)
    partial = np.empty((count, -(-length // kernels.SPAN)))
    kernels.along_rows(x.size, x.reshape(count, length), partial, out)
    if pattern.labels == _BETWEEN:
        first, channels, _ = pattern.dense
        return np.add.reduce(partial.reshape(first, channels, -1), axis=(0, 2)).astype(x.dtype)
    return out


def _extreme(x: Any, pattern: Pattern, greatest: int) -> Any:
    """Greatest or smallest elements of a pattern, flat."""
    if pattern.labels in _ALONG:
        rows = x.reshape(pattern.rows())
        out = np.empty(rows.shape[0], x.dtype)
        extremes.along_rows(x.size, rows, greatest, out)
        return out
    matrices, rows, width, columns = pattern.matrices()
    out = np.empty((matrices, columns), x.dtype)
    blocks = max(1, min(rows, rows * width // extremes.ELEMENTS))
    ranks = np.empty((matrices, blocks, 2, width), f"i{x.itemsize}")
    extremes.down_columns(x.size, x.reshape(matrices, rows, width), greatest, ranks, out)
    return out
