"""A test-only backend over array-api-strict, on a pretend device.

It offers the Python Array API standard and nothing beyond it, and refuses every implicit
conversion to NumPy, as an array on a GPU would. What runs here runs on any conforming library.
"""

import array_api_strict as xp
import numpy as np

from tinygrad_bn.backend import Backend, register_backend

xp.set_array_api_strict_flags(api_version="2024.12")


class StrictBackend(Backend):
    """The reference as it is; only crossing to the host and back is explicit."""

    def __init__(self, name="strict", device="device1"):
        array_type = type(xp.zeros(()))
        super().__init__(xp, array_type, name, xp.Device(device or "device1"))

    def from_numpy(self, host, copy=None):
        """Copied, as to a device."""
        if copy is False:
            raise ValueError("from_numpy: the strict backend always copies, and copy=False")
        return xp.asarray(np.array(host), dtype=self.native(host.dtype), device=self.device)

    def to_numpy(self, array):
        """By way of the CPU device, a copy."""
        return np.array(np.asarray(xp.asarray(array, device=xp.Device("CPU_DEVICE"), copy=True)))

    def storage(self, array):
        """The NumPy array at the end of the chain of views inside."""
        inner = array._array
        while isinstance(inner.base, np.ndarray):
            inner = inner.base
        return inner

    def owns_memory(self, array):
        """Whether the array inside is no view."""
        return array._array.base is None


register_backend("strict", StrictBackend)
