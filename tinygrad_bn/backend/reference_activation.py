"""Reference: activation functions over `xp`."""

from __future__ import annotations

from typing import Any


class ActivationReference:
    """Functions that the standard lacks, written in terms of it."""

    xp: Any
