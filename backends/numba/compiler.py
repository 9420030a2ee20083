"""How kernels are compiled: at first call, without the interpreter lock, kept on disk.

`kernel` makes a function that other kernels may call. `driver` makes one that Python calls: its
source has loops over `prange`, and it is compiled serially and, when first wanted, in parallel.

Fast-math is limited to what keeps NaN and infinity: sums may be reordered, products and sums
contracted, the sign of zero ignored.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from types import FunctionType
from typing import Any

import numba
import numpy as np
from numba.core.compiler import CompilerBase, DefaultPassBuilder

from . import threads
from .cache import DiskCache

COMPILED = not threads.config.DISABLE_JIT
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
}
SERIAL_BELOW = int(os.environ.get("TINYGRAD_BN_SERIAL_BELOW", 1 << 15))
"""Work (elements read and written, about) that does not pay for starting threads."""


PARALLEL = dict.fromkeys(
    ("comprehension", "fusion", "inplace_binop", "numpy", "reduction", "setitem", "stencil"), False
)
"""Only the loops that say so, over `prange`, run in parallel."""


class Distinct(CompilerBase):
    """Numba's compiler, told that no two array arguments share memory.

    Without it LLVM would have to prove that rows do not overlap, and gives up on a handful.
    """

    def define_pipelines(self) -> list[Any]:
        """The usual passes."""
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


def _compile(function: Callable[..., Any], **options: Any) -> Any:
    dispatcher = numba.njit(pipeline_class=Distinct, **OPTIONS, **options)(function)
    if COMPILED:
        dispatcher._cache = DiskCache(function)
    return dispatcher


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function for other kernels to call."""
    return _compile(function, forceinline=True)


def exact(function: Callable[..., Any]) -> Any:
    """A function for kernels to call whose sums are not reordered, also where it is inlined.

    Without it LLVM may turn (x - mean) - low into x - (mean + low), which loses what low is for.
    """
    return numba.njit(**OPTIONS | {"fastmath": {"contract"}, "forceinline": True})(function)


class Driver:
    """A kernel as Python calls it: `driver(work, *arguments)`.

    Attributes:
        serial, parallel: the two compiled forms; their results have the same bits.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.__doc__ = function.__doc__
        self.__name__ = function.__name__
        self.serial = _compile(function)
        self.parallel = _compile(_renamed(function), parallel=PARALLEL | {"prange": True})

    def __call__(self, work: int, *arguments: Any) -> Any:
        if work < SERIAL_BELOW or not threads.enter():
            return self.serial(*arguments)
        try:
            return self.parallel(*arguments)
        finally:
            threads.leave()


class InterpretedDriver(Driver):
    """A driver with compilation switched off: plain Python, for debugging and coverage."""

    def __call__(self, work: int, *arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return self.serial(*arguments)


def driver(function: Callable[..., Any]) -> Driver:
    """A decorator: the function as a kernel that Python calls."""
    return Driver(function) if COMPILED else InterpretedDriver(function)


def _renamed(function: Any) -> Any:
    """The function under another name, so that its compiled forms are kept apart."""
    name = f"{function.__name__}_parallel"
    twin = FunctionType(function.__code__, function.__globals__, name)
    twin.__qualname__ = f"{function.__qualname__}_parallel"
    twin.__module__ = function.__module__
    return twin
