"""Reference: fitting gradients to shapes, scattering, and other array plumbing over `xp`."""

from __future__ import annotations

import math
from typing import Any


class ArrayReference:
    """Array functions that the standard lacks, written in terms of it."""

    xp: Any
    native: Any
    zeros: Any
    arange: Any
    asarray: Any
    astype: Any
    copy: Any
    array_type: type

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

    def getitem(self, x: Any, *, key: Any) -> Any:
        """x[key]."""
        return x[key]

    def index_put(self, x: Any, values: Any, *, key: Any) -> Any:
        """A copy of x with x[key] = values."""
        out = self.copy(x)
        out[key] = values
        return out

    def scatter_add(self, values: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
        """Zeros of `shape` with `values` added at `key`; repeated positions add up."""
        if _is_basic(key):
            out = self.zeros(shape, dtype=values.dtype)
            out[key] = values
            return out
        return self._scatter_arrays(values, key, shape)

    def _scatter_arrays(self, values: Any, key: Any, shape: tuple[int, ...]) -> Any:
        """`scatter_add` for a key with arrays in it.

        The generic way: number the elements, see which `key` picks, and let a product with the
        one-hot matrix of these numbers add the values. O(size·picked) work and memory; a library
        with a scatter operation overrides it.
        """
        xp = self.xp
        size = math.prod(shape)
        numbers = self.arange(size, dtype="int64")
        picked = xp.reshape(self.getitem(xp.reshape(numbers, shape), key=key), (-1,))
        onehot = xp.expand_dims(picked, axis=0) == xp.expand_dims(numbers, axis=1)
        added = xp.matmul(self.astype(onehot, values.dtype), xp.reshape(values, (-1,)))
        return xp.reshape(added, shape)


def _is_basic(key: Any) -> bool:
    """Whether an index consists of integers, slices, None and Ellipsis: it picks no element twice."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        isinstance(k, int | slice | type(None) | type(...)) and k is not True and k is not False
        for k in parts
    )
