"""How many threads kernels use, and when they may.

Kernels never start threads of their own: Numba's threading layer (tbb, omp or workqueue) does. A
parallel kernel is entered by one Python thread at a time: workqueue would abort the process
otherwise, and the others would have more threads than processors. Whoever comes second runs the
serial version of the same kernel, which gives the same bits. So does a forked child: the threads
stayed with its parent, and OpenMP aborts a child that asks for them.
"""

from __future__ import annotations

import os
import threading
from typing import Any

import numba
from numba.np.ufunc import parallel as numba_threads

config: Any = numba.config
"""Numba's settings, which its type hints do not know."""

VARIABLE = "TINYGRAD_BN_NUM_THREADS"

_busy = threading.Lock()
_seen = threading.local()
_count = 1
_forked = False


def set_num_threads(count: int) -> None:
    """Let kernels use up to `count` threads from now on, in every Python thread.

    Results do not depend on it. At first use, the environment variable TINYGRAD_BN_NUM_THREADS
    says how many; without it, all processors that the process may run on.

    Raises:
        TypeError: a count that is no int.
        ValueError: a count below 1, or above the number of threads that Numba has started.
    """
    global _count
    if not isinstance(count, int) or isinstance(count, bool):
        raise TypeError(f"set_num_threads: count must be an int, got {count!r}")
    started = numba_threads._is_initialized
    if count < 1:
        raise ValueError(f"set_num_threads: count must be at least 1, got {count}")
    if count > config.NUMBA_NUM_THREADS:
        if started:
            raise ValueError(
                f"set_num_threads: count must be at most {config.NUMBA_NUM_THREADS}, the "
                f"number of threads that are running, got {count}; set {VARIABLE}={count} "
                f"before the process starts"
            )
        config.NUMBA_NUM_THREADS = count
    _count = count


def get_num_threads() -> int:
    """How many threads a kernel may use."""
    return _count


def configure() -> None:
    """Read the environment; called once, when the backend is made."""
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        set_num_threads(config.NUMBA_NUM_THREADS)
        return
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{VARIABLE} must be a whole number of at least 1, got {text!r}")
    set_num_threads(int(text))


def enter() -> bool:
    """Whether the caller may run a parallel kernel now; if so it must `leave` afterwards."""
    if _count == 1 or _forked or not _busy.acquire(blocking=False):
        return False
    if getattr(_seen, "count", 0) != _count:
        numba.set_num_threads(_count)  # Numba keeps the number for each Python thread
        _seen.count = _count
    return True


leave = _busy.release


def _after_fork() -> None:
    global _forked
    _forked = numba_threads._is_initialized


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
