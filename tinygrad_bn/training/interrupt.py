"""Ctrl-C between steps: the step in hand is finished, so that what is saved is consistent."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C after a whole step.

    Attributes:
        step: the number of steps made.
        checkpoint: the path of the checkpoint that holds this state; None if none was asked for.
    """

    def __init__(self, step: int, checkpoint: str | None) -> None:
        saved = f"; saved in {checkpoint}" if checkpoint else ""
        super().__init__(f"training interrupted after step {step}{saved}")
        self.step = step
        self.checkpoint = checkpoint


class InterruptGuard:
    """`with InterruptGuard() as guard:` the first Ctrl-C sets `guard.requested`.

    A second one raises KeyboardInterrupt at once. Outside the main thread, where Python delivers
    no signals, and where someone else handles Ctrl-C, nothing changes.
    """

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def __enter__(self) -> InterruptGuard:
        main = threading.current_thread() is threading.main_thread()
        if main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            self._previous = signal.signal(signal.SIGINT, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        signal.signal(signal.SIGINT, self._previous)

    def __exit__(self, *exc: object) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
            self._previous = None
