"""The state of random numbers: one seed for the program, one stream for each kind of generator.

Backends that draw on the host (NumPy, Numba and every generic one) share a stream, so a seed gives
them the same numbers. A device with a generator of its own has a stream of its own.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Backend


class Generator:
    """Random streams that start from one seed, one for each kind of backend.

    The streams of the program are one such object; a local one is independent of it. Draws by
    several threads are safe: each gets numbers that no other gets. A `checkpoint` replays the
    program's streams, not those of a local generator.

    Args:
        seed: a non-negative integer; default: drawn by the system.
    """

    def __init__(self, seed: int | None = None) -> None:
        self._lock = threading.RLock()
        self._streams: dict[str, Any] = {}
        self._waiting: dict[str, Any] = {}  # states of streams that nobody has drawn from yet
        self._seed = int.from_bytes(os.urandom(8), "little") >> 1
        if seed is not None:
            self.manual_seed(seed)

    def manual_seed(self, seed: int) -> None:
        """Start all streams again from `seed`; ValueError if it is no non-negative integer."""
        if type(seed) is not int or seed < 0:
            raise ValueError(f"manual_seed: seed must be a non-negative integer, got {seed!r}")
        with self._lock:
            self._seed = seed
            self._streams.clear()
            self._waiting.clear()

    def initial_seed(self) -> int:
        """The seed that the streams started from."""
        return self._seed

    def draw(self, backend: Backend, method: str, *arguments: Any) -> Any:
        """What a method of the generator of `backend` gives, as the generator's own array."""
        with self._lock:
            kind = backend.generator_kind
            if kind not in self._streams:
                stream = backend.make_generator(self._seed)
                if kind in self._waiting:
                    stream.set_state(self._waiting.pop(kind))
                self._streams[kind] = stream
            return getattr(self._streams[kind], method)(*arguments)

    def get_state(self) -> dict[str, Any]:
        """A snapshot for `set_state`: dicts, lists, strings and integers, as JSON has them."""
        with self._lock:
            states = {kind: stream.get_state() for kind, stream in self._streams.items()}
            return {"seed": self._seed, "streams": self._waiting | states}

    def set_state(self, state: dict[str, Any]) -> None:
        """Return to a snapshot exactly; streams that it does not know start from its seed.

        Raises ValueError for anything else than what `get_state` returns.
        """
        if not isinstance(state, dict) or state.keys() != {"seed", "streams"}:
            raise ValueError(f"set_state: needs what get_state returned, got {state!r:.80}")
        with self._lock:
            self._seed = state["seed"]
            self._streams.clear()
            self._waiting = dict(state["streams"])


_program = Generator()
_local = threading.local()


def current() -> Generator:
    """The streams that this thread draws from: the program's, but for a replay."""
    return getattr(_local, "generator", None) or _program


def manual_seed(seed: int) -> None:
    """Start all streams of the program again from `seed`, a non-negative integer."""
    current().manual_seed(seed)


def initial_seed() -> int:
    """The seed that the streams started from (drawn by the system if none was set)."""
    return current().initial_seed()


def get_state() -> dict[str, Any]:
    """A snapshot of all streams, for `set_state`; JSON can hold it."""
    return current().get_state()


def set_state(state: dict[str, Any]) -> None:
    """Return all streams to a snapshot; streams begun since start from the seed again."""
    current().set_state(state)


@contextmanager
def replaying(state: dict[str, Any]) -> Iterator[None]:
    """Inside the block this thread repeats what the streams gave after `state`.

    It draws from streams of its own there, so the program's go on undisturbed.
    """
    previous = getattr(_local, "generator", None)
    _local.generator = Generator()
    _local.generator.set_state(state)
    try:
        yield
    finally:
        _local.generator = previous


class Stream:
    """The stream of one backend: each method draws, under the lock of `generator`."""

    def __init__(self, generator: Generator, backend: Backend) -> None:
        self._generator = generator
        self._backend = backend

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def draw(*arguments: Any) -> Any:
            return self._generator.draw(self._backend, method, *arguments)

        return draw


def stream(backend: Backend) -> Stream:
    """What `backend` draws from in this thread: `stream(backend).uniform(shape, dtype)`."""
    return Stream(current(), backend)
