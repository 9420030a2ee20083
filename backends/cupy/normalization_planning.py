"""Launch plans of the normalization kernels: resident in shared memory, or in two kernels.

Resident: a cluster of blocks (before Hopper one block) keeps a tile's elements in shared memory, so
that forward reads x once and backward x and g once. Split: partial moments of each part of a tile
by one kernel, merged by the next one, which also applies them. See `kernels/layout.cuh` for what a
tile, an item and a part are.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

from .normalization_layout import Layout
from .planning import (
    C_TYPES,
    ITEM_SIZES,
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
"""Blocks of a cluster that kernels are compiled for."""
TILE_BYTES = 128
"""Neighbouring channels that a tile takes along, in bytes: whole lines of memory."""
MOST_WIDTH = 32
PACKS_EACH = 4
"""Vectors that a thread has in flight."""
SMALL = 1024
"""Up to so many vectors a tile is not worth more than one block."""
MOST_ITEMS = 2**31 - 2**20
"""Items and statistics are counted in 32 bits, with room for a step beyond."""


@dataclass(frozen=True, slots=True)
class NormalizationLaunch:
    """How the kernels of one call are launched.

    Attributes:
        resident: whether tiles stay in shared memory; else they are worked on in parts.
        walk: the layout as the kernels' template argument, such as "Planes<4>".
        instance: all template arguments after the kernel's name.
        width: threads side by side (`Problem.width`).
        chunk, parts: items of a part, and parts of a tile.
        tiles: their number.
        block: threads of a block.
        shared: bytes of dynamic shared memory.
        head: those of them that a kernel needs which keeps no elements.
        cluster: blocks of a cluster.
    """

    resident: bool
    instance: str
    width: int
    chunk: int
    parts: int
    tiles: int
    block: int
    shared: int
    head: int
    cluster: int

    @property
    def grid(self) -> tuple[int, int, int]:
        """Blocks of the launch: clusters along x if resident, else tiles by parts."""
        return (self.tiles * self.cluster, 1, 1) if self.resident else (self.tiles, self.parts, 1)


@dataclass(frozen=True, slots=True)
class _Tiles:
    """The tiles of a call, and what a block that works on one needs."""

    walk: str
    lanes: int
    width: int
    items: int
    tiles: int

    @property
    def wide(self) -> int:
        return self.width * self.lanes

    def block(self, items: int, limits: DeviceLimits) -> int:
        return block_size(items * self.width, PACKS_EACH, limits, max(WARP, self.width))

    def head(self, block: int) -> int:
        """Bytes before the slab: as `slab_offset` of kernels/reduction.cuh says."""
        return (block // WARP * self.wide + 6 * self.wide + 1) // 2 * 2 * 8

    def shared(self, items: int, block: int, slabs: int, pack: int) -> int:
        """Bytes for `items` of a tile, kept in columns of the threads, in so many arrays."""
        each = ceil_div(items, block // self.width)
        return self.head(block) + each * block * pack * slabs


def plan_normalization(
    layout: Layout, dtype: str, aligned: bool, slabs: int, limits: DeviceLimits
) -> NormalizationLaunch | None:
    """The launch for a tile that has to be kept in `slabs` arrays; 0 if nothing has to be kept.

    None where the counts are beyond what kernels or device can number.
    """
    tiles, v = _tiles(layout, dtype, aligned)
    if tiles.items > MOST_ITEMS or layout.statistics > MOST_ITEMS:
        return None
    pack = v * ITEM_SIZES[dtype]
    if slabs:
        for cluster in _fitting(tiles, slabs, pack, limits):
            chunk = ceil_div(tiles.items, cluster)
            block = tiles.block(chunk, limits)
            shared = tiles.shared(chunk, block, slabs, pack)
            instance = f"<{C_TYPES[dtype]}, {tiles.walk}, {cluster}>"
            head = tiles.head(block)
            return NormalizationLaunch(
                True,
                instance,
                tiles.width,
                chunk,
                cluster,
                tiles.tiles,
                block,
                shared,
                head,
                cluster,
            )
    return _split(tiles, dtype, pack, limits)


def _tiles(layout: Layout, dtype: str, aligned: bool) -> tuple[_Tiles, int]:
    if not layout.by_rows:
        v = vector_length(dtype, layout.length, aligned)
        items = layout.rows * layout.length // v
        return _Tiles(f"Planes<{v}>", 1, 1, items, layout.statistics), v
    v = vector_length(dtype, layout.channels, aligned)
    widest = min(MOST_WIDTH, TILE_BYTES // (v * ITEM_SIZES[dtype]))
    width = min(widest, power_at_least(ceil_div(layout.channels, v)))
    tiles = layout.outer * ceil_div(layout.channels, width * v)
    return _Tiles(f"Rows<{v}>", v, width, layout.rows, tiles), v


def _fitting(tiles: _Tiles, slabs: int, pack: int, limits: DeviceLimits) -> list[int]:
    """The cluster to take, first; empty if a tile fits in none.

    The smallest one that leaves room for a second block on the multiprocessor and has enough blocks
    for all of them; failing that the largest.
    """
    found = []
    for cluster in CLUSTERS:
        if cluster > limits.cluster or tiles.tiles * cluster > limits.grid[0]:
            continue
        items = ceil_div(tiles.items, cluster)
        block = tiles.block(items, limits)
        shared = tiles.shared(items, block, slabs, pack)
        if shared > limits.shared_per_block:
            continue
        busy = tiles.tiles * cluster >= limits.multiprocessors
        if shared <= limits.shared_per_multiprocessor // 2 - RESERVED and (
            busy or items * tiles.width <= SMALL
        ):
            return [cluster]
        found.append(cluster)
    return found[-1:]


def _split(
    tiles: _Tiles, dtype: str, pack: int, limits: DeviceLimits
) -> NormalizationLaunch | None:
    """Parts that fit in plain shared memory, few enough to number, enough to keep a device busy."""
    room = min(PLAIN_SHARED, limits.shared_per_block)
    block = tiles.block(tiles.items, limits)
    each = (room - tiles.head(block)) // (block * pack)
    while each < 1 and block > max(WARP, tiles.width):
        block //= 2
        each = (room - tiles.head(block)) // (block * pack)
    wanted = ceil_div(4 * limits.multiprocessors, tiles.tiles)
    rows = block // tiles.width
    chunk = min(each * rows, max(rows, ceil_div(tiles.items, wanted)))
    parts = ceil_div(tiles.items, chunk)
    if each < 1 or parts > limits.grid[1] or tiles.tiles > limits.grid[0]:
        return None
    shared = tiles.shared(chunk, block, 1, pack)
    instance = f"<{C_TYPES[dtype]}, {tiles.walk}>"
    head = tiles.head(block)
    return NormalizationLaunch(
        False, instance, tiles.width, chunk, parts, tiles.tiles, block, shared, head, 1
    )


def _split_arguments() -> list[str]:
    return [
        f"<{C_TYPES[dtype]}, {walk}<{v}>>"
        for dtype, walk in product(C_TYPES, ("Planes", "Rows"))
        for v in (1, VECTOR_BYTES // ITEM_SIZES[dtype])
    ]


def _resident_arguments(cluster: int) -> list[str]:
    sizes = [c for c in CLUSTERS if c <= cluster]
    return [f"{a[:-1]}, {c}>" for a in _split_arguments() for c in sizes]


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
