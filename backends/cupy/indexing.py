"""Indexing with arrays on the device, with NumPy's rules where CuPy's are laxer.

CuPy wraps a position outside an axis around; here it is an IndexError, for which one flag is read
on the host (not in a captured step). Sums at repeated positions are formed in a fixed order, by
sorting, so they are the same in every run; CuPy's own would use atomics.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_indexing import IndexingReference, is_basic, plain_key

from .place import Place


class CuPyIndexing(IndexingReference):
    """The four ways to read, write and add at an index, without a detour over the host."""

    place: Place

    def getitem(self, x: Any, *, key: Any) -> Any:
        """CuPy's own with checked positions."""
        found = self._resolved(key, tuple(x.shape))
        return super().getitem(x, key=key) if found is None else x[found]

    def take(self, x: Any, indices: Any, /, *, axis: int) -> Any:
        """CuPy's own with checked positions."""
        self._check_bounds(indices, axis, x.shape[axis])
        return self.xp.take(x, indices, axis=axis)

    def take_along_axis(self, x: Any, indices: Any, /, *, axis: int) -> Any:
        """CuPy's own with checked positions."""
        self._check_bounds(indices, axis, x.shape[axis])
        return self.xp.take_along_axis(x, indices, axis)

    def index_put(self, x: Any, values: Any, *, key: Any) -> Any:
        """CuPy's own, on a copy."""
        found = self._resolved(key, tuple(x.shape))
        if found is None:
            return super().index_put(x, values, key=key)
        out = self.copy(x)
        out[found] = values
        return out

    def write(self, array: Any, key: Any, value: Any) -> Any:
        """CuPy's own."""
        found = self._resolved(key, tuple(array.shape))
        if found is None:
            return super().write(array, key, value)
        array[found] = value
        return array

    def scatter_add(self, values: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
        """Rows sorted by position and summed by runs, in a fixed order."""
        found = None if is_basic(key) else self._resolved(key, shape)
        if found is None:
            return super().scatter_add(values, key=key, shape=shape)
        if 0 in values.shape or 0 in shape:
            return self.zeros(shape, dtype=values.dtype)
        axis = self._axis_taken(found, shape)
        if axis is not None:
            return self._scatter_slices(values, found[axis], axis, shape)
        return self._scatter_elements(values, self._numbers(found, shape), shape)

    def scatter_along_axis(
        self, values: Any, *, indices: Any, axis: int, shape: tuple[int, ...]
    ) -> Any:
        """As `scatter_add`, element by element."""
        if 0 in values.shape or 0 in shape:
            return self.zeros(shape, dtype=values.dtype)
        numbers = self.xp.arange(math.prod(shape), dtype=np.int64).reshape(shape)
        places = self.xp.take_along_axis(numbers, indices, axis)
        return self._scatter_elements(values, places, shape)

    # ----------------------------------------------------------------- keys

    def _resolved(self, key: Any, shape: tuple[int, ...]) -> tuple[Any, ...] | None:
        """The key with one entry for every axis (and for new ones): masks as positions, positions
        checked, integers as arrays beside arrays. None for what the host has to work out: a mask
        without axes, an ellipsis of no axes between arrays.

        Raises IndexError as NumPy does.
        """
        if is_basic(key):
            return plain_key(key, shape)
        parts = list(key) if isinstance(key, tuple) else [key]
        if any(_is_mask(k) and not getattr(k, "ndim", 0) for k in parts):
            return None
        if _is_parted(parts, len(shape)):
            return None
        # Masks take as many axes as they have; stand-ins let `plain_key` expand the rest.
        stand_ins: list[Any] = []
        for part in parts:
            n = part.ndim if _is_mask(part) else 1
            stand_ins += [slice(None)] * n if isinstance(part, self.array_type) else [part]
        plain = list(plain_key(tuple(stand_ins), shape))
        return self._filled(parts, plain, shape)

    def _filled(self, parts: list[Any], plain: list[Any], shape: tuple[int, ...]) -> Any:
        """`plain` with the arrays of `parts` back in the places of their stand-ins."""
        dots = next((i for i, k in enumerate(parts) if k is ...), len(parts))
        tail = sum(k.ndim if _is_mask(k) else 1 for k in parts[dots + 1 :])
        out = [self.xp.full((), k, dtype=np.int64) if isinstance(k, int) else k for k in plain]
        for start, group in ((0, parts[:dots]), (len(plain) - tail, parts[dots + 1 :])):
            at = start
            for part in group:
                n = part.ndim if _is_mask(part) else 1
                if isinstance(part, self.array_type):
                    axis = sum(1 for k in plain[:at] if k is not None)
                    out[at : at + n] = self._positions(part, axis, shape)
                at += n
        return tuple(out)

    def _positions(self, part: Any, axis: int, shape: tuple[int, ...]) -> list[Any]:
        """A mask as one array of positions for each of its axes; positions as they are."""
        if not _is_mask(part):
            self._check_bounds(part, axis, shape[axis])
            return [part]
        if part.shape != shape[axis : axis + part.ndim]:
            raise IndexError(
                f"boolean index did not match: a mask of shape {tuple(part.shape)} does not fit "
                f"axes {axis} to {axis + part.ndim - 1} of shape {shape}"
            )
        self.place.forbid_capture("an index of booleans")
        return list(self.xp.nonzero(part))

    def _check_bounds(self, indices: Any, axis: int, n: int) -> None:
        if self.place.capturing or 0 in indices.shape:
            return
        outside = (indices < -n) | (indices >= n)
        if bool(self.xp.any(outside)):
            first = int(indices[outside][0])
            raise IndexError(f"index {first} is out of bounds for axis {axis} with size {n}")

    def _axis_taken(self, key: tuple[Any, ...], shape: tuple[int, ...]) -> int | None:
        """The axis of a key whose other entries are whole slices."""
        arrays = [i for i, k in enumerate(key) if isinstance(k, self.array_type)]
        if len(arrays) != 1 or any(k is None for k in key):
            return None
        rest = zip(key, shape, strict=True)
        whole = all(k == slice(0, n, 1) for k, n in rest if isinstance(k, slice))
        return arrays[0] if whole else None

    def _numbers(self, key: tuple[Any, ...], shape: tuple[int, ...]) -> Any:
        """The numbers in row-major order of the elements that `key` picks, on the device."""
        xp = self.xp
        stride = math.prod(shape)
        numbers: Any = 0
        for axis, n in enumerate(shape):
            stride //= n
            along = xp.arange(n, dtype=np.int64).reshape((n,) + (1,) * (len(shape) - axis - 1))
            numbers = numbers + xp.broadcast_to(along * stride, shape)[key]
        return numbers

    # ----------------------------------------------------------------- sums

    def _scatter_slices(self, values: Any, indices: Any, axis: int, shape: tuple[int, ...]) -> Any:
        xp = self.xp
        before, after = shape[:axis], shape[axis + 1 :]
        rows = xp.moveaxis(values.reshape((*before, -1, *after)), axis, 0)
        sums = self._summed(
            rows.reshape((indices.size, -1)), indices.reshape(-1) % shape[axis], shape[axis]
        )
        return xp.moveaxis(sums.reshape((shape[axis], *before, *after)), 0, axis)

    def _scatter_elements(self, values: Any, places: Any, shape: tuple[int, ...]) -> Any:
        values = self.xp.broadcast_to(values, places.shape).reshape((-1, 1))
        return self._summed(values, places.reshape(-1), math.prod(shape)).reshape(shape)

    def _summed(self, rows: Any, places: Any, n: int) -> Any:
        """n rows of zeros with `rows` (k, inner) added at `places` (k,).

        Sorted by place; then log₂ rounds, each adding the row 1, 2, 4, … further on if it has the
        same place, leave the sum of every place in its first row. The others go to a row too many.
        """
        xp = self.xp
        order = xp.argsort(places)
        place, sums = places[order], rows[order]
        step = 1
        while step < place.size:
            same = place[step:] == place[:-step]
            if not (self.place.capturing or bool(xp.any(same))):
                break
            added = sums[:-step] + xp.where(same[:, None], sums[step:], 0)
            sums = xp.concat([added, sums[-step:]])
            step *= 2
        first = xp.concat([xp.ones(1, dtype=bool), place[1:] != place[:-1]])
        out = xp.zeros((n + 1, rows.shape[1]), dtype=rows.dtype)
        out[xp.where(first, place, n)] = sums
        return out[:n]


def _is_parted(parts: list[Any], ndim: int) -> bool:
    """Whether an ellipsis that stands for no axes parts two advanced indices.

    NumPy then puts their axes first, as around a slice; CuPy forgets the ellipsis.
    """
    dots = next((i for i, k in enumerate(parts) if k is ...), None)
    if dots is None or sum(_axes(k) for k in parts) < ndim:
        return False
    before, after = [
        any(k is not None and not isinstance(k, slice) for k in side)
        for side in (parts[:dots], parts[dots + 1 :])
    ]
    return before and after


def _axes(part: Any) -> int:
    """How many axes an entry of a key takes up."""
    if part is None or part is ...:
        return 0
    return part.ndim if _is_mask(part) else 1


def _is_mask(part: Any) -> bool:
    return isinstance(part, bool) or getattr(getattr(part, "dtype", None), "kind", "") == "b"
