"""Where CuPy's functions differ from the Array API standard, or from what the reference assumes.

Missing in CuPy 14: `unstack`, `vecdot`; `count_nonzero` without `keepdims`, `sort` and `argsort`
without `descending`, `repeat` with counts in an array. Reductions without an identity refuse every
empty array, sorting and scanning are not defined for them.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_activation import ActivationReference
from tinygrad_bn.backend.reference_reduction import ReductionReference

from .place import Place

Axis = int | tuple[int, ...] | None


class CuPyArrays(ActivationReference, ReductionReference):
    """Overrides by the names of the reference and of the standard."""

    place: Place
    take: Any

    def quiet(self) -> AbstractContextManager[Any]:
        """The device warns of nothing."""
        return nullcontext()

    # --------------------------------------------------------------------------- reductions

    def max(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """CuPy's own but for empty arrays."""
        if 0 in x.shape:
            return self._nothing(x, axis, keepdims, x.dtype)
        return super().max(x, axis=axis, keepdims=keepdims)

    def min(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """CuPy's own but for empty arrays."""
        if 0 in x.shape:
            return self._nothing(x, axis, keepdims, x.dtype)
        return super().min(x, axis=axis, keepdims=keepdims)

    def argmax(self, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """CuPy's own but for empty arrays."""
        if 0 in x.shape:
            return self._nothing(x, axis, keepdims, np.int64)
        return super().argmax(x, axis=axis, keepdims=keepdims)

    def argmin(self, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """CuPy's own but for empty arrays."""
        if 0 in x.shape:
            return self._nothing(x, axis, keepdims, np.int64)
        return super().argmin(x, axis=axis, keepdims=keepdims)

    def _nothing(self, x: Any, axis: Axis, keepdims: bool, dtype: Any) -> Any:
        """The empty result of a choice along an axis that has elements.

        Raises ValueError where elements would have to be chosen from none.
        """
        axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        reduced = {a % x.ndim for a in axes}
        shape = [
            1 if i in reduced else n for i, n in enumerate(x.shape) if keepdims or i not in reduced
        ]
        if 0 not in shape:
            raise ValueError(f"there is no element to choose along axis {axis}")
        return self.xp.empty(tuple(shape), dtype=dtype)

    def count_nonzero(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """How many elements are not 0, int64."""
        return self.xp.sum(x != 0, axis=axis, dtype=np.int64, keepdims=keepdims)

    # ----------------------------------------------------------------- sorting and scanning

    def sort(
        self, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
    ) -> Any:
        """CuPy sorts upwards only, and always stably."""
        if 0 in x.shape:
            return self.xp.empty(x.shape, dtype=x.dtype)
        ordered = self.astype(self.xp.sort(self._ranked(x), axis=axis), x.dtype, copy=False)
        return self.xp.flip(ordered, axis=axis) if descending else ordered

    def argsort(
        self, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
    ) -> Any:
        """Downwards: sorted from the end, so that equal elements keep their order."""
        xp = self.xp
        if 0 in x.shape:
            return xp.empty(x.shape, dtype=np.int64)
        if not descending:
            return xp.argsort(self._ranked(x), axis=axis)
        order = xp.argsort(xp.flip(self._ranked(x), axis=axis), axis=axis)
        return x.shape[axis] - 1 - xp.flip(order, axis=axis)

    def cumulative_sum(
        self, x: Any, /, *, axis: int, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        """CuPy's own but for empty arrays."""
        if 0 in x.shape:
            return self._no_scan(np.cumulative_sum, x, axis, dtype, include_initial)
        return super().cumulative_sum(x, axis=axis, dtype=dtype, include_initial=include_initial)

    def cumulative_prod(
        self, x: Any, /, *, axis: int, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        """CuPy's own but for empty arrays."""
        if 0 in x.shape:
            return self._no_scan(np.cumulative_prod, x, axis, dtype, include_initial)
        return super().cumulative_prod(x, axis=axis, dtype=dtype, include_initial=include_initial)

    def _no_scan(self, scan: Any, x: Any, axis: int, dtype: Any, include_initial: bool) -> Any:
        """What NumPy gives: nothing, or the initial values alone."""
        host = np.empty(x.shape, dtype=x.dtype)
        return self.xp.asarray(scan(host, axis=axis, dtype=dtype, include_initial=include_initial))

    # ----------------------------------------------------------------- missing in CuPy

    def unstack(self, x: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
        """The parts of x along an axis; ValueError if it has no such axis."""
        if not -x.ndim <= axis < x.ndim:
            raise ValueError(f"axis {axis} is out of bounds for an array of {x.ndim} axes")
        before = (slice(None),) * (axis % x.ndim)
        return tuple([x[(*before, i, ...)] for i in range(x.shape[axis])])

    def vecdot(self, x: Any, y: Any, /, *, axis: int = -1) -> Any:
        """Σ x̄·y along an axis, counted from the end."""
        return self.xp.sum(self.xp.conj(x) * y, axis=axis)

    def unique_all(self, x: Any, /) -> tuple[Any, ...]:
        """CuPy's own but for empty arrays."""
        return self._unique("unique_all", x)

    def unique_counts(self, x: Any, /) -> tuple[Any, ...]:
        """CuPy's own but for empty arrays."""
        return self._unique("unique_counts", x)

    def unique_inverse(self, x: Any, /) -> tuple[Any, ...]:
        """CuPy's own but for empty arrays."""
        return self._unique("unique_inverse", x)

    def unique_values(self, x: Any, /) -> Any:
        """CuPy's own but for empty arrays."""
        return self._unique("unique_values", x)

    def _unique(self, name: str, x: Any) -> Any:
        self.place.forbid_capture(name)
        if 0 not in x.shape:
            return getattr(self.xp, name)(x)
        found = getattr(np, name)(np.empty(x.shape, dtype=x.dtype))
        if name == "unique_values":
            return self.xp.asarray(found)
        return tuple([self.xp.asarray(part) for part in found])

    def repeat(self, x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
        """Every element several times in a row; counts in an array are summed on the host."""
        xp = self.xp
        if isinstance(repeats, int):
            return xp.repeat(x, repeats, axis=axis)
        x, axis = (xp.reshape(x, (-1,)), 0) if axis is None else (x, axis)
        counts = xp.broadcast_to(repeats, (x.shape[axis],))
        if not x.shape[axis]:
            return x
        self.place.forbid_capture("repeat: counts in an array")
        ends = xp.cumsum(counts)
        positions = xp.arange(int(ends[-1]), dtype=np.int64)
        return xp.take(x, xp.searchsorted(ends, positions, side="right"), axis=axis)

    # ----------------------------------------------------------------- losses

    def outside(self, target: Any, classes: int) -> bool:
        """As the reference; unanswered in a captured step, which reads nothing on the host."""
        return False if self.place.capturing else super().outside(target, classes)
