"""From which size on threads pay: `python -m benchmarks.thread_crossover`.

Times the serial and the parallel form of a kernel that is bound by memory (relu) and of one that
computes (sigmoid), each on its own arrays, interleaved, and prints where the second wins. The
constant `SERIAL_BELOW` of backends/numba/compiler.py comes from here.
"""

from __future__ import annotations

import functools
import statistics
import time
from collections.abc import Callable

import numpy as np
from rich.console import Console
from rich.table import Table

from tinygrad_bn.backend import get_backend

SIZES = [1 << k for k in range(10, 21)]
ROUNDS = 15


def micros(call: Callable[[], object], repeats: int) -> float:
    """The time of one call, in microseconds."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats * 1e6


def medians(calls: list[Callable[[], object]], size: int) -> list[float]:
    """The median time of each call, measured in turn."""
    for call in calls:
        call()
    repeats = max(5, (1 << 18) // size)
    rounds = [[micros(call, repeats) for call in calls] for _ in range(ROUNDS)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def main() -> None:
    """Print a table of times by size."""
    backend = get_backend("numba")
    from tinygrad_bn.backends.numba import threads
    from tinygrad_bn.backends.numba.kernels import elementwise

    title = f"{threads.get_num_threads()} threads of {backend.details()['threading layer']}, µs"
    table = Table(title=title)
    for column in ("elements", "work", "relu serial", "parallel", "sigmoid serial", "parallel"):
        table.add_column(column, justify="right")
    for size in SIZES:
        x = np.random.default_rng(0).standard_normal(size, dtype=np.float32)
        y = np.empty_like(x)
        threads.enter(1 << 40)
        row = []
        for driver in (elementwise.relu, elementwise.sigmoid):
            forms = [driver.serial, driver.parallel]
            row += medians([functools.partial(form, x, y) for form in forms], size)
        threads.leave()
        table.add_row(f"{size:,}", f"{2 * size:,}", *(f"{t:.1f}" for t in row))
    Console().print(table)


if __name__ == "__main__":
    main()
