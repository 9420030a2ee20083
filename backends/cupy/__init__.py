"""The CuPy backend: NVIDIA GPUs, one backend for each ('cupy' is the first, 'cupy:1' the next).

The devices are those that CUDA_VISIBLE_DEVICES lets through. The engine makes a backend's device
the current one of the thread before every operation and every step of a backward pass, so tensors
on several devices can be used side by side; a thread's other use of CuPy then finds the device
that was used last. Operations are queued: the host waits only where a value is read there.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np

from tinygrad_bn.backend import Backend

from .activation import CuPyActivation
from .affine import CuPyAffine
from .arrays import CuPyArrays
from .capture import GraphRecorder
from .generator import DeviceGenerator
from .indexing import CuPyIndexing
from .launch import Launch
from .linalg import CuPyLinalg
from .loader import KernelError, Loader, device_limits
from .memory import DeviceMemoryError, Memory
from .normalization import CuPyNormalization
from .optim import CuPyOptim
from .place import find_device, find_library, place_of

__all__ = ["CuPyBackend", "DeviceMemoryError", "KernelError"]


class CuPyBackend(
    CuPyNormalization,
    CuPyActivation,
    CuPyAffine,
    CuPyOptim,
    CuPyArrays,
    CuPyIndexing,
    CuPyLinalg,
    Backend,
):
    """CuPy arrays on one CUDA device: fused kernels first, then CuPy, then the reference.

    Attributes:
        place: the device and this thread's stream on it.
        limits: what the device offers to a kernel's launch.
    """

    def __init__(self, name: str = "cupy", device: str = "") -> None:
        cupy = find_library()
        index = find_device(cupy, device)
        super().__init__(cupy, cupy.ndarray, name)
        self.place = place_of(cupy, index)
        self.device = str(self.place)
        self.errstate = importlib.import_module("cupyx").errstate
        self.generator_kind = f"cupy:{index}"
        self.placed = True
        self.limits = device_limits(cupy, index)
        self._memory = Memory(cupy, self.place)
        self._loader = Loader(cupy, self.place)
        self.activate = self.place.enter  # type: ignore[method-assign]
        self.activate()

    @property
    def _place(self) -> dict[str, Any]:
        """CuPy creates on the current device; its functions know no `device`."""
        self.place.enter()
        return {}

    # ------------------------------------------------------------------------- conversion

    def asarray(self, value: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        """As the reference; an array of another device is copied to this one."""
        self.place.enter()
        if value.__class__ is self.array_type and value.device.id != self.place.index:
            value = value.copy()  # onto the current device
        return super().asarray(value, dtype, copy)

    def from_numpy(self, host: np.ndarray[Any, Any], copy: bool | None = None) -> Any:
        """A copy on the device.

        Raises ValueError for copy=False, RuntimeError while a step is being captured.
        """
        if copy is False:
            raise ValueError("from_numpy: data on the host must be copied to a device, copy=False")
        self.place.enter()
        self.place.forbid_capture("copying data to the device")
        return self.xp.asarray(host)

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """A copy on the host, when all that was queued before is done.

        Raises RuntimeError while a step is being captured.
        """
        self.place.enter()
        self.place.forbid_capture("reading a value on the host")
        return array.get()

    def upload(self, host: np.ndarray[Any, Any]) -> Any:
        """A copy on the device by way of page-locked memory; the host goes on at once."""
        return self._memory.upload(host)

    def storage(self, array: Any) -> Any:
        """The array at the end of the chain of views: CuPy's memory objects take no weak
        references."""
        while array.base is not None:
            array = array.base
        return array

    def owns_memory(self, array: Any) -> bool:
        """Whether the array is no view."""
        return array.base is None

    def synchronize(self) -> None:
        """Wait until the device has done all that any thread has queued."""
        self.place.synchronize()

    def recorder(self) -> GraphRecorder:
        """A CUDA graph to be recorded."""
        return GraphRecorder(self)

    def memory_stats(self) -> dict[str, int]:
        """Bytes on the device: of CuPy's pool `used` by arrays, `cached` for the next ones,
        `reserved` (both) and its `limit` (0: none); `device_free` and `device_total`; and the
        number of `pinned_free_blocks` on the host."""
        return self._memory.stats()

    # ---------------------------------------------------------------------------- kernels

    def launch(self, launch: Launch, *arguments: Any) -> None:
        """Put a kernel on the current stream, compiled if this is its first launch.

        Raises KernelError, or DeviceMemoryError, that names the kernel and its arguments.
        """
        self._loader.launch(launch, arguments)

    def address(self, array: Any) -> int:
        """The address of the first element of an array."""
        return array.data.ptr

    # --------------------------------------------------------------------------- creation

    def full(self, shape: Any, fill_value: Any, *, dtype: Any) -> Any:
        """Array of one value; OverflowError if the dtype does not hold it."""
        value = np.full((), fill_value, dtype=self.native(dtype))
        return super().full(shape, value[()], dtype=dtype)

    def make_generator(self, seed: int) -> Any:
        """A random stream on the device."""
        return DeviceGenerator(self.xp, self.place, seed)
