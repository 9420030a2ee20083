"""Many arrays in one call: a table of the addresses of array objects, turned into one of memory.

An array object of NumPy begins with fields whose places are part of its binary interface, which
every compiled extension relies on. Reading them in compiled code takes a tenth of the time that
asking each array from Python takes, and a call with a table compiles once for any number of arrays.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from ..compiler import COMPILED, Held, driver, kernel, maker

BLOCK = 8192
"""Elements that one thread takes at a time; the same for any number of threads."""

_HEAD = object.__basicsize__
"""Bytes of the fields that every Python object begins with."""
_DATA, _NDIM, _SHAPE, _DTYPE, _FLAGS = _HEAD, _HEAD + 8, _HEAD + 16, _HEAD + 40, _HEAD + 48
_PLAIN, _WRITABLE = 0x0101, 0x0400  # flags: C-contiguous and aligned; may be written to
_WORD, _INT = np.int64(0), np.int32(0)


def _cast(typing_context: Any, address: Any, like: Any) -> Any:
    """An address as a pointer to numbers of the type of `like`."""
    result = types.CPointer(like)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.inttoptr(arguments[0], context.get_value_type(result))

    return result(types.int64, like), generate


if COMPILED:
    _pointer: Any = intrinsic(_cast)

    @maker
    def memory(address: Any, size: Any, like: Any) -> Any:
        """The numbers at an address, of the type of `like`, as an array."""
        return carray(_pointer(address, like), (size,))

else:

    def memory(address: Any, size: Any, like: Any) -> Any:
        """The numbers at an address, of the type of `like`, as an array."""
        kind = np.ctypeslib.as_ctypes_type(type(like))
        return np.ctypeslib.as_array((kind * int(size)).from_address(int(address)))


@maker
def _length(array: Any) -> Any:
    """The number of elements of an array object."""
    count = 1
    ndim = memory(array + _NDIM, 1, _INT)[0]
    shape = memory(memory(array + _SHAPE, 1, _WORD)[0], ndim, _WORD)
    for i in range(ndim):
        count *= shape[i]
    return count


@driver
def survey(table: Any, sizes: Any, starts: Any, writable: Any, dtype: Any) -> Any:
    """Replace the objects in `table` by their memory; the number of elements, or -1.

    Column j of the table has arrays of `sizes[j]` elements each; block number `starts[j]` is its
    first. -1 if an array has another dtype than the object `dtype`, is not plain C-contiguous
    memory, is not as long as the first in its column, or may not be written to though it is one
    of the first `writable` rows.
    """
    total = starts[0] = 0
    for j in range(table.shape[1]):
        sizes[j] = _length(table[0, j])
        for i in range(table.shape[0]):
            array = table[i, j]
            wanted = _PLAIN | _WRITABLE if i < writable else _PLAIN
            if (
                memory(array + _DTYPE, 1, _WORD)[0] != dtype
                or memory(array + _FLAGS, 1, _INT)[0] & wanted != wanted
                or _length(array) != sizes[j]
            ):
                return -1
            table[i, j] = memory(array + _DATA, 1, _WORD)[0]
        starts[j + 1] = starts[j] + (sizes[j] + BLOCK - 1) // BLOCK
        total += sizes[j]
    return total


@survey.examples
def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    arrays = [np.zeros(n, dtype) for _ in range(3) for n in (5, 2 * BLOCK + 3)]
    table = np.array([id(a) for a in arrays]).reshape(3, 2)
    sizes, starts = np.zeros(2, np.int64), np.zeros(3, np.int64)
    yield Held((table, sizes, starts, 2, id(arrays[0].dtype)), arrays)


@kernel
def column(starts: Any, block: Any) -> Any:
    """The column that a block belongs to: the last that starts at or before it."""
    low, high = 0, starts.size - 1
    while high - low > 1:
        middle = (low + high) // 2
        if starts[middle] <= block:
            low = middle
        else:
            high = middle
    return low


@maker
def part(table: Any, sizes: Any, starts: Any, i: Any, j: Any, block: Any, like: Any) -> Any:
    """The elements that a block has of array (i, j)."""
    low = (block - starts[j]) * BLOCK
    high = min(low + BLOCK, sizes[j])
    return memory(table[i, j], sizes[j], like)[low:high]
