"""Launch plans of the normalization kernels: resident in shared memory, or in two kernels.

Resident: a cluster of blocks (before Hopper one block) keeps a tile's elements in shared memory, so
that forward reads x once and backward x and g once. Split: partial moments of each part of a tile
by one kernel, merged by the next one, which also applies them. See `kernels/layout.cuh` for what a
tile, an item and a part are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

from .normalization_layout import Layout
from .planning import (
    C_TYPES,
    ITEM_SIZES,
    MOST_THREADS,
    PLAIN_SHARED,
    RESERVED,
    VECTOR_BYTES,
    WARP,
    DeviceLimits,
    block_size,
    ceil_div,
    power_at_least,
    vector_length,
)

CLUSTERS = (1, 4, 8)
"""Blocks of a cluster that kernels are compiled for. Each size is a kernel of its own to compile,
so the slower ones, of single elements and of doubles, have only the first and the last."""
TILE_BYTES = 128
"""Neighbouring channels that a tile takes along, in bytes: whole lines of memory."""
MOST_WIDTH = 32
PACKS_EACH = 4
"""Vectors that a thread has in flight."""
SMALL = 1024
"""Up to so many vectors a tile is not worth more than one block."""
SECOND_THREADS = 256
"""Threads of the kernels of second order, which need twice the registers."""
MOST_SPREAD = 8
"""Parts that an applying block works on, where there are many: merging their moments takes time."""
MOST_ITEMS = 2**31 - 2**20
"""Items and statistics are counted in 32 bits, with room for a step beyond."""


@dataclass(frozen=True, slots=True)
class NormalizationLaunch:
    """How the kernels of one call are launched.

    Attributes:
        resident: whether tiles stay in shared memory; else they are worked on in parts.
        arguments: of the templates, such as "<float, Planes<4>, 8>".
        width: threads side by side (`Problem.width`).
        chunk, parts: items of a part, and parts of a tile.
        spread: parts that one block of an applying kernel works on.
        tiles: their number.
        block: threads of a block.
        shared: bytes of dynamic shared memory.
        head: those of them that a kernel needs which keeps no elements.
        cluster: blocks of a cluster.
    """

    resident: bool
    arguments: str
    width: int
    chunk: int
    parts: int
    spread: int
    tiles: int
    block: int
    shared: int
    head: int
    cluster: int

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks of the launch: clusters along x if resident, else tiles by parts."""
        return (self.tiles * self.cluster, 1, 1) if self.resident else (self.tiles, self.parts, 1)

    @property
    def applying_grid(self) -> tuple[int, int, int]:
        """Blocks of a kernel of which each works on `spread` parts."""
        return (self.tiles, ceil_div(self.parts, self.spread), 1)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """The tiles of a call, and what a block that works on one needs.

    Attributes:
        walk: class template that walks over one, "Planes" or "Rows".
        dtype, v: of elements, and how many of them are an item of a thread.
        width: threads side by side.
        items: of a tile.
        number: of tiles.
    """

    walk: str
    dtype: str
    v: int
    width: int
    items: int
    number: int

    @property
    def arguments(self) -> str:
        return f"<{C_TYPES[self.dtype]}, {self.walk}<{self.v}>>"

    def block(self, items: int, limits: DeviceLimits) -> int:
        """Threads for so many items."""
        return block_size(items * self.width, PACKS_EACH, limits)

    def head(self, block: int) -> int:
        """Bytes before the slab: as `slab_offset` of kernels/reduction.cuh says."""
        wide = self.width * (self.v if self.walk == "Rows" else 1)
        return (block // WARP * wide + 6 * wide + 1) // 2 * 2 * 8

    def row(self, block: int) -> int:
        """Bytes of an item of each thread."""
        return block * self.v * ITEM_SIZES[self.dtype]

    def shared(self, items: int, block: int, slabs: int) -> int:
        """Bytes for items kept in columns of the threads, in so many arrays."""
        return self.head(block) + ceil_div(items, block // self.width) * self.row(block) * slabs


def plan_normalization(
    layout: Layout,
    dtype: str,
    aligned: bool,
    slabs: int,
    limits: DeviceLimits,
    most: int = MOST_THREADS,
) -> NormalizationLaunch | None:
    """The launch for a tile that has to be kept in `slabs` arrays; 0 if nothing has to be kept.

    `most` threads are in a block. None where the counts are beyond what kernels or device can
    number.
    """
    limits = replace(limits, threads_per_block=min(most, limits.threads_per_block))
    tiles = _tiles(layout, dtype, aligned)
    lengths = (layout.rows, layout.length, layout.statistics)
    if tiles.items > MOST_ITEMS or max(lengths) > MOST_ITEMS:
        return None
    resident = _resident(tiles, slabs, limits) if slabs else None
    return resident or _split(tiles, limits)


def _tiles(layout: Layout, dtype: str, aligned: bool) -> _Tiles:
    if not layout.by_rows:
        v = vector_length(dtype, layout.length, aligned)
        items = layout.rows * layout.length // v
        return _Tiles("Planes", dtype, v, 1, items, layout.statistics)
    v = vector_length(dtype, layout.channels, aligned)
    widest = min(MOST_WIDTH, TILE_BYTES // (v * ITEM_SIZES[dtype]))
    width = min(widest, power_at_least(ceil_div(layout.channels, v)))
    number = layout.outer * ceil_div(layout.channels, width * v)
    return _Tiles("Rows", dtype, v, width, layout.rows, number)


def _resident(tiles: _Tiles, slabs: int, limits: DeviceLimits) -> NormalizationLaunch | None:
    """The smallest cluster that leaves room for a second block on the multiprocessor and gives all
    of them something to do; failing that the largest; None if a tile fits in none."""
    found = None
    for cluster in _clusters(tiles.dtype, tiles.v):
        if cluster > limits.cluster or tiles.number * cluster > limits.grid[0]:
            continue
        chunk = ceil_div(tiles.items, cluster)
        block = tiles.block(chunk, limits)
        shared = tiles.shared(chunk, block, slabs)
        if shared > limits.shared_per_block:
            continue
        arguments, head = f"{tiles.arguments[:-1]}, {cluster}>", tiles.head(block)
        found = NormalizationLaunch(
            *(True, arguments, tiles.width, chunk, cluster, 1),
            *(tiles.number, block, shared, head, cluster),
        )
        busy = tiles.number * cluster >= limits.multiprocessors or chunk * tiles.width <= SMALL
        if busy and shared <= limits.shared_per_multiprocessor // 2 - RESERVED:
            break
    return found


def _clusters(dtype: str, v: int) -> tuple[int, ...]:
    """The sizes of clusters that there are kernels for."""
    return CLUSTERS if v > 1 and dtype != "float64" else (CLUSTERS[0], CLUSTERS[-1])


def _split(tiles: _Tiles, limits: DeviceLimits) -> NormalizationLaunch | None:
    """Parts that fit in plain shared memory, few enough to number, enough to keep a device busy."""
    room = min(PLAIN_SHARED, limits.shared_per_block)
    block = tiles.block(tiles.items, limits)
    while block > WARP and tiles.head(block) + tiles.row(block) > room:
        block //= 2
    head, rows = tiles.head(block), block // tiles.width
    most = (room - head) // tiles.row(block) * rows
    wanted = ceil_div(4 * limits.multiprocessors, tiles.number)
    chunk = min(most, max(rows, ceil_div(tiles.items, wanted)))
    if chunk < 1 or tiles.number > limits.grid[0]:
        return None
    parts = ceil_div(tiles.items, chunk)
    if parts > limits.grid[1]:
        return None
    spread = min(MOST_SPREAD, max(1, tiles.number * parts // (8 * limits.multiprocessors)))
    shared = tiles.shared(chunk, block, 1)
    return NormalizationLaunch(
        *(False, tiles.arguments, tiles.width, chunk, parts, spread),
        *(tiles.number, block, shared, head, 1),
    )


def _walks() -> list[tuple[str, str, int]]:
    """Every dtype, walk and length of vectors."""
    return [
        (dtype, walk, v)
        for dtype, walk in product(C_TYPES, ("Planes", "Rows"))
        for v in (1, VECTOR_BYTES // ITEM_SIZES[dtype])
    ]


def _split_arguments() -> list[str]:
    return [f"<{C_TYPES[dtype]}, {walk}<{v}>>" for dtype, walk, v in _walks()]


def _resident_arguments(cluster: int) -> list[str]:
    return [
        f"<{C_TYPES[dtype]}, {walk}<{v}>, {c}>"
        for dtype, walk, v in _walks()
        for c in _clusters(dtype, v)
        if c <= cluster
    ]


def _instances(resident: tuple[str, ...], split: tuple[str, ...], cluster: int) -> list[str]:
    return [
        *(kernel + a for kernel in resident for a in _resident_arguments(cluster)),
        *(kernel + a for kernel in split for a in _split_arguments()),
    ]


def forward_instances(cluster: int) -> list[str]:
    """Instances of kernels/batch_norm_forward.cu where clusters have up to `cluster` blocks."""
    split = ("forward_partials", "forward_apply", "normalize_by")
    return _instances(("forward_resident",), split, cluster)


def backward_instances(cluster: int) -> list[str]:
    """Instances of kernels/batch_norm_backward.cu."""
    split = ("backward_partials", "backward_apply", "gate")
    return _instances(("backward_resident",), split, cluster)


def second_instances(cluster: int) -> list[str]:
    """Instances of kernels/batch_norm_second.cu."""
    return _instances((), ("second_partials", "second_apply"), cluster)
