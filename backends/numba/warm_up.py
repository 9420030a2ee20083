"""What `tinygrad-bn backends --warm-up` compiles: the examples of every driver, in both forms."""

from __future__ import annotations

import functools
from collections.abc import Callable

from . import compiler

DTYPES = ("float32",)
"""What training computes in; other dtypes are compiled at their first use."""


def preparations() -> list[tuple[str, Callable[[], object]]]:
    """A step for each driver, example and form: what it compiles, and the call that does it."""
    if not compiler.COMPILED:
        return []
    steps: list[tuple[str, Callable[[], object]]] = []
    for driver in compiler.DRIVERS:
        for dtype in DTYPES:
            for arguments in driver.example_arguments(dtype):
                for form in ("serial", "parallel"):
                    compile = functools.partial(
                        driver.compile, arguments, parallel=form == "parallel"
                    )
                    steps.append((f"{driver.title}, {form}", compile))
    return steps
