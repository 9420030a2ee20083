"""Operations without NumPy's floating-point warnings, at no cost to the small ones.

1/0, ln 0, ∞ - ∞ and what overflows have results of their own, infinities and NaNs, on every
backend, and in a tensor program those results are the message (`detect_anomaly` says where one
was born). So NumPy does not warn inside an operation or its derivative. The caller's own NumPy
code keeps its warnings, and so do his hooks and the functions that `checkpoint` calls again.

NumPy keeps its way with such results in a context variable. Setting and resetting it around every
operation would take a tenth of the time of a small network; calling a function inside a context
where it is set for good takes nothing.
"""

from __future__ import annotations

from contextlib import ContextDecorator
from contextvars import Context, ContextVar
from functools import partial
from typing import Any

import numpy as np

_silent = Context()
_silent.run(partial(np.seterr, all="ignore"))
((setting, IGNORE),) = _silent.items()  # NumPy's variable and its value there

calmly = _silent.run
"""`calmly(f, *args)`: f without warnings. f may be a function of an array library only: it sees no
context variable's value, and RuntimeError is raised while another thread is in here."""

_callers: ContextVar[Any] = ContextVar("tinygrad_bn_callers_setting", default=None)


def hush() -> tuple[Any, Any]:
    """Begin what `quiet` does, without an object of its own; `unhush` takes what this returns."""
    before = setting.get()
    return setting.set(IGNORE), None if before is IGNORE else _callers.set(before)


def unhush(tokens: tuple[Any, Any]) -> None:
    """End it."""
    token, caller = tokens
    if caller is not None:
        _callers.reset(caller)
    setting.reset(token)


class quiet(ContextDecorator):
    """`with quiet():` or `@quiet()`: NumPy does not warn inside."""

    def __enter__(self) -> quiet:
        self._tokens = hush()
        return self

    def __exit__(self, *exc: object) -> None:
        unhush(self._tokens)

    def _recreate_cm(self) -> quiet:
        return quiet()


class callers_own:
    """`with callers_own():` inside of `quiet`, as the caller had it: for code of his."""

    def __enter__(self) -> callers_own:
        before = _callers.get()
        self._token = setting.set(setting.get() if before is None else before)
        return self

    def __exit__(self, *exc: object) -> None:
        setting.reset(self._token)
