"""The device's memory: what the pool holds, what an allocation failed for, and pinned uploads."""

from __future__ import annotations

import threading
from collections import deque
from typing import Any

import numpy as np

from .place import Place


class DeviceMemoryError(MemoryError):
    """The device has no room for an allocation; says what was asked and what the pool holds."""


class Memory:
    """The memory of one device, behind CuPy's pool.

    The pool itself is CuPy's default one, shared with the program's other use of CuPy; the
    allocator in front of it only explains failures.
    """

    def __init__(self, cupy: Any, place: Place) -> None:
        self._cupy = cupy
        self._place = place
        self._in_flight: deque[tuple[Any, Any]] = deque()
        self._lock = threading.Lock()
        explain_failures(cupy)

    def stats(self) -> dict[str, int]:
        """Bytes of the device and of its pool; see `CuPyBackend.memory_stats`."""
        self._place.enter()
        return pool_stats(self._cupy)

    def upload(self, host: np.ndarray[Any, Any]) -> Any:
        """A device array with the contents of `host`, without waiting; see `Backend.upload`."""
        self._place.enter()
        self._place.forbid_capture("upload")
        array = self._cupy.empty(host.shape, dtype=host.dtype)
        if host.size == 0:
            return array
        memory = self._cupy.cuda.alloc_pinned_memory(host.nbytes)
        pinned = np.frombuffer(memory, host.dtype, host.size).reshape(host.shape)
        np.copyto(pinned, host)
        stream = self._cupy.cuda.get_current_stream()
        array.set(pinned, stream=stream)
        with self._lock:
            while self._in_flight and self._in_flight[0][0].done:
                self._in_flight.popleft()
            self._in_flight.append((stream.record(), pinned))  # read until the event is done
        return array


def pool_stats(cupy: Any) -> dict[str, int]:
    """Bytes of the current device and of CuPy's pool on it."""
    pool = cupy.get_default_memory_pool()
    free, total = cupy.cuda.runtime.memGetInfo()
    return {
        "used": pool.used_bytes(),
        "cached": pool.free_bytes(),
        "reserved": pool.total_bytes(),
        "limit": pool.get_limit(),
        "device_free": free,
        "device_total": total,
        "pinned_free_blocks": cupy.get_default_pinned_memory_pool().n_free_blocks(),
    }


def described_pool(cupy: Any, template: str) -> str:
    """`template` with the figures of `pool_stats`; where they cannot be had, as after a kernel
    that broke the context, why not: the error that they belong to is the one to be raised."""
    try:
        stats = pool_stats(cupy)
    except RuntimeError as error:  # CuPy's errors of the driver and the runtime
        return f"what the pool holds is not known ({error})"
    limit = f", limited to {stats['limit']:,}" if stats["limit"] else ""
    return template.format(limited=limit, **stats)


class _Explaining:
    """An allocator that calls the pool and says more when it fails."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._pool = cupy.get_default_memory_pool()
        self._error = cupy.cuda.memory.OutOfMemoryError

    def __call__(self, size: int) -> Any:
        try:
            return self._pool.malloc(size)
        except self._error as error:
            raise DeviceMemoryError(self._explanation(size)) from error

    def _explanation(self, size: int) -> str:
        holds = described_pool(
            self._cupy,
            "the pool holds {reserved:,} bytes ({used:,} in use, {cached:,} cached{limited}), "
            "the device has {device_free:,} of {device_total:,} bytes free",
        )
        device = self._cupy.cuda.runtime.getDevice()
        return f"out of memory on cuda:{device}: asked for {size:,} bytes; {holds}"


def explain_failures(cupy: Any) -> None:
    """Put the explaining allocator in front of CuPy's default pool, unless the program has chosen
    an allocator of its own."""
    if cupy.cuda.get_allocator() == cupy.get_default_memory_pool().malloc:
        cupy.cuda.set_allocator(_Explaining(cupy))
