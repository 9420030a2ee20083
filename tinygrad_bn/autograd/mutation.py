"""Catches a backward pass that would read a buffer changed in place since a rule saved it.

The rare side pays: an in-place change notes the buffer's owner and a sequence number; a backward
step looks into that table only when some change is younger than its node. Owners are compared,
not arrays, so changing a view is seen by the rule that saved the base, and the other way round.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

from .graph import Node, next_sequence
from .state import watch

_changed: dict[int, list[Any]] = {}


def note_mutation(backend: Any, *arrays: Any) -> None:
    """Record that the memory behind `arrays` has been written to."""
    watch.latest_mutation = sequence = next_sequence()
    for array in arrays:
        owner = backend.storage(array)
        key = id(owner)
        noted = _changed.get(key)
        if noted is None:
            _changed[key] = [sequence, weakref.ref(owner, partial(_forget, key))]
        else:
            noted[0] = sequence


def _forget(key: int, _: Any) -> None:
    """The owner is gone; its number may soon be another's."""
    _changed.pop(key, None)


def check_unmodified(node: Node, saved: tuple[Any, ...]) -> None:
    """Raise if a buffer that `node` saved has been written to since."""
    for array in _arrays(node.backend, saved):
        changed = _changed.get(id(node.backend.storage(array)))
        if changed is not None and changed[0] > node.seq:
            raise RuntimeError(
                f"{node.name}: an array of shape {tuple(array.shape)} that its derivative needs "
                "was modified in place after the operation saved it; work on a copy, or run "
                "backward before the modification"
            )


def _arrays(backend: Any, values: Any) -> Iterator[Any]:
    for value in values:
        if isinstance(value, backend.array_type):
            yield value
        elif isinstance(value, tuple | list):
            yield from _arrays(backend, value)
