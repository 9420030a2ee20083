"""Sets: the distinct elements of a tensor, their positions and counts.

Results are not recorded: which of several equal elements a value came from is arbitrary. To
differentiate, take the elements at `unique_all(x).indices`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..autograd.runtime import make
from ..refusal import named
from .creation import asarray

__all__ = [
    "unique_all",
    "unique_counts",
    "unique_inverse",
    "unique_values",
]


class UniqueAllResult(NamedTuple):
    """What `unique_all` returns."""

    values: Any
    indices: Any
    inverse_indices: Any
    counts: Any


class UniqueCountsResult(NamedTuple):
    """What `unique_counts` returns."""

    values: Any
    counts: Any


class UniqueInverseResult(NamedTuple):
    """What `unique_inverse` returns."""

    values: Any
    inverse_indices: Any


def _parts(name: str, x: Any) -> list[Any]:
    x = asarray(x)
    return [make(x._backend, a, None) for a in getattr(x._backend, name)(x._data)]


@named
def unique_all(x: Any, /) -> UniqueAllResult:
    """The distinct elements, ascending; where each occurs first in the flattened x; for every
    element of x (in its shape) which of them it is; and how often each occurs.

    Every NaN is distinct from every other.
    """
    return UniqueAllResult(*_parts("unique_all", x))


@named
def unique_counts(x: Any, /) -> UniqueCountsResult:
    """The distinct elements, ascending, and how often each occurs; see `unique_all`."""
    return UniqueCountsResult(*_parts("unique_counts", x))


@named
def unique_inverse(x: Any, /) -> UniqueInverseResult:
    """The distinct elements, ascending, and which of them each element is; see `unique_all`."""
    return UniqueInverseResult(*_parts("unique_inverse", x))


@named
def unique_values(x: Any, /) -> Any:
    """The distinct elements, ascending; see `unique_all`."""
    x = asarray(x)
    return make(x._backend, x._backend.unique_values(x._data), None)
