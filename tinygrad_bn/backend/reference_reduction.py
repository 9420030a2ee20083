"""Reference: reductions, statistics and sorting over `xp`, for every dtype that NumPy takes.

The standard leaves sums of booleans and means of integers open; these give what NumPy gives.
"""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes

Axis = int | tuple[int, ...] | None


class ReductionReference:
    """Reductions whose dtypes or whose accuracy the standard leaves open."""

    xp: Any
    native: Any
    astype: Any
    floating: Any
    dtype_of: Any

    def _counted(self, x: Any) -> Any:
        """Booleans as integers."""
        return self.astype(x, "int64") if x.dtype == self.native("bool") else x

    def _ranked(self, x: Any) -> Any:
        """Booleans as the smallest integers, which have an order."""
        return self.astype(x, "uint8") if x.dtype == self.native("bool") else x

    def _averaged(self, x: Any) -> Any:
        """Integers and booleans as float64."""
        return x if x.dtype in self.floating else self.astype(x, "float64")

    def sum(
        self, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        """Σ x."""
        return self.xp.sum(self._counted(x), axis=axis, dtype=self.native(dtype), keepdims=keepdims)

    def prod(
        self, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        """∏ x."""
        return self.xp.prod(
            self._counted(x), axis=axis, dtype=self.native(dtype), keepdims=keepdims
        )

    def cumulative_sum(
        self, x: Any, /, *, axis: int, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        """Running Σ x."""
        return self.xp.cumulative_sum(
            self._counted(x), axis=axis, dtype=self.native(dtype), include_initial=include_initial
        )

    def cumulative_prod(
        self, x: Any, /, *, axis: int, dtype: Any = None, include_initial: bool = False
    ) -> Any:
        """Running ∏ x."""
        return self.xp.cumulative_prod(
            self._counted(x), axis=axis, dtype=self.native(dtype), include_initial=include_initial
        )

    def max(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Greatest element."""
        found = self.xp.max(self._ranked(x), axis=axis, keepdims=keepdims)
        return self.astype(found, x.dtype, copy=False)

    def min(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Smallest element."""
        found = self.xp.min(self._ranked(x), axis=axis, keepdims=keepdims)
        return self.astype(found, x.dtype, copy=False)

    def argmax(self, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """Position of the greatest element."""
        return self.xp.argmax(self._ranked(x), axis=axis, keepdims=keepdims)

    def argmin(self, x: Any, /, *, axis: int | None = None, keepdims: bool = False) -> Any:
        """Position of the smallest element."""
        return self.xp.argmin(self._ranked(x), axis=axis, keepdims=keepdims)

    def sort(
        self, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
    ) -> Any:
        """Elements in order."""
        ordered = self.xp.sort(self._ranked(x), axis=axis, descending=descending, stable=stable)
        return self.astype(ordered, x.dtype, copy=False)

    def argsort(
        self, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
    ) -> Any:
        """Positions in the order of their elements."""
        return self.xp.argsort(self._ranked(x), axis=axis, descending=descending, stable=stable)

    def mean(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Σ x / n."""
        return self.xp.mean(self._averaged(x), axis=axis, keepdims=keepdims)

    def var(
        self, x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
    ) -> Any:
        """Variance about the mean."""
        x = self._averaged(x)
        return self._narrowed(self._variance(x, axis, correction, keepdims), x)

    def std(
        self, x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
    ) -> Any:
        """Square root of the variance."""
        x = self._averaged(x)
        return self._narrowed(self.xp.sqrt(self._variance(x, axis, correction, keepdims)), x)

    def _narrowed(self, statistic: Any, x: Any) -> Any:
        """In the dtype of x if that is float16; statistics are computed in float32 then."""
        half = self.dtype_of(x) == dtypes.float16
        return self.astype(statistic, dtypes.float16) if half else statistic

    def _variance(self, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
        """Two passes: Σd²/n with d = x - mean, less (Σd)²/n, the mean's rounding.

        Source: Chan, Golub and LeVeque, "Algorithms for Computing the Sample Variance", 1983.
        """
        xp, dtype = self.xp, self.dtype_of(x)
        if dtype.kind == "c":
            parts = [
                self._variance(p, axis, correction, keepdims) for p in (xp.real(x), xp.imag(x))
            ]
            return parts[0] + parts[1]
        x = self.astype(x, dtypes.float32) if dtype == dtypes.float16 else x
        total = self.sum(x, axis=axis, keepdims=True)
        n = math.prod(x.shape) // (math.prod(total.shape) or 1)
        if n <= correction:
            return self.sum(x, axis=axis, keepdims=keepdims) * math.nan
        d = x - total / n
        squares = self.sum(d * d, axis=axis, keepdims=keepdims)
        drift = self.sum(d, axis=axis, keepdims=keepdims)
        return xp.maximum(squares - drift * drift / n, xp.zeros_like(drift)) / (n - correction)
