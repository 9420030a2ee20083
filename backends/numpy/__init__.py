"""The NumPy backend: always there, and the yardstick of the others."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_bn.backend import Backend, BackendUnavailableError


class NumPyBackend(Backend):
    """NumPy arrays on the host; overrides the reference where NumPy has a function of its own."""

    install_hint = "pip install numpy"

    def __init__(self, name: str = "numpy", device: str = "") -> None:
        if device not in ("", "cpu"):
            raise BackendUnavailableError(f"NumPy has the device 'cpu' only, not {device!r}")
        super().__init__(np, np.ndarray, name)
        for dtype in list(self._native):
            self._learn(dtype, dtype)

    def from_numpy(self, host: np.ndarray[Any, Any], copy: bool | None = None) -> Any:
        """The array itself, or a copy if asked."""
        return host.copy() if copy else host

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """The array itself: its memory is the host's."""
        return np.asarray(array)

    def wrap(self, value: Any) -> Any:
        """A zero-dimensional array of a NumPy scalar."""
        return np.asarray(value)

    def copy(self, array: Any) -> Any:
        """An array of its own memory with the same contents."""
        return np.array(array)

    def storage(self, array: Any) -> Any:
        """The array at the end of the chain of views."""
        while isinstance(array.base, np.ndarray):
            array = array.base
        return array

    def owns_memory(self, array: Any) -> bool:
        """Whether the array is no view."""
        return isinstance(array, np.ndarray) and array.base is None

    def _scatter_arrays(self, values: Any, key: Any, shape: tuple[int, ...]) -> Any:
        """Unbuffered sum: repeated positions add up."""
        out = np.zeros(shape, dtype=values.dtype)
        np.add.at(out, key, values)
        return out
