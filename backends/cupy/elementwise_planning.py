"""Launch plans of the kernels that are no normalization: losses, epilogues, masks, optimizers."""

from __future__ import annotations

from dataclasses import dataclass

from .planning import (
    C_TYPES,
    ITEM_SIZES,
    MOST_THREADS,
    VECTOR_BYTES,
    WARP,
    DeviceLimits,
    block_size,
    ceil_div,
    vector_length,
)

MOST_CLASSES = 2**31 - 2**20
"""Classes are counted in 32 bits, with room for a step beyond."""
LONG_ROW = 1024
"""Vectors from which on a row of classes is worth a block of its own."""
ROW_THREADS = 128
FLAT_THREADS = 256
PHILOX_WORDS = 4
TABLE_ROWS = 48
"""Parameters of one launch: as many as fit, with their table, in the arguments of a kernel."""
OPTIMIZER_CHUNK = 8192
"""Elements of a parameter that one block works on."""


@dataclass(frozen=True, slots=True)
class Flat:
    """A launch of blocks in a row.

    Attributes:
        instance: the template arguments.
        blocks: their number.
        block: threads of a block.
        shared: bytes of dynamic shared memory.
        together: whether all threads of a block work on one row.
    """

    instance: str
    blocks: int
    block: int
    shared: int = 0
    together: bool = False

    @property
    def grid(self) -> tuple[int, int, int]:
        """The blocks, along x."""
        return (self.blocks, 1, 1)


def plan_flat(
    things: int, instance: str, limits: DeviceLimits, threads: int = FLAT_THREADS
) -> Flat | None:
    """A thread for each thing; None if there are too many for a grid."""
    block = min(threads, limits.threads_per_block)
    blocks = ceil_div(things, block)
    return Flat(instance, blocks, block) if blocks <= limits.grid[0] else None


def plan_entropy_rows(
    dtype: str, samples: int, classes: int, aligned: bool, limits: DeviceLimits
) -> Flat | None:
    """A warp for each row of classes; a block where rows are long; None if there are too many."""
    if classes > MOST_CLASSES:
        return None
    v = vector_length(dtype, classes, aligned)
    instance = f"<{C_TYPES[dtype]}, {v}>"
    together = classes // v >= LONG_ROW
    if together:
        block = block_size(classes // v, 4, limits)
        blocks, shared = samples, 2 * block // WARP * 8
    else:
        block = min(ROW_THREADS, limits.threads_per_block)
        blocks, shared = ceil_div(samples, block // WARP), 0
    return Flat(instance, blocks, block, shared, together) if blocks <= limits.grid[0] else None


def plan_total(dtype: str, count: int, limits: DeviceLimits) -> Flat:
    """One block for a sum."""
    block = block_size(count, 4, limits)
    return Flat(f"<{C_TYPES[dtype]}>", 1, block, block // WARP * 8)


def plan_epilogue(
    dtype: str, size: int, columns: int, aligned: bool, limits: DeviceLimits
) -> Flat | None:
    """A vector for each thread."""
    v = vector_length(dtype, columns, aligned)
    return plan_flat(size // v, f"<{C_TYPES[dtype]}, {v}>", limits)


def plan_mask(dtype: str, size: int, limits: DeviceLimits) -> Flat | None:
    """Four elements for each thread: the words of one step of the generator."""
    return plan_flat(ceil_div(size, PHILOX_WORDS), f"<{C_TYPES[dtype]}>", limits)


def first_blocks(sizes: list[int]) -> list[int]:
    """The first block of each parameter, and the number of all of them."""
    first = [0]
    for size in sizes:
        first.append(first[-1] + ceil_div(size, OPTIMIZER_CHUNK))
    return first


def plan_optimizer(dtype: str, blocks: int, limits: DeviceLimits) -> Flat:
    """The blocks of all parameters of a table.

    Raises ValueError if a device has no grid of so many.
    """
    if not 0 < blocks <= limits.grid[0]:
        raise ValueError(
            f"optimizer step: the grid must have from 1 to {limits.grid[0]} blocks, got {blocks}"
        )
    return Flat(f"<{C_TYPES[dtype]}>", blocks, min(MOST_THREADS, limits.threads_per_block))


def _vectors() -> list[str]:
    return [f"<{C_TYPES[d]}, {v}>" for d in C_TYPES for v in (1, VECTOR_BYTES // ITEM_SIZES[d])]


def _types() -> list[str]:
    return [f"<{c}>" for c in C_TYPES.values()]


def entropy_instances(_: int) -> list[str]:
    """Instances of kernels/cross_entropy.cu."""
    rows = [f"entropy_rows{a}" for a in _vectors()]
    return rows + [kernel + a for kernel in ("entropy_columns", "total_loss") for a in _types()]


def elementwise_instances(_: int) -> list[str]:
    """Instances of kernels/elementwise.cu."""
    return [f"epilogue{a}" for a in _vectors()] + [f"dropout_mask{a}" for a in _types()]


def optimizer_instances(_: int) -> list[str]:
    """Instances of kernels/optimizers.cu."""
    return [kernel + a for kernel in ("sgd", "adam") for a in _types()]
