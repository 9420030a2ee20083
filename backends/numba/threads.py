"""How many threads kernels use, and when they may.

Kernels never start threads of their own: Numba's threading layer (tbb, omp or workqueue) does. A
parallel kernel is entered by one Python thread at a time: workqueue would abort the process
otherwise, and the others would have more threads than processors. Whoever comes second runs the
serial form of the same kernel, which gives the same bits. So does a forked child: the threads
stayed with its parent, and OpenMP aborts a child that asks for them.

OpenMP is asked for first, then tbb, which serves where the system has no libgomp (`pip install tbb`
puts its library where the system does not look, so it is loaded here). Batch norm forward and
backward of (8192, 256) took 1.04 ms with OpenMP and 1.64 ms with tbb, whose threads do not come
back to the rows that they have in their caches.

GNU's OpenMP lets idle threads spin for milliseconds, which a processor that NumPy's matrix
products want next cannot afford: a training step of 784-512-512-512-10 took 112 ms with its
default, and 12 ms where they spin for a tenth of a millisecond, and loops of batch norm start as
quickly. Threads that sleep at once cost each loop 100 µs. `SPINS` turns are about three tenths of a
millisecond: what Python needs between two kernels that have emptied its caches. On two cores of an
Intel Xeon, whose threads slept after 10,000 turns, batch norm forward and backward of
(128, 16, 32, 32) took 1.32 ms with those and takes 1.25 ms; the step of 784-512 is the same.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import sys
import threading
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, files
from typing import Any

import numba
from numba.core.compiler_lock import global_compiler_lock
from numba.np.ufunc import parallel

from tinygrad_bn.backend import BackendUnavailableError

config: Any = numba.config
"""Numba's settings, which its type hints do not know."""
pool: Any = parallel
"""What starts Numba's threads; its own `set_num_threads` cannot go above the processors."""

VARIABLE = "TINYGRAD_BN_NUM_THREADS"
_LAYERS = ["omp", "tbb", "workqueue"]
_PRIORITY = "NUMBA_THREADING_LAYER_PRIORITY"
_TBB = {"linux": "libtbb.so.12", "darwin": "libtbb.12.dylib", "win32": "tbb12.dll"}

_SPIN = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
SPINS = "30000"

SPREAD = 1 << 18
"""Multiplications of a matrix product that OpenBLAS shares among threads."""
BLAS_SPIN = 0.025
"""Seconds, about, that its idle threads then keep their processors: 2**26 turns. A loop started
meanwhile waits for the scheduler to take one away, some 2.5 ms."""
PRESSING = 1 << 23
"""Work that is worth that wait."""
_blas_spins_until = 0.0

_busy = threading.Lock()
_count = 1
_told = 0
"""How many threads the layer lets the main thread use; 0 if it was not told."""
_MAIN = threading.main_thread().ident
_forked = False


def set_num_threads(count: int) -> None:
    """Let kernels use up to `count` threads from now on, in every Python thread.

    Results do not depend on it. At first use, the environment variable TINYGRAD_BN_NUM_THREADS
    says how many; without it, all processors that the process may run on. NumPy's matrix products
    have threads of their own (OPENBLAS_NUM_THREADS).

    Raises:
        TypeError: a count that is no int.
        ValueError: a count below 1, or above the number of threads that run already.
    """
    global _count
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"set_num_threads: count must be an int, got {count!r}")
    if count < 1:
        raise ValueError(f"set_num_threads: count must be at least 1, got {count}")
    if count > pool.NUM_THREADS:
        if pool._is_initialized:
            raise ValueError(
                f"set_num_threads: count must be at most {pool.NUM_THREADS}, the number of "
                f"threads that are running, got {count}; set {VARIABLE}={count} before the "
                f"process starts"
            )
        pool.NUM_THREADS = count  # how many the layer will start
    _count = count


def get_num_threads() -> int:
    """How many threads a kernel may use."""
    return _count


def configure() -> None:
    """Read the environment; called once, when the backend is made.

    Raises:
        BackendUnavailableError: TINYGRAD_BN_NUM_THREADS is no whole number of at least 1, or
            NUMBA_THREADING_LAYER names a layer that cannot be loaded.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if text and not (text.isdecimal() and int(text) > 0):
        raise BackendUnavailableError(
            f"{VARIABLE} must be a whole number of at least 1, got {text!r}"
        )
    set_num_threads(int(text) if text else pool.NUM_THREADS)
    if str(config.THREADING_LAYER).lower() != "default":
        start()  # one that was asked for and is not there is told now, not at some large array


@functools.cache
def start() -> str:
    """Start the threads unless they run; returns the name of the layer.

    Raises:
        BackendUnavailableError: none can be loaded, or not the one NUMBA_THREADING_LAYER names.
    """
    _load_tbb()
    if _PRIORITY not in os.environ:
        config.THREADING_LAYER_PRIORITY = _LAYERS
    try:
        with _brief_spinning():
            pool._launch_threads()
    except ValueError as error:
        raise BackendUnavailableError(
            f"Numba's threading layer {config.THREADING_LAYER!r} (NUMBA_THREADING_LAYER) cannot "
            f"be used: {' '.join(str(error).split())}"
        ) from error
    return pool.threading_layer()


@contextlib.contextmanager
def _brief_spinning() -> Iterator[None]:
    """OpenMP, loaded inside, reads from the environment how long idle threads spin; what the user
    has set there stays, and what is set here is for this library alone."""
    chosen = any(name in os.environ for name in _SPIN)
    if not chosen:
        os.environ[_SPIN[0]] = SPINS
    try:
        yield
    finally:
        if not chosen:
            del os.environ[_SPIN[0]]


def note_product(multiplications: int) -> None:
    """Remember that BLAS has run; from `SPREAD` multiplications on it does so in threads."""
    global _blas_spins_until
    if multiplications >= SPREAD:
        _blas_spins_until = time.perf_counter() + BLAS_SPIN


def enter(work: int) -> bool:
    """Whether a kernel with so much work may run in parallel now; if so, `leave` afterwards."""
    if _count == 1 or _forked:
        return False
    if work < PRESSING and time.perf_counter() < _blas_spins_until:
        return False
    if not _busy.acquire(False):
        return False
    if _told != _count or threading.get_ident() != _MAIN:
        try:
            _tell()
        except BaseException:
            leave()
            raise
    return True


def _tell() -> None:
    """Tell the layer how many threads this one may use: it keeps the number for each."""
    global _told
    start()
    pool._set_num_threads(_count)
    if threading.get_ident() == _MAIN:
        _told = _count


leave = _busy.release


def _load_tbb() -> None:
    """Load TBB's library from where pip put it, so that Numba finds it by its name."""
    name = _TBB.get(sys.platform)
    try:
        found = [path for path in files("tbb") or () if path.name == name]
        if found:
            ctypes.CDLL(str(found[0].locate()))
    except (PackageNotFoundError, OSError):
        pass  # Numba looks for another layer, or says what is missing


def _after_fork_in_child() -> None:
    global _forked
    global_compiler_lock.release()
    _forked = pool._is_initialized


if hasattr(os, "register_at_fork"):
    # A child forked while another thread compiles would wait for it forever.
    os.register_at_fork(
        before=global_compiler_lock.acquire,
        after_in_parent=global_compiler_lock.release,
        after_in_child=_after_fork_in_child,
    )
