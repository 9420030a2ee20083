"""The NumPy backend: always there, and the yardstick of the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_bn.backend import Backend, BackendUnavailableError
from tinygrad_bn.backend.normalization_statistics import SHORT
from tinygrad_bn.backend.reference_indexing import element_numbers, is_basic

from .activation import NumPyActivation
from .normalization import UNTHREADED, NumPyNormalization

Axis = int | tuple[int, ...] | None

# The reductions of the ufuncs: what np.sum and its kind end in, after a long way round.
_sum: Any = np.add.reduce
_prod: Any = np.multiply.reduce
_max: Any = np.maximum.reduce
_min: Any = np.minimum.reduce


class NumPyBackend(NumPyActivation, NumPyNormalization, Backend):
    """NumPy arrays on the host; overrides the reference where NumPy has a function of its own."""

    install_hint = "pip install numpy"

    def __init__(self, name: str = "numpy", device: str = "") -> None:
        if device not in ("", "cpu"):
            raise BackendUnavailableError(f"NumPy has the device 'cpu' only, not {device!r}")
        super().__init__(np, np.ndarray, name)

    def from_numpy(self, host: np.ndarray[Any, Any], copy: bool | None = None) -> Any:
        """The array itself, or a copy if asked."""
        return host.copy() if copy else host

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """The array itself: its memory is the host's."""
        return np.asarray(array)

    def ones(self, shape: Any, *, dtype: Any) -> Any:
        """Of a single number, the cotangent of every loss, in a tenth of the time of `np.ones`."""
        return np.array(1, self.native(dtype)) if shape == () else super().ones(shape, dtype=dtype)

    def wrap(self, value: Any) -> Any:
        """A zero-dimensional array of a NumPy scalar."""
        return np.asarray(value)

    def copy(self, array: Any) -> Any:
        """An array of its own memory with the same contents."""
        return np.array(array)

    def storage(self, array: Any) -> Any:
        """The array at the end of the chain of views."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        return array

    def owns_memory(self, array: Any) -> bool:
        """Whether the array is no view."""
        return isinstance(array, np.ndarray) and array.base is None

    # --------------------------------------------------------------------------- reductions

    def fit(self, g: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
        """The gradient of a bias is a sum of rows: a short way for that."""
        if g.ndim != 2 or g.shape[1:] != shape or g.dtype != dtype:
            return super().fit(g, shape=shape, dtype=dtype)
        if g.shape[0] <= SHORT and g.size <= UNTHREADED and dtype.char in "fd":
            return self._sum(g, (0,))
        return self.sum(g, axis=0)

    def sum(
        self, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        """The ufunc's reduction."""
        return _sum(x, axis=axis, dtype=dtype, keepdims=keepdims)

    def prod(
        self, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False
    ) -> Any:
        """The ufunc's reduction."""
        return _prod(x, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """The ufunc's reduction."""
        return _max(x, axis=axis, keepdims=keepdims)

    def min(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """The ufunc's reduction."""
        return _min(x, axis=axis, keepdims=keepdims)

    def mean(self, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
        """Sum over count, as np.mean does for the dtypes that need no other accumulator."""
        if x.size == 0:
            return self._averaged(_sum(x, axis=axis, keepdims=keepdims)) * np.nan
        if x.dtype.char not in "fd":
            return np.mean(x, axis=axis, keepdims=keepdims)
        total = _sum(x, axis=axis, keepdims=keepdims)
        return total / (x.size // total.size)

    def sort(
        self, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
    ) -> Any:
        """NumPy sorts upwards only."""
        ordered = np.sort(x, axis=axis, stable=stable)
        return np.flip(ordered, axis=axis) if descending else ordered

    def argsort(
        self, x: Any, /, *, axis: int = -1, descending: bool = False, stable: bool = True
    ) -> Any:
        """Downwards: sorted from the end, so that equal elements keep their order."""
        if not descending:
            return np.argsort(x, axis=axis, stable=stable)
        order = np.argsort(np.flip(x, axis=axis), axis=axis, stable=stable)
        return x.shape[axis] - 1 - np.flip(order, axis=axis)

    # ----------------------------------------------------------------------------- indexing

    def getitem(self, x: Any, *, key: Any) -> Any:
        """NumPy's own."""
        return x[key]

    def take(self, x: Any, indices: Any, /, *, axis: int) -> Any:
        """NumPy's own."""
        return np.take(x, indices, axis=axis)

    def take_along_axis(self, x: Any, indices: Any, /, *, axis: int) -> Any:
        """NumPy's own."""
        return np.take_along_axis(x, indices, axis=axis)

    def index_put(self, x: Any, values: Any, *, key: Any) -> Any:
        """NumPy's own, on a copy."""
        out = np.array(x)
        out[key] = values
        return out

    def write(self, array: Any, key: Any, value: Any) -> Any:
        """NumPy's own."""
        array[key] = value
        return array

    def scatter_add(self, values: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
        """Assigned where no element is picked twice, else added."""
        key = (key,) if isinstance(key, np.ndarray) else key
        axis = _axis_taken(key)
        if axis is not None and len(shape) > 1:
            return _scatter_slices(values, key[axis], axis, shape)
        if not (is_basic(key) or _is_mask(key)):
            return self._add(values, element_numbers(key, shape), shape)
        out = np.zeros(shape, dtype=values.dtype)
        out[key] = values
        return out

    def _add(self, values: Any, places: Any, shape: tuple[int, ...]) -> Any:
        out = np.zeros(shape, dtype=values.dtype)
        np.add.at(out.reshape(-1), places.reshape(-1), values.reshape(-1))
        return out

    # ------------------------------------------------------------------ joining and scanning

    def concat(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
        """NumPy's own."""
        return np.concatenate(arrays, axis=axis)

    def stack(self, arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
        """NumPy's own."""
        return np.stack(arrays, axis=axis)


def _axis_taken(key: Any) -> int | None:
    """The axis that an index of the form [:, …, :, integers] takes from, as `take` makes them."""
    if not (isinstance(key, tuple) and key and isinstance(key[-1], np.ndarray)):
        return None
    whole = all(isinstance(k, slice) and k == slice(None) for k in key[:-1])
    return len(key) - 1 if whole and key[-1].dtype.kind in "iu" else None


def _scatter_slices(values: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Slices of `values` added at positions of one axis: sorted by position, summed by runs.

    Several times as fast as np.add.at, which goes element by element.
    """
    out = np.zeros(shape, dtype=values.dtype)
    if values.size == 0:
        return out
    before = (slice(None),) * axis
    places = indices.reshape(-1).astype(np.int64) % shape[axis]
    slices = values.reshape((*shape[:axis], places.size, *shape[axis + 1 :]))
    order = np.argsort(places, kind="stable")
    ordered = places[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    if first.size == places.size:
        out[(*before, places)] = slices
    else:
        sums = np.add.reduceat(slices[(*before, order)], first, axis=axis)
        out[(*before, ordered[first])] = sums
    return out


def _is_mask(key: Any) -> bool:
    """Whether an index is one boolean array, which picks no element twice."""
    one = isinstance(key, tuple) and len(key) == 1 and isinstance(key[0], np.ndarray)
    return one and key[0].dtype.kind == "b"
