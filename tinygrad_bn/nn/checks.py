"""Checks of what users pass to layers."""

from __future__ import annotations

import operator
from typing import Any


def check_size(owner: str, name: str, value: Any) -> int:
    """`value` as a positive integer; TypeError or ValueError that names `owner` and `name`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise TypeError(f"{owner}: {name} must be an integer, got {value!r}")
    if number < 1:
        raise ValueError(f"{owner}: {name} must be >= 1, got {number}")
    return number
