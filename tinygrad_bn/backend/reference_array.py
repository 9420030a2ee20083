"""Reference: fitting gradients to shapes, joining, cutting, padding, scanning over `xp`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from .. import dtypes
from .reference_indexing import IndexingReference
from .reference_reduction import ReductionReference


class ArrayReference(IndexingReference, ReductionReference):
    """Array functions that the standard lacks, written in terms of it."""

    dtype_of: Any
    full: Any

    def fit(self, g: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
        """Bring `g` to `shape` and `dtype`: sum what was broadcast, broadcast what was reduced.

        Raises ValueError if no broadcasting relates the two shapes.
        """
        xp = self.xp
        if g.shape != shape:
            extra = g.ndim - len(shape)
            axes = tuple(range(extra)) + tuple(
                extra + i
                for i, n in enumerate(shape)
                if extra + i >= 0 and n == 1 and g.shape[extra + i] != 1
            )
            if axes:
                g = xp.sum(g, axis=axes, keepdims=True)
                g = xp.reshape(g, g.shape[max(extra, 0) :])
            if g.shape != shape:
                g = xp.broadcast_to(g, shape)
        return g if g.dtype == dtype else self.astype(g, dtype)

    def alike(self, arrays: Sequence[Any]) -> list[Any]:
        """Arrays converted to their common dtype, across kinds too."""
        known = {self.dtype_of(a) for a in arrays}
        if len(known) == 1:
            return list(arrays)
        common = dtypes.promote(*known)
        return [self.astype(a, common, copy=False) for a in arrays]

    def concat(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
        """Arrays one after the other along an axis."""
        return self.xp.concat(self.alike(arrays), axis=axis)

    def stack(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
        """Arrays side by side along a new axis."""
        return self.xp.stack(self.alike(arrays), axis=axis)

    def cut(self, x: Any, places: tuple[int, ...], /, *, axis: int) -> tuple[Any, ...]:
        """x cut before the positions `places` of an axis; views where the library has them."""
        before = (slice(None),) * (axis % x.ndim)
        bounds = (0, *places, x.shape[axis])
        return tuple([x[(*before, slice(a, b), ...)] for a, b in pairwise(bounds)])

    def pad_constant(self, x: Any, *, widths: tuple[tuple[int, int], ...], value: Any = 0) -> Any:
        """x within a border of one value."""
        sizes = list(zip(x.shape, widths, strict=True))
        shape = tuple([before + n + after for n, (before, after) in sizes])
        out = self.full(shape, value, dtype=x.dtype)
        out[(*[slice(before, before + n) for n, (before, _) in sizes], ...)] = x
        return out

    def linear_scan(self, a: Any, b: Any, *, axis: int) -> Any:
        """y₀ = b₀, yᵢ = aᵢ·yᵢ₋₁ + bᵢ, in log₂ n rounds.

        After a round with `step`, b holds the recurrence over the last 2·step elements and a the
        product of their coefficients.
        """
        concat, n, step = self.xp.concat, b.shape[axis], 1
        while step < n:
            first, rest, late = self._parts(n, axis, step)
            slope = a[late]
            b = concat([b[first], b[late] + slope * b[rest]], axis=axis)
            a = concat([a[first], slope * a[rest]], axis=axis)
            step *= 2
        return b

    @staticmethod
    def _parts(n: int, axis: int, step: int) -> tuple[Any, Any, Any]:
        """Indices of the first `step` elements of an axis, of all but the last, of the others."""
        before = (slice(None),) * axis
        bounds = ((0, step), (0, n - step), (step, n))
        first, rest, late = [(*before, slice(lo, hi), ...) for lo, hi in bounds]
        return first, rest, late

    def searchsorted(self, x1: Any, x2: Any, /, *, side: str = "left") -> Any:
        """Where the elements of x2 belong in x1."""
        if not isinstance(x2, self.array_type):
            x2 = self.asarray(x2, dtypes.promote(self.dtype_of(x1), x2))
        x1, x2 = self.alike((x1, x2))
        return self.xp.searchsorted(x1, x2, side=side)
