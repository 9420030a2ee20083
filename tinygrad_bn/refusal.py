"""Refusals: errors that name the function, the argument, the constraint and the value."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable
from numbers import Real
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

KINDS = (ValueError, TypeError, IndexError, OverflowError)


def described(name: str, value: Any) -> str:
    """An argument in a few words: the shape of an array, the value of anything else."""
    if hasattr(value, "shape"):
        return f"{name} of shape {tuple(value.shape)}"
    text = repr(value)
    return f"{name}={text if len(text) <= 80 else text[:77] + '...'}"


def named(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a public function: what goes wrong in it names it and what it was given.

    An error that begins with its name says that already, and one of a class of its own (a backend
    that cannot run, say) is left as it is.
    """
    name = function.__name__

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except KINDS as error:
            axis = isinstance(error, ValueError) and isinstance(error, IndexError)  # NumPy's own
            kind = ValueError if axis else type(error)
            if kind not in KINDS or str(error).startswith((name, function.__qualname__)):
                raise
            raise kind(f"{name}: {error} ({_given(function, args, kwargs)})") from error

    return call


def _given(function: Callable[..., Any], args: Any, kwargs: Any) -> str:
    """The arguments of a call that are no defaults."""
    signature = inspect.signature(function)
    given = signature.bind_partial(*args, **kwargs).arguments
    defaults = {n: p.default for n, p in signature.parameters.items()}
    return ", ".join(described(n, v) for n, v in given.items() if v is not defaults[n])


def check_number(
    owner: str,
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
) -> None:
    """TypeError unless `value` is a real number; ValueError unless least <= value <= most and
    value > above."""
    plain = value.__class__ is float  # for which to ask is slow
    if not plain and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{owner}: {name} must be a number, got {value!r}")
    number = float(value)
    fits = (
        (least is None or number >= least)
        and (above is None or number > above)
        and (most is None or number <= most)
    )
    if fits:
        return
    if most is not None:
        wanted = f"in [{least}, {most}]"
    else:
        wanted = f">= {least}" if above is None else f"> {above}"
    raise ValueError(f"{owner}: {name} must be {wanted}, got {value}")


def check_integer(owner: str, name: str, value: Any) -> int:
    """`value` as an int; TypeError for anything else than an integer."""
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise TypeError(f"{owner}: {name} must be an integer, got {value!r}")
