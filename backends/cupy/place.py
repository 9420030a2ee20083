"""Where a backend computes: the library, one CUDA device, and a stream for each thread."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_bn.backend import BackendUnavailableError

INSTALL = (
    "pip install 'tinygrad_bn[cupy-cuda13]' (driver for CUDA 13) or "
    "'tinygrad_bn[cupy-cuda12]' (CUDA 12)"
)
VISIBLE = "CUDA_VISIBLE_DEVICES"
DEFAULT_STREAM = 0
"""The pointer of the stream that a thread has until it is given another."""


def find_library() -> Any:
    """The module `cupy`, with a driver that it can use.

    Raises BackendUnavailableError, which says whether the package, the driver or CUDA's libraries
    are missing.
    """
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        raise BackendUnavailableError(
            f"the package is missing: cupy could not be imported ({error}). "
            f"Install it with: {INSTALL}"
        ) from error
    runtime = cupy.cuda.runtime
    try:
        driver = runtime.driverGetVersion()
    except runtime.CUDARuntimeError:
        driver = 0
    if driver == 0:
        raise BackendUnavailableError(
            "the driver is missing: cupy is installed, but no NVIDIA driver is loaded. Install "
            "the driver of your GPU; `nvidia-smi` must list the GPU"
        )
    built = runtime.runtimeGetVersion()
    if driver // 1000 < built // 1000:
        raise BackendUnavailableError(
            f"the driver is too old: it serves CUDA up to {_version(driver)}, the installed cupy "
            f"is for CUDA {_version(built)}. Update the driver, or install the cupy of the "
            f"driver's CUDA: {INSTALL}"
        )
    try:
        cupy.cuda.nvrtc.getVersion()
    except (ImportError, OSError, RuntimeError) as error:  # as the search of it fails
        raise BackendUnavailableError(
            f"CUDA's libraries are missing: the driver is loaded, but cupy finds no NVRTC, which "
            f"compiles its kernels ({error}). Install them beside it: {INSTALL}; or a CUDA "
            f"toolkit {built // 1000}.x, with CUDA_PATH set to its folder"
        ) from error
    return cupy


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


def find_device(cupy: Any, device: str) -> int:
    """The index of the device that a name such as 'cupy:1' asks for; '' is the first visible one.

    Raises BackendUnavailableError if there is no such device.
    """
    if device and not (device.isascii() and device.isdigit()):
        raise BackendUnavailableError(
            f"the device must be a number, as in 'cupy:1', not {device!r}"
        )
    visible = os.environ.get(VISIBLE)
    seen = "" if visible is None else f" ({VISIBLE} is {visible!r})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise BackendUnavailableError(
            f"the device is missing: the driver is loaded, but gives no GPU{seen}: {error}. "
            f"`nvidia-smi` must list one, and {VISIBLE} must not hide it"
        ) from error
    if count == 0:
        raise BackendUnavailableError(
            f"the device is missing: the driver is loaded, but gives no GPU{seen}. "
            f"`nvidia-smi` must list one, and {VISIBLE} must not hide it"
        )
    index = int(device or 0)
    if index >= count:
        numbers = "0" if count == 1 else f"0 to {count - 1}"
        raise BackendUnavailableError(
            f"the device {index} is missing: there is {numbers}{seen}, counted among the "
            "visible ones"
        )
    return index


_places: dict[tuple[Any, int], Place] = {}
_lock = threading.Lock()


def place_of(cupy: Any, index: int) -> Place:
    """The one `Place` of a device: 'cupy' and 'cupy:0' share their streams."""
    with _lock:
        if (cupy, index) not in _places:
            _places[cupy, index] = Place(cupy, index)
        return _places[cupy, index]


class Place:
    """A CUDA device, and on it a stream for each thread that comes along.

    The main thread keeps CuPy's default stream, every other thread gets a stream of its own. These
    are blocking streams in CUDA's sense: the device orders them with the default stream, so a
    tensor may go from the main thread to another one and back without further ado. Two other
    threads are not ordered with each other: one calls `synchronize()` before the other reads.

    Attributes:
        index: the device's number among the visible ones.
        name: what the driver calls it.
    """

    def __init__(self, cupy: Any, index: int) -> None:
        self._cupy = cupy
        self._runtime = cupy.cuda.runtime
        self._device = cupy.cuda.Device(index)
        self._threads = threading.local()
        self.index: int = index
        name = self._runtime.getDeviceProperties(index)["name"]
        self.name: str = name.decode() if isinstance(name, bytes) else str(name)

    def __str__(self) -> str:
        return f"cuda:{self.index} ({self.name})"

    def enter(self) -> None:
        """Make the device and this thread's stream the current ones."""
        if self._runtime.getDevice() != self.index:
            self._device.use()
        if not hasattr(self._threads, "stream"):
            self._give_stream()

    def _give_stream(self) -> None:
        """A stream for this thread, kept alive as long as it is. Inside a block of the program's
        own stream there is none yet: `use` would replace that one."""
        if threading.current_thread() is threading.main_thread():
            self._threads.stream = None
        elif self._cupy.cuda.get_current_stream().ptr == DEFAULT_STREAM:
            self._threads.stream = self._cupy.cuda.Stream()
            self._threads.stream.use()

    @property
    def capturing(self) -> bool:
        """Whether this thread records a graph on the device at the moment."""
        return getattr(self._threads, "capturing", False)

    @capturing.setter
    def capturing(self, value: bool) -> None:
        self._threads.capturing = value

    @property
    def products(self) -> Any:
        """What multiplies matrices in this thread in place of CuPy; None for CuPy itself."""
        return getattr(self._threads, "products", None)

    @contextmanager
    def multiplying_by(self, products: Any) -> Iterator[None]:
        """In the block this thread's matrices are multiplied by `products`."""
        before = self.products
        self._threads.products = products
        try:
            yield
        finally:
            self._threads.products = before

    def forbid_capture(self, what: str) -> None:
        """RuntimeError if this thread records a graph: `what` would not be part of it."""
        if self.capturing:
            raise RuntimeError(
                f"{what}: not possible while a step is being captured on {self}; do it outside "
                "the captured function"
            )

    def synchronize(self) -> None:
        """Wait for all streams of the device."""
        self.forbid_capture("synchronize")
        self._device.synchronize()
