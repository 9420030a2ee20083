"""The Numba backend: NumPy arrays, with JIT-compiled, multi-threaded kernels where they pay.

`set_num_threads` and `get_num_threads` say how many threads kernels may use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ..numpy import NumPyBackend
from . import cache, compiler, memory, threads
from .activation import NumbaActivation
from .dropout import NumbaDropout
from .normalization import NumbaNormalization
from .optim import NumbaOptim
from .products import NumbaProducts
from .reduction import NumbaReduction
from .threads import get_num_threads, set_num_threads
from .warm_up import preparations

__all__ = ["NumbaBackend", "get_num_threads", "set_num_threads"]


class NumbaBackend(
    NumbaActivation,
    NumbaDropout,
    NumbaNormalization,
    NumbaOptim,
    NumbaProducts,
    NumbaReduction,
    NumPyBackend,
):
    """Arrays and everything that is not overridden are NumPy's; see the mixins for the kernels."""

    install_hint = "pip install 'tinygrad_bn[numba]'"

    def __init__(self, name: str = "numba", device: str = "") -> None:
        super().__init__(name, device)
        threads.configure()

    def library(self) -> str:
        """Numba with its version."""
        return f"numba {numba.__version__}"

    def details(self) -> dict[str, str]:
        """How kernels run and where they are kept."""
        if not compiler.COMPILED:
            return {"kernels": "plain Python, by NUMBA_DISABLE_JIT"}
        return {
            "threads": str(threads.get_num_threads()),
            "threading layer": threads.start(),
            "cache": str(cache.folder(cache.root()) or "none"),
        }

    def preparations(self) -> list[tuple[str, Callable[[], object]]]:
        """Kernels to compile for training in float32."""
        return preparations()

    def to_numpy(self, array: Any) -> Any:
        """The array itself: its memory is the host's."""
        return array

    def copy(self, array: Any) -> Any:
        """An array of its own memory with the same contents; a large one begins at a line of the
        caches, which kernels read 5 to 8 % faster than one from NumPy."""
        if array.nbytes < memory.LEAST or array.dtype.hasobject or not array.flags.c_contiguous:
            return np.array(array)
        out = memory.empty(array.shape, array.dtype)
        np.copyto(out, array)
        return out

    def owns_memory(self, array: Any) -> bool:
        """Whether the array is no view; one over a lease of `memory` counts as its own."""
        return array.base is None or type(array.base) is memory.Lease
