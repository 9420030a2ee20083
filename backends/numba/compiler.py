"""How kernels are compiled: at first call, without the interpreter lock, kept on disk.

`kernel` makes a function that other kernels call, `exact` one whose sums are not reordered, and
`strict` one whose products are not contracted either; `walk` makes one that has no arithmetic of
its own. None may create an array, which is what `maker` is for, nor return one.
`driver` makes one that Python calls, as `fn(work, *arguments)`: its source has loops over `prange`,
and it is compiled serially and, when that is first wanted, in parallel. The two give the same bits
for any number of threads, so the iterations of a `prange` loop must be independent, or meet as
`kernels.meeting` has it: no sum over them, no `get_thread_id`. What a thread must not do either:
call BLAS (`@`, `np.dot`).

Every type of argument is a compiled form of its own and costs about a second at its first call.
Give drivers arrays for which `array.flags.carray` holds (C-contiguous, aligned, writable), numbers
as int or float, and None for what is absent; a Python bool is a type of its own, and the slowest.
A view made in a loop over `prange` counts a reference, an atomic operation on memory that all
threads share: loops hand whole arrays to a `walk`, which makes the views.

An array that a driver writes to must share no memory with its other arguments: it is compiled on
that understanding, so nothing is done in place under two names. A total in float64 begins as
`np.float64(0)`: run as plain Python, 0.0 and a float32 add up to a float32.

Each driver declares arguments that training gives it, next to its source:

    @forward.examples
    def _(rng, dtype):
        x = rng.standard_normal((7, 5, 33)).astype(dtype)
        yield x, None, np.zeros_like(x), np.zeros((4, 5)), 1, 1e-5

Outputs are zeros, not `np.empty`, so that equal seeds give equal bytes; where arguments hold the
addresses of arrays, they are `Held(arguments, arrays)`. A few thousand elements make a loop of
several blocks. They are what `tinygrad-bn backends --warm-up` compiles, and what the tests put
every driver through: thread counts, serial against parallel, threading layers, the disk cache.

Fast-math is limited to what keeps NaN and infinity: sums may be reordered, products and sums
contracted, the sign of zero ignored.
"""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterable, Iterator
from types import FunctionType
from typing import Any

import numpy as np
from numba import int64
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.cpu_options import ParallelOptions
from numba.core.registry import CPUDispatcher

from . import fingerprint, threads
from .cache import DiskCache

COMPILED = not threads.config.DISABLE_JIT
OPTIONS: dict[str, Any] = {
    "nogil": True,
    "fastmath": {"reassoc", "contract", "nsz"},
    "error_model": "numpy",
    "nopython": True,
    "no_cfunc_wrapper": True,
}
_PARALLEL = ParallelOptions(
    {
        "prange": True,
        "comprehension": False,
        "fusion": False,
        "inplace_binop": False,
        "numpy": False,
        "reduction": False,
        "setitem": False,
        "stencil": False,
    }
)
"""Loops over `prange` run in parallel, and nothing that looks like one."""

SERIAL_BELOW = 1 << 15
"""Work (elements read and written, about) that does not pay for starting threads.

Two threads of tbb start and meet again in 1.5 to 3 µs, on an AMD EPYC; a serial sigmoid takes
9.5 µs for 2^15 of work, a serial relu 2.1 µs. `python -m benchmarks.thread_crossover` measures it.
"""

DRIVERS: list[Driver] = []
"""All drivers of this process, in the order of their definition."""


class Held(tuple[Any, ...]):
    """Arguments of a driver, and the arrays that they reach by address only."""

    arrays: tuple[Any, ...]

    def __new__(cls, arguments: Iterable[Any], arrays: Iterable[Any]) -> Held:
        made = super().__new__(cls, arguments)
        made.arrays = tuple(arrays)
        return made


Examples = Callable[[np.random.Generator, Any], Iterable[tuple[Any, ...]]]


