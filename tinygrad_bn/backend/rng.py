"""The state of random numbers: one seed for the program, one stream for each kind of generator.

Backends that draw on the host (NumPy, Numba and every generic one) share a stream, so a seed gives
them the same numbers. A device with a generator of its own has a stream of its own.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Backend

_lock = threading.RLock()
_seed: int = secrets.randbits(63)
_streams: dict[str, Any] = {}


def manual_seed(seed: int) -> None:
    """Start all streams again from `seed`, a non-negative integer."""
    global _seed
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ValueError(f"manual_seed: seed must be a non-negative integer, got {seed!r}")
    with _lock:
        _seed = seed
        _streams.clear()


def initial_seed() -> int:
    """The seed that the streams started from (drawn by the system if none was set)."""
    return _seed


def stream(backend: Backend) -> Any:
    """The generator that `backend` draws from; made at first use."""
    with _lock:
        kind = backend.generator_kind
        if kind not in _streams:
            _streams[kind] = backend.make_generator(_seed)
        return _streams[kind]


def get_state() -> dict[str, Any]:
    """A snapshot of all streams, for `set_state`."""
    with _lock:
        states = {kind: s.get_state() for kind, s in _streams.items()}
        return {"seed": _seed, "streams": states}


def set_state(state: dict[str, Any]) -> None:
    """Return all streams to a snapshot; streams begun since start from the seed again."""
    global _seed
    with _lock:
        _seed = state["seed"]
        for kind in list(_streams):
            if kind in state["streams"]:
                _streams[kind].set_state(state["streams"][kind])
            else:
                del _streams[kind]
        missing = set(state["streams"]) - set(_streams)
        if missing:
            from .registry import get_backend

            for kind in missing:
                stream(get_backend(kind)).set_state(state["streams"][kind])


@contextmanager
def replaying(state: dict[str, Any]) -> Iterator[None]:
    """Inside the block the streams repeat what they gave after `state`; then they go on."""
    now = get_state()
    set_state(state)
    try:
        yield
    finally:
        set_state(now)
