"""Reference: NumPy's indexing, reading and writing, on libraries that offer the standard's part.

Where an index holds arrays, the host works out which elements it picks, numbered in row-major
order, and the device then only takes elements of flattened arrays. A library with such indexing
of its own overrides the four public methods.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Positions = np.ndarray[Any, np.dtype[np.int64]]


class IndexingReference:
    """Reading, writing and adding at an index, over `xp`."""

    xp: Any
    zeros: Any
    asarray: Any
    astype: Any
    copy: Any
    from_numpy: Any
    to_numpy: Any
    array_type: Any

    def getitem(self, x: Any, *, key: Any) -> Any:
        """x[key]."""
        if is_basic(key):
            return x[plain_key(key, tuple(x.shape))]
        return self._pick(x, self._picked(key, tuple(x.shape)))

    def take(self, x: Any, indices: Any, /, *, axis: int) -> Any:
        """x with `indices`, of any shape, in the place of an axis."""
        key = (*(slice(None),) * axis, indices)
        if indices.ndim != 1:
            return self.getitem(x, key=key)
        n = x.shape[axis]
        host = self.to_numpy(indices)
        outside = host[(host < -n) | (host >= n)]
        if outside.size:
            raise IndexError(f"index {outside[0]} is out of bounds for axis {axis} with size {n}")
        return self.xp.take(x, self.from_numpy(host.astype(np.int64) % max(n, 1)), axis=axis)

    def take_along_axis(self, x: Any, indices: Any, /, *, axis: int) -> Any:
        """For every position beside `axis`, elements of x at indices of its own."""
        return self._pick(x, self._picked_along(indices, axis, tuple(x.shape)))

    def index_put(self, x: Any, values: Any, *, key: Any) -> Any:
        """A copy of x with x[key] = values."""
        if not isinstance(values, self.array_type):
            values = self.asarray(values)
        if values.dtype != x.dtype:
            values = self.astype(values, x.dtype)
        if is_basic(key):
            return self._assigned(self.copy(x), values, plain_key(key, tuple(x.shape)))
        places = self._picked(key, tuple(x.shape))
        return self._put(x, self.xp.broadcast_to(values, places.shape), places)

    def write(self, array: Any, key: Any, value: Any) -> Any:
        """array[key] = value in the array's own memory; returns the array that now holds it.

        A library without writable arrays returns a new one.
        """
        array[...] = self.index_put(array, value, key=key)
        return array

    def scatter_add(self, values: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
        """Zeros of `shape` with `values` added at `key`; repeated positions add up."""
        if is_basic(key):
            return self._assigned(
                self.zeros(shape, dtype=values.dtype), values, plain_key(key, shape)
            )
        return self._add(values, self._picked(key, shape), shape)

    def scatter_along_axis(
        self, values: Any, *, indices: Any, axis: int, shape: tuple[int, ...]
    ) -> Any:
        """Zeros of `shape` with `values` added where `take_along_axis` takes them from."""
        return self._add(values, self._picked_along(indices, axis, shape), shape)

    def _assigned(self, out: Any, values: Any, key: tuple[Any, ...]) -> Any:
        """`out` with `values` at a plain key; the standard has no new axes where it assigns."""
        axes = tuple([k for k in key if k is not None])
        if len(axes) < len(key):
            values = self.xp.broadcast_to(values, out[key].shape)
            values = self.xp.reshape(values, out[axes].shape)
        out[axes] = values
        return out

    # ----------------------------------------------------------------- numbers of elements

    def _picked(self, key: Any, shape: tuple[int, ...]) -> Positions:
        """The numbers of the elements that `key` picks from an array of `shape`."""
        return element_numbers(self._on_host(key), shape)

    def _on_host(self, key: Any) -> Any:
        if isinstance(key, tuple):
            return tuple([self._on_host(k) for k in key])
        return self.to_numpy(key) if isinstance(key, self.array_type) else key

    def _picked_along(self, indices: Any, axis: int, shape: tuple[int, ...]) -> Positions:
        numbers = np.arange(math.prod(shape)).reshape(shape)
        return np.take_along_axis(numbers, self.to_numpy(indices), axis=axis)

    # --------------------------------------------------------------- flattened arrays only

    def _pick(self, x: Any, places: Positions) -> Any:
        xp = self.xp
        flat = xp.take(xp.reshape(x, (-1,)), self.from_numpy(places.reshape(-1)), axis=0)
        return xp.reshape(flat, places.shape)

    def _put(self, x: Any, values: Any, places: Positions) -> Any:
        """A copy of x with `values` at the elements numbered by `places`."""
        if places.size == 0:
            return self.copy(x)
        source = np.full(math.prod(x.shape), -1)
        source[places.reshape(-1)] = np.arange(places.size)
        return self._replaced(x, self.xp.reshape(values, (-1,)), source)

    def _replaced(self, x: Any, values: Any, source: Positions) -> Any:
        """x with the value numbered by `source`, where that is not negative."""
        xp = self.xp
        chosen = xp.take(values, self.from_numpy(np.maximum(source, 0)), axis=0)
        hit = self.from_numpy((source >= 0).reshape(x.shape))
        return xp.where(hit, xp.reshape(chosen, x.shape), x)

    def _add(self, values: Any, places: Positions, shape: tuple[int, ...]) -> Any:
        """Zeros of `shape` with `values` added at the elements numbered by `places`.

        Values are sorted by place; then log₂ rounds, each adding the value 1, 2, 4, … further on
        if it has the same place, leave the sum of every place at its first value.
        """
        xp = self.xp
        out = self.zeros(shape, dtype=values.dtype)
        if places.size == 0:
            return out
        order = np.argsort(places.reshape(-1), kind="stable")
        place = places.reshape(-1)[order]
        sums = xp.take(xp.reshape(values, (-1,)), self.from_numpy(order), axis=0)
        step = 1
        while step < place.size:
            same = place[step:] == place[:-step]
            if not same.any():
                break
            added = xp.where(self.from_numpy(same), sums[step:], xp.zeros_like(sums[step:]))
            sums = xp.concat([sums[:-step] + added, sums[-step:]])
            step *= 2
        first = np.flatnonzero(np.concatenate([[True], place[1:] != place[:-1]]))
        source = np.full(math.prod(shape), -1)
        source[place[first]] = first
        return self._replaced(out, sums, source)


def is_basic(key: Any) -> bool:
    """Whether an index is of integers, slices, None and Ellipsis: it picks no element twice."""
    parts = key if isinstance(key, tuple) else (key,)
    return all(
        isinstance(k, int | slice | type(None) | type(...)) and k is not True and k is not False
        for k in parts
    )


def plain_key(key: Any, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """A basic index in the form that the standard prescribes: one entry for every axis, integers
    not negative, slices within bounds.

    Raises IndexError as NumPy does.
    """
    parts = key if isinstance(key, tuple) else (key,)
    named = sum(1 for k in parts if k is not None and k is not ...)
    if named > len(shape):
        raise IndexError(f"too many indices: shape {shape} has {len(shape)} axes, got {named}")
    dots = sum(1 for k in parts if k is ...)
    if dots > 1:
        raise IndexError(f"an index can only have a single ellipsis ('...'), got {dots}")
    full = (slice(None),) * (len(shape) - named)
    place = next((i for i, k in enumerate(parts) if k is ...), len(parts))
    lengths = iter(shape)
    return tuple(
        [
            None if k is None else _plain_part(k, next(lengths))
            for k in (*parts[:place], *full, *parts[place + 1 :])
        ]
    )


def _plain_part(part: Any, n: int) -> Any:
    if isinstance(part, slice):
        start, stop, step = part.indices(n)
        if len(range(start, stop, step)) == 0:
            return slice(0, 0, 1)
        return slice(start, None if stop < 0 else stop, step)
    if not -n <= part < n:
        raise IndexError(f"index {part} is out of bounds for an axis of length {n}")
    return part % n


def element_numbers(key: Any, shape: tuple[int, ...]) -> Positions:
    """What `key` picks from an array of `shape` whose elements are numbered in row-major order.

    The coordinates along each axis are broadcast views, so this takes no memory of that size.
    """
    numbers = np.broadcast_to(np.int64(0), shape)[key]
    stride = math.prod(shape)
    for axis, n in enumerate(shape):
        stride //= n or 1
        along = np.arange(n).reshape((n,) + (1,) * (len(shape) - axis - 1)) * stride
        numbers = numbers + np.broadcast_to(along, shape)[key]
    return np.asarray(numbers)
