"""Per-thread modes: whether operations are recorded, whether a checkpoint runs or is replayed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any


class _State(threading.local):
    """One per thread; class attributes are the values a new thread starts with."""

    grad: bool = True
    checkpointing: bool = False
    recomputing: bool = False
    anomaly: bool = False
    differentiated: Any = None  # the node whose rules are being recorded, under detect_anomaly


state = _State()


class Watch:
    """Switches that the compiled call paths read: cheap to test, almost always off."""

    __slots__ = ("_lock", "anomaly", "checkpoints", "latest_mutation", "paused")

    def __init__(self) -> None:
        self.anomaly = 0  # how many detect_anomaly() blocks are open, over all threads
        self.paused = 0  # how many blocks that switch recording off are open, over all threads
        self.checkpoints = 0  # how many first passes and replays of `checkpoint` are going on
        self._lock = threading.Lock()
        self.latest_mutation = -1  # sequence number of the last in-place change of any buffer

    def adjust(self, *, anomaly: int = 0, paused: int = 0, checkpoints: int = 0) -> None:
        """Count blocks in and out; a plain `+=` could lose one between threads."""
        with self._lock:
            self.anomaly += anomaly
            self.paused += paused
            self.checkpoints += checkpoints


watch = Watch()


class Mode(ContextDecorator):
    """Sets one attribute of the thread's state inside a `with` block or a decorated function.

    A fresh instance serves each decorated call, so a decorated function may recurse and may run
    in several threads.
    """

    attribute = ""

    def __init__(self, value: bool) -> None:
        self.value = value
        self._previous: list[bool] = []

    def _recreate_cm(self) -> Mode:
        return type(self)._make(self.value)

    @classmethod
    def _make(cls, value: bool) -> Mode:
        mode = cls.__new__(cls)
        Mode.__init__(mode, value)
        return mode

    def __enter__(self) -> Mode:
        self._previous.append(getattr(state, self.attribute))
        setattr(state, self.attribute, self.value)
        return self

    def __exit__(self, *exc: object) -> None:
        setattr(state, self.attribute, self._previous.pop())


class set_grad_enabled(Mode):
    """`with set_grad_enabled(flag):` records operations, or does not, in this thread."""

    attribute = "grad"

    def __enter__(self) -> set_grad_enabled:
        watch.adjust(paused=not self.value)
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        watch.adjust(paused=-(not self.value))


class no_grad(set_grad_enabled):
    """`with no_grad():` or `@no_grad()`: operations inside are not recorded in this thread."""

    def __init__(self) -> None:
        super().__init__(False)


class enable_grad(set_grad_enabled):
    """`with enable_grad():` or `@enable_grad()`: recording is on again, inside a `no_grad`."""

    def __init__(self) -> None:
        super().__init__(True)


class _Pass(Mode):
    """One run of a checkpointed function."""

    def __init__(self) -> None:
        super().__init__(True)

    def __enter__(self) -> _Pass:
        watch.adjust(checkpoints=1)
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        watch.adjust(checkpoints=-1)


class checkpointing(_Pass):
    """Marks the first pass of a checkpointed function; layers remember what its replay needs."""

    attribute = "checkpointing"


class recomputing(_Pass):
    """Marks the replay of a checkpointed function; layers with state leave it alone then."""

    attribute = "recomputing"


def is_grad_enabled() -> bool:
    """Whether operations of this thread are recorded."""
    return state.grad


def is_checkpointing() -> bool:
    """Whether this is the first pass of a checkpointed function, which will be replayed."""
    return watch.checkpoints > 0 and state.checkpointing and not state.recomputing


def is_recomputing() -> bool:
    """Whether a checkpointed function is being replayed for its backward pass.

    A layer that updates a state of its own in forward (running statistics, counters) has done so
    in the first pass and must not do it again in the replay.
    """
    return watch.checkpoints > 0 and state.recomputing


Hook = Callable[[Any], Any]
