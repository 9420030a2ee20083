"""What a command may expect to go wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class CommandError(Exception):
    """Something outside the program is wrong: told in one line, without a traceback."""


class Interrupted(Exception):
    """A signal (Ctrl-C) ended the command in good order; the message says how to go on."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.signal = number


@contextmanager
def expecting(*kinds: type[Exception]) -> Iterator[None]:
    """Inside the block these exceptions are expected: they become CommandErrors."""
    try:
        yield
    except kinds as error:
        raise CommandError(str(error)) from error
