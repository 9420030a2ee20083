"""Checks of what users pass to normalization layers."""

from __future__ import annotations

from typing import Any

from ..refusal import check_number

REFUSED: Any = object()
"""The default of an argument that is there to be refused."""


def refuse_momentum(owner: str, momentum: Any) -> None:
    """TypeError for `momentum=`, with both conversions spelled out."""
    if momentum is REFUSED:
        return
    both = ""
    if isinstance(momentum, int | float):
        both = f": decay={round(1 - momentum, 12)} and decay={momentum}"
    raise TypeError(
        f"{owner}: momentum means opposite things in PyTorch and Keras; pass decay, the weight of "
        "the old estimate: decay = 1 - momentum for a value from PyTorch, decay = momentum for "
        f"one from Keras{both} here (PyTorch's momentum=None is decay=None)"
    )


def check_decay(owner: str, decay: float | None) -> float | None:
    """A number in [0, 1] or None; ValueError for another number, TypeError for anything else."""
    if decay is not None:
        check_number(owner, "decay", decay)
    if decay is not None and not 0 <= decay <= 1:
        raise ValueError(f"{owner}: decay must be None or lie in [0, 1], got {decay!r}")
    return decay


def one_of(owner: str, name: str, value: str, choices: tuple[str, ...]) -> str:
    if value not in choices:
        raise ValueError(f"{owner}: {name} must be one of {', '.join(choices)}, got {value!r}")
    return value
