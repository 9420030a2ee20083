"""The host's random generator: NumPy's Philox, counter-based and the same on every platform."""

from __future__ import annotations

from typing import Any

import numpy as np


class HostGenerator:
    """Draws on the host; a backend turns the NumPy arrays into its own."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1), float32 or float64."""
        return self._generator.random(shape, dtype=dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution, float32 or float64."""
        return self._generator.standard_normal(shape, dtype=dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high)."""
        return self._generator.integers(low, high, shape, dtype=dtype)

    def permutation(self, n: int) -> Any:
        """The numbers 0 … n-1 in random order."""
        return self._generator.permutation(n)

    def get_state(self) -> Any:
        """A snapshot for `set_state`: plain numbers and arrays."""
        return self._generator.bit_generator.state

    def set_state(self, state: Any) -> None:
        """Return to a snapshot."""
        self._generator.bit_generator.state = state
