"""What `tinygrad-bn backends --warm-up` compiles: the examples of every driver, in both forms."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import numba

from . import compiler
from .kernels import examples

__all__ = ["examples", "preparations"]

DTYPES = ("float32",)
"""What training computes in; other dtypes are compiled at their first use."""


def preparations() -> list[tuple[str, Callable[[], object]]]:
    """A step for each driver, types of its examples and form: what is compiled, and the call."""
    steps: list[tuple[str, Callable[[], object]]] = []
    for driver in compiler.DRIVERS if compiler.COMPILED else ():
        for types in _signatures(driver):
            for form in ("serial", "parallel"):
                compile = functools.partial(driver.compile, types, parallel=form == "parallel")
                steps.append((f"{driver.title}, {form}", compile))
    return steps


def _signatures(driver: compiler.Driver) -> Iterable[tuple[Any, ...]]:
    """The types of the arguments of a driver's examples, each once."""
    return dict.fromkeys(
        tuple([numba.typeof(argument) for argument in arguments])
        for dtype in DTYPES
        for arguments in driver.example_arguments(dtype)
    )
