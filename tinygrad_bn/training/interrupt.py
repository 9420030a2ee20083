"""Ctrl-C and SIGTERM between steps: the one in hand is finished, so what is saved is consistent."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any


class TrainingInterrupted(KeyboardInterrupt):
    """Training was stopped by Ctrl-C (or SIGTERM) after a whole step.

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
    """`with InterruptGuard() as guard:` the first Ctrl-C, or SIGTERM, sets `guard.requested`.

    A second one does at once what it always does. Outside the main thread, where Python delivers
    no signals, and where someone else handles the signal, nothing changes.

    Attributes:
        requested: whether to stop after the step in hand.
        signal: the number of the signal that asked for it; None before.
    """

    def __init__(self) -> None:
        self.requested = False
        self.signal: int | None = None
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> InterruptGuard:
        main = threading.current_thread() is threading.main_thread()
        ordinary = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        for number, handler in ordinary.items():
            if main and signal.getsignal(number) is handler:
                self._previous[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.requested = True
        self.signal = number
        self._restore()

    def __exit__(self, *exc: object) -> None:
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