class Distinct(CompilerBase):
    """Numba's compiler, told that no two array arguments share memory.

    Without it LLVM would have to prove that rows do not overlap, and gives up on a handful.
    """

    def define_pipelines(self) -> list[Any]:
        """The usual passes."""
        self.state.flags.noalias = True
        return [DefaultPassBuilder.define_nopython_pipeline(self.state)]


class _Part(JITCodeLibrary):
    """Code that becomes part of other code, and is made machine code there alone."""

    def _finalize_final_module(self) -> None:
        self._finalize_dynamic_globals()
        self._finalized = True

    @property
    def codegen(self) -> Any:
        """Asked for by Numba to tell code that Python calls about its surroundings."""
        return self

    def set_env(self, name: str, environment: Any) -> None:
        """Python does not call this code."""


class _Raw(_Part):
    """A part that is not optimized on its own either."""

    def _optimize_functions(self, ll_module: Any) -> None:
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self) -> None:
        pass


class _Inlined(Distinct):
    """The compiler of kernels that other kernels call."""

    library: type[_Part] = _Part

    def define_pipelines(self) -> list[Any]:
        """The usual passes, into a library of the wanted kind."""
        codegen = self.state.targetctx.codegen()
        self.state.library = self.library(codegen, self.state.func_id.func_qualname)
        return super().define_pipelines()


class _InlinedRaw(_Inlined):
    """The same for those that nothing is lost on before they are inlined."""

    library = _Raw


class _Dispatcher(CPUDispatcher):
    """Numba's dispatcher, compiling without a look for garbage, which takes a tenth of the time."""

    def compile(self, sig: Any) -> Any:
        """The code for a signature, compiled or from the disk."""
        enabled = gc.isenabled()
        gc.disable()
        try:
            return super().compile(sig)
        finally:
            if enabled:
                gc.enable()


class _Inner(_Dispatcher):
    """A compiled function without the wrapper that Python would need, a quarter of its code."""

    def __call__(self, *arguments: Any) -> Any:
        raise TypeError(
            f"{self.py_func.__name__}: a kernel is called by other kernels, from Python use a "
            f"driver (or .py_func, or NUMBA_DISABLE_JIT=1)"
        )


def kernel(function: Callable[..., Any]) -> Any:
    """A compiled function for other kernels to call, which creates no arrays.

    It takes views without counting references to them: counting is an atomic operation on memory
    that all threads share, and for a row of a kilobyte costs more than the row.
    """
    return _inner(function, OPTIONS | {"_nrt": False})


def maker(function: Callable[..., Any]) -> Any:
    """A compiled function for other kernels to call, which may create arrays and return them."""
    return _inner(function, OPTIONS)


def exact(function: Callable[..., Any]) -> Any:
    """A function for kernels to call whose sums are not reordered, also where it is inlined.

    Without it LLVM may turn (x - mean) - low into x - (mean + low), which loses what low is for.
    """
    return _inner(function, OPTIONS | {"fastmath": {"contract"}, "_nrt": False}, _InlinedRaw)


def strict(function: Callable[..., Any]) -> Any:
    """A function for kernels to call that rounds every sum and product by itself.

    In a·b + c·d either product may be contracted with the sum, and which one depends on the code
    around it, so that the two forms of a driver could differ in the last bit.
    """
    return _inner(function, OPTIONS | {"fastmath": False, "_nrt": False}, _InlinedRaw)


def walk(function: Callable[..., Any]) -> Any:
    """A kernel that hands parts of arrays to others and does no arithmetic on floats itself.

    It is optimized within what it is inlined into. A `kernel` is so on its own before: its sums are
    put into vectors in the same way whatever it is part of, and the two forms of a driver have the
    same bits. For kernels that call kernels that call kernels that would be most of the work.
    """
    return _inner(function, OPTIONS | {"_nrt": False}, _InlinedRaw)


def driver(function: Callable[..., Any]) -> Driver:
    """A decorator: the function as a kernel that Python calls."""
    made = Driver(function) if COMPILED else InterpretedDriver(function)
    DRIVERS.append(made)
    return made


