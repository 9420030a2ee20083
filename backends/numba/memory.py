"""Memory for large results: kept when an array dies, and handed to the next one of its size.

A fresh large array costs more than filling it: the operating system maps and clears every page at
its first touch, and takes it back when the array is freed. A training step asks for the same sizes
again and again, so blocks are kept here, up to `LIMIT` bytes that nobody uses. They begin at a
page, which halves the number of lines that a vector store touches, or at a place within one: a
processor takes a load for one of what was just stored where the last twelve bits of their addresses
agree, and waits. On two cores of an AMD EPYC, rows of 4 KiB that lay as what they were made from
took a map of (1024, 1024) twice as long.

An array from here is an ordinary `numpy.ndarray` over a `Lease`, which puts its `Block` back on its
`Shelf` when the last view of it is gone. That may be at any moment and in any thread, so there are
no locks: a block is put back and taken by single operations on a list, and the count of what is
kept is put right whenever a block is made.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

LEAST = 1 << 18
"""Bytes from which on an array comes from here."""
LIMIT = 1 << 30
"""Bytes of unused blocks that are kept."""
LINE = 64
PAGE = 1 << 12
_BYTE = np.dtype(np.uint8)


class _Store:
    """What is kept, by the size of its blocks.

    Attributes:
        kept: bytes of blocks that nobody uses.
        limit: how many there may be.
        shelves: by size.
    """

    def __init__(self) -> None:
        self.kept = 0
        self.limit = LIMIT
        self.shelves: dict[int, Shelf] = {}

    def all(self) -> list[Shelf]:
        """Every shelf that there is now; others may come while they are walked."""
        return list(self.shelves.values())

    def count(self) -> int:
        """Put `kept` right."""
        self.kept = sum([shelf.size * len(shelf.blocks) for shelf in self.all()])
        return self.kept

    def trim(self) -> None:
        """Free blocks until the rest is within the limit: first those of sizes that nobody has
        asked for since this was done last."""
        for shelf in sorted(self.all(), key=lambda shelf: shelf.wanted):
            if self.count() <= self.limit:
                break
            shelf.blocks.clear()
        for shelf in self.all():
            shelf.wanted = False


_store = _Store()


class Shelf:
    """Where blocks of one size wait to be used again.

    Attributes:
        size: bytes of a block.
        blocks: the one that was used last comes last.
        wanted: whether one was asked for since the store was trimmed.
    """

    __slots__ = ("blocks", "size", "wanted")

    def __init__(self, size: int) -> None:
        self.size = size
        self.blocks: list[Block] = []
        self.wanted = True

    def lease(self, nbytes: int, place: int = 0) -> Lease:
        """Memory for an array of `nbytes` that begins at a place, a multiple of LINE, in a page."""
        self.wanted = True
        try:
            block = self.blocks.pop()
            _store.kept -= self.size
        except IndexError:
            block = _new_block(self)
        return Lease(nbytes, _BYTE, block, place)


class Block(np.ndarray):
    """Owns memory, from the beginning of a page on, and knows the shelf where it waits."""

    shelf: Shelf


class Lease(np.ndarray):
    """A block in use."""

    def __del__(self, kind: type[Block] = Block, store: _Store = _store) -> None:
        """Put the block back; this may run when the module is gone."""
        block: Any = self.base
        if type(block) is kind:
            shelf = block.shelf
            shelf.blocks.append(block)
            store.kept += shelf.size
            if store.kept > store.limit:
                store.trim()


def empty(shape: tuple[int, ...], dtype: Any) -> Any:
    """An array with any contents, as `numpy.empty` gives; `dtype` is a NumPy dtype."""
    nbytes = math.prod(shape) * dtype.itemsize
    if nbytes < LEAST:
        return np.empty(shape, dtype)
    return np.ndarray(shape, dtype, shelf_of(nbytes).lease(nbytes))


def shelf_of(nbytes: int) -> Shelf:
    """The shelf for arrays of so many bytes; sizes that differ by an eighth at most share one."""
    step = 1 << max(nbytes.bit_length() - 4, 12)
    size = -(-nbytes // step) * step
    shelf = _store.shelves.get(size)
    return _store.shelves.setdefault(size, Shelf(size)) if shelf is None else shelf


def release() -> int:
    """Free all blocks that are not in use; how many bytes they were."""
    freed = _store.count()
    for shelf in _store.all():
        shelf.blocks.clear()
    _store.count()
    return freed


def kept() -> int:
    """Bytes of blocks that are not in use."""
    return _store.count()


def _new_block(shelf: Shelf) -> Block:
    """A block for a shelf, and a page more, for arrays that begin within the first."""
    if _store.count() > _store.limit:
        _store.trim()
    memory = np.empty(shelf.size + 2 * PAGE, _BYTE)
    block = memory[-memory.ctypes.data % PAGE :].view(Block)
    block.shelf = shelf
    return block
