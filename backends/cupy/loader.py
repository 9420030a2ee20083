"""Compiling and launching the hand-written kernels by way of CuPy's RawModule.

A template instance is compiled at its first launch and cached: in memory for the device, and by
CuPy on disk. CuPy knows nothing of the files that a source includes, so the digest of all sources
stands in front of each, and a change of any makes its own entry in that cache.
"""

from __future__ import annotations

import functools
import hashlib
import re
from typing import Any

import numpy as np

from .launch import KERNELS, OPTIONS, Launch, source_files
from .memory import DeviceMemoryError, described_pool
from .place import Place
from .planning import DeviceLimits

STATIC_SHARED = 48 << 10
"""Bytes of shared memory that a kernel may use without being allowed more."""
CLUSTERS_SINCE = (9, 0)
PORTABLE_CLUSTER = 8
NULL = np.uint64(0)
OUT_OF_MEMORY = re.compile("out[ _]of[ _]memory", re.IGNORECASE)
"""As in CUDA_ERROR_OUT_OF_MEMORY, and not in 'an illegal memory access was encountered'."""


class KernelError(RuntimeError):
    """A kernel could not be compiled or launched; names it, its instance and its arguments."""


@functools.cache
def digests() -> dict[str, str]:
    """SHA-256 of every file that kernels are compiled from."""
    return {
        name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in source_files().items()
    }


@functools.cache
def source_text(source: str) -> str:
    """The text of `kernels/<source>.cu` behind a digest of all sources."""
    path = KERNELS / f"{source}.cu"
    if not path.exists():
        raise KernelError(f"kernel {source!r}: there is no source {path.name} among the kernels")
    everything = hashlib.sha256("".join(digests().values()).encode()).hexdigest()
    return f"// {everything}\n{path.read_text(encoding='utf-8')}"


def device_limits(cupy: Any, index: int) -> DeviceLimits:
    """What a device offers to launches."""
    runtime = cupy.cuda.runtime

    def attribute(name: str) -> int:
        return runtime.deviceGetAttribute(getattr(runtime, f"cudaDevAttr{name}"), index)

    written = cupy.cuda.Device(index).compute_capability  # '90', '100'
    capability = (int(written[:-1]), int(written[-1]))
    return DeviceLimits(
        capability=capability,
        multiprocessors=attribute("MultiProcessorCount"),
        shared_per_block=attribute("MaxSharedMemoryPerBlockOptin"),
        shared_per_multiprocessor=attribute("MaxSharedMemoryPerMultiprocessor"),
        threads_per_block=attribute("MaxThreadsPerBlock"),
        grid=(attribute("MaxGridDimX"), attribute("MaxGridDimY"), attribute("MaxGridDimZ")),
        cluster=PORTABLE_CLUSTER if capability >= CLUSTERS_SINCE else 1,
    )


class Loader:
    """Kernels of one device, compiled at first use."""

    def __init__(self, cupy: Any, place: Place) -> None:
        self._cupy = cupy
        self._place = place
        self._kernels: dict[tuple[str, str], Any] = {}
        self._allowed: dict[tuple[str, str], int] = {}
        self._options = (*OPTIONS, f"-I{KERNELS}")

    def launch(self, launch: Launch, arguments: tuple[Any, ...]) -> None:
        """Put a kernel on the current stream; see `launch.KernelHost.launch`."""
        key = (launch.source, launch.instance)
        kernel = self._kernels.get(key)
        if kernel is None:
            kernel = self._kernels[key] = self._compiled(launch, arguments)
        values = tuple([_value(a) for a in arguments])
        try:
            if launch.shared > self._allowed.get(key, STATIC_SHARED):
                kernel.max_dynamic_shared_size_bytes = launch.shared
                self._allowed[key] = launch.shared
            kernel(launch.grid, (launch.block, 1, 1), values, shared_mem=launch.shared)
        except RuntimeError as error:  # CuPy's errors of the driver and the runtime
            raise self._explained(launch, arguments, "launched", error) from error

    def _compiled(self, launch: Launch, arguments: tuple[Any, ...]) -> Any:
        self._place.forbid_capture(f"compiling kernel {launch.instance!r}")
        module = self._cupy.RawModule(
            code=source_text(launch.source),
            options=self._options,
            name_expressions=(launch.instance,),
        )
        try:
            kernel = module.get_function(launch.instance)
            kernel.compile()
        except (self._cupy.cuda.compiler.CompileException, RuntimeError) as error:
            raise self._explained(launch, arguments, "compiled", error) from error
        return kernel

    def _explained(
        self, launch: Launch, arguments: tuple[Any, ...], deed: str, error: Exception
    ) -> Exception:
        given = ", ".join(_described(a) for a in arguments)
        text = (
            f"kernel {launch.source!r}, instance {launch.instance!r}, could not be {deed} on "
            f"{self._place}: grid {launch.grid}, block {launch.block}, {launch.shared} bytes of "
            f"shared memory, cluster {launch.cluster}, arguments ({given}): {error}"
        )
        if not self._lacks_memory(error):
            return KernelError(text)
        holds = (
            "the pool holds {reserved:,} bytes ({used:,} in use), "
            "the device has {device_free:,} bytes free"
        )
        return DeviceMemoryError(f"{text}; {described_pool(self._cupy, holds)}")

    def _lacks_memory(self, error: Exception) -> bool:
        """Whether the device had no room to launch a kernel or to load it; a compiler's message
        never says so."""
        cuda = self._cupy.cuda
        of_the_device = isinstance(
            error, (cuda.driver.CUDADriverError, cuda.runtime.CUDARuntimeError)
        )
        return of_the_device and OUT_OF_MEMORY.search(str(error)) is not None


def _value(argument: Any) -> Any:
    """An argument as CuPy takes it: a struct as an array of one, a null pointer as a number."""
    if argument is None:
        return NULL
    return np.array([argument]) if isinstance(argument, np.void) else argument


def _described(argument: Any) -> str:
    if argument is None:
        return "null"
    if isinstance(argument, np.generic):
        return f"{argument.dtype.name} {argument}" if argument.dtype.names is None else "a struct"
    return f"{argument.dtype.name} {tuple(argument.shape)}"
