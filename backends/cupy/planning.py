"""Launch planning: what a device offers, and what all plans have in common.

Pure arithmetic on shapes and on the limits of a device, without CUDA. A plan says exactly which
blocks run: a grid that a device cannot launch is refused here, never cut down by a driver.
"""

from __future__ import annotations

from dataclasses import dataclass

WARP = 32
MOST_THREADS = 512
"""Threads of the largest block; the kernels are compiled for no more (`__launch_bounds__`)."""
VECTOR_BYTES = 16
PLAIN_SHARED = 48 * 1024
"""Bytes of dynamic shared memory that a block gets without opting in."""
RESERVED = 1024
"""Bytes of shared memory that the system keeps for itself in every block, from 8.0 on."""

C_TYPES = {"float16": "Half", "float32": "float", "float64": "double"}
ITEM_SIZES = {"float16": 2, "float32": 4, "float64": 8}
NAMES = {"e": "float16", "f": "float32", "d": "float64"}
"""Dtypes by their characters: NumPy works out `dtype.name` anew each time."""


@dataclass(frozen=True, slots=True)
class DeviceLimits:
    """What a device offers to a launch.

    Attributes:
        capability: compute capability, (9, 0) for an H100.
        multiprocessors: their number.
        shared_per_block: bytes of dynamic shared memory that a block can opt in to
            (cudaDevAttrMaxSharedMemoryPerBlockOptin).
        shared_per_multiprocessor: bytes of shared memory of a multiprocessor.
        threads_per_block: the most threads of a block.
        grid: the most blocks in x, y and z.
        cluster: the most blocks of a portable thread-block cluster; 1 where there are none
            (before compute capability 9.0).
    """

    capability: tuple[int, int]
    multiprocessors: int
    shared_per_block: int
    shared_per_multiprocessor: int
    threads_per_block: int = 1024
    grid: tuple[int, int, int] = (2**31 - 1, 65535, 65535)
    cluster: int = 1


def ceil_div(a: int, b: int) -> int:
    """a/b, rounded up."""
    return -(-a // b)


def power_at_least(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 << max(n - 1, 0).bit_length()


def block_size(work: int, each: int, limits: DeviceLimits) -> int:
    """Threads of a block with `work` things to do, so that each has about `each` of them."""
    most = min(MOST_THREADS, limits.threads_per_block)
    return max(WARP, min(most, power_at_least(ceil_div(work, each))))


def vector_length(dtype: str, length: int, aligned: bool) -> int:
    """Elements of an access: 16 bytes, or one where the length or an address is no multiple."""
    v = VECTOR_BYTES // ITEM_SIZES[dtype]
    return v if aligned and length % v == 0 else 1
