"""Memory for large results: kept when an array dies, and handed to the next one of its size.

A fresh large array costs more than filling it: the operating system maps and clears every page at
its first touch, and takes it back when the array is freed. A training step asks for the same sizes
again and again, so blocks are kept here, up to `LIMIT` bytes that nobody uses. They begin at a
cache line, which halves the number of lines that a vector store touches, and at another place
within a page than what the result is made from: a processor takes a load for one of what was just
stored where the last twelve bits of their addresses agree, and waits. Rows of 4 KiB that lay so
took a map of (1024, 1024) twice as long.

An array from here is an ordinary `numpy.ndarray` over a `Lease`, which gives its `Block` back when
the last view of it is gone.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

LEAST = 1 << 18
"""Bytes from which on an array comes from here."""
LIMIT = 1 << 30
"""Bytes of unused blocks that are kept."""
LINE = 64
PAGE = 1 << 12
STAGGER = PAGE // 4
"""Arrays begin at multiples of this within a page: one of four places is free beside two inputs."""

_BYTE = np.dtype(np.uint8)


class Block(np.ndarray):
    """Owns memory.

    Attributes:
        address: of its first byte.
    """

    address: int


_returned: deque[Any] = deque()


class Lease(np.ndarray):
    """A block in use."""

    def __del__(self, note: Callable[[Any], None] = _returned.append, block: type = Block) -> None:
        """Give the block back; this may run at any moment, also when this module is gone, so it
        only notes it."""
        if type(self.base) is block:
            note(self.base)


_free: dict[int, list[Block]] = {}
_kept = 0
_lock = threading.RLock()  # a signal's handler may ask for memory too


def empty(shape: tuple[int, ...], dtype: Any, apart: tuple[Any, ...] = ()) -> Any:
    """An array with any contents, as `numpy.empty` gives; `dtype` is a NumPy dtype.

    `apart` are C-contiguous, writable arrays, at most three, that will be read while this one is
    written.
    """
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < LEAST:
        return np.empty(shape, dtype)
    block = _take(_size_class(nbytes))
    start = (_place(apart) if apart else 0) - block.address & PAGE - 1
    return np.ndarray(shape, dtype, Lease(nbytes, _BYTE, block, start))


def _address(array: Any) -> int:
    """Of the first byte of a C-contiguous, writable array, in a third of the time that
    `array.ctypes.data` takes."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array))


def _place(apart: tuple[Any, ...]) -> int:
    """Where in a page an array begins that is to be apart from others."""
    taken = [(_address(a) + STAGGER // 2 & PAGE - 1) // STAGGER for a in apart]
    place = 0
    while place in taken:
        place += 1
    return place * STAGGER


def release() -> int:
    """Free all blocks that are not in use; how many bytes they were."""
    global _kept
    with _lock:
        _collect()
        freed, _kept = _kept, 0
        _free.clear()
    return freed


def kept() -> int:
    """Bytes of blocks that are not in use."""
    with _lock:
        _collect()
        return _kept


def _size_class(nbytes: int) -> int:
    """`nbytes` rounded up by at most an eighth, so that similar sizes share blocks."""
    step = 1 << max(nbytes.bit_length() - 4, 12)
    return -(-nbytes // step) * step


def _take(size: int) -> Block:
    """The block of a size that was used last, or a new one."""
    global _kept
    with _lock:
        _collect()
        blocks = _free.get(size)
        if blocks:
            _kept -= size
            return blocks.pop()
    block = Block((size + PAGE,), _BYTE)
    block.address = block.ctypes.data
    return block


def _collect() -> None:
    """Sort in what was given back; forget the sizes that were used longest ago."""
    global _kept
    while _returned:
        block = _returned.popleft()
        size = block.size - PAGE
        _free[size] = [*_free.pop(size, ()), block]
        _kept += size
    while _kept > LIMIT:
        size = next(iter(_free))
        _kept -= size * len(_free.pop(size))


def _after_fork() -> None:
    """The parent's thread that held the lock is not in the child."""
    global _lock
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