class Driver:
    """A kernel as Python calls it: `driver(work, *arguments)`.

    One whose first parameter is `workers` is told how many threads will share its loops, 1 in its
    serial form; callers and examples leave that out.

    Attributes:
        serial, parallel: the two compiled forms; their results have the same bits.
    """

    __name__: str
    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.serial = _compiled(function, OPTIONS)
        self._examples: Examples | None = None

    @functools.cached_property
    def parallel(self) -> Any:
        """The form that runs in several threads, made when it is first wanted.

        It is the serial one where there is no `prange`.
        """
        if "prange" not in self.serial.py_func.__code__.co_names:
            return self.serial
        threads.start()
        return _compiled(self.serial.py_func, OPTIONS | {"parallel": _PARALLEL})

    @functools.cached_property
    def _told(self) -> bool:
        return self.__wrapped__.__code__.co_varnames[:1] == ("workers",)

    @functools.cached_property
    def alone(self) -> Callable[..., Any]:
        """The serial form as callers call it."""
        return functools.partial(self.serial, 1) if self._told else self.serial

    def __call__(self, work: int, *arguments: Any) -> Any:
        if work < SERIAL_BELOW or not threads.enter(work):
            return self.alone(*arguments)
        try:
            if self._told:
                return self.parallel(threads.get_num_threads(), *arguments)
            return self.parallel(*arguments)
        finally:
            threads.leave()

    def for_work(self, work: int) -> Callable[..., Any]:
        """What `driver(work, …)` calls, without its detour where that is the serial form."""
        return self.alone if work < SERIAL_BELOW else functools.partial(self.__call__, work)

    @property
    def title(self) -> str:
        """Its module and the name under which the module has it: 'softmax.cross_entropy'."""
        names = [n for n, value in vars(sys.modules[self.__module__]).items() if value is self]
        return f"{self.__module__.rpartition('.')[2]}.{names[0] if names else self.__name__}"

    def examples(self, function: Examples) -> Examples:
        """A decorator: a function of a random generator and a dtype that yields arguments."""
        self._examples = function
        return function

    def example_arguments(self, dtype: Any, seed: int = 0) -> Iterator[tuple[Any, ...]]:
        """Arguments that training gives, without the work; new arrays each time."""
        if self._examples is not None:
            yield from self._examples(np.random.default_rng(seed), np.dtype(dtype))

    def compile(self, types: tuple[Any, ...], *, parallel: bool) -> None:
        """Compile, or fetch from the disk, the form for arguments of these types of Numba's."""
        form = self.parallel if parallel else self.serial
        form.compile((int64, *types) if self._told else types)


class InterpretedDriver(Driver):
    """A driver with compilation switched off: plain Python, for debugging and coverage."""

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self.serial = self.parallel = np.errstate(all="ignore")(function)
        self._examples = None

    def __call__(self, work: int, *arguments: Any) -> Any:
        return self.alone(*arguments)


def _inner(function: Any, options: dict[str, Any], compiler: type[_Inlined] = _Inlined) -> Any:
    if not COMPILED:
        return function
    options = options | {"no_cpython_wrapper": True, "forceinline": True}
    return _Inner(_twin(function, options), targetoptions=options, pipeline_class=compiler)


def _compiled(function: Any, options: dict[str, Any]) -> Any:
    twin = _twin(function, options)
    dispatcher: Any = _Dispatcher(twin, targetoptions=dict(options), pipeline_class=Distinct)
    dispatcher._cache = DiskCache(twin, options)
    return dispatcher


def _twin(function: Any, options: dict[str, Any]) -> Any:
    """The function under a name that no other has.

    Compiled code is found by name, and two processes number functions of one name in their own
    ways: loaded into a third process, the code of one could answer for the other.
    """
    twin = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    tag = fingerprint.of_definition(twin, options)[:12]
    twin.__qualname__ = f"{function.__qualname__.partition('-')[0]}-{tag}"
    twin.__module__ = function.__module__
    twin.__doc__ = function.__doc__
    return twin
