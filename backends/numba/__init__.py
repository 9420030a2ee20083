"""The Numba backend: NumPy arrays, with JIT-compiled, multi-threaded kernels where they pay."""

from __future__ import annotations

from typing import Any

from ..numpy import NumPyBackend
from . import threads
from .optim import NumbaOptim


class NumbaBackend(NumbaOptim, NumPyBackend):
    """Arrays and everything that is not overridden are NumPy's; see the mixins for the kernels."""

    install_hint = "pip install 'tinygrad_bn[numba]'"

    def __init__(self, name: str = "numba", device: str = "") -> None:
        super().__init__(name, device)
        threads.configure()

    def to_numpy(self, array: Any) -> Any:
        """The array itself: its memory is the host's."""
        return array
