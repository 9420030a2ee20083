"""Putting a saved state back, whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def load_together(parts: Sequence[tuple[Any, Any]]) -> None:
    """Load each state into its part; if one is refused, all parts are as they were.

    Loading must replace what a part's `state_dict` gave, not write into it; only the last part
    may write in place, and must do so whole or not at all, as a module does.
    """
    before = [part.state_dict() for part, _ in parts[:-1]]
    try:
        for part, state in parts:
            part.load_state_dict(state)
    except Exception:
        for (part, _), state in zip(parts, before, strict=False):
            part.load_state_dict(state)
        raise
