"""Launch planning: which kernel runs, on which grid, with how much shared memory.

Pure arithmetic on shapes and on the limits of a device, without CUDA.
"""

from __future__ import annotations

from dataclasses import dataclass


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
