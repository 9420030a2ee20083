"""The host's random generator: NumPy's Philox, counter-based and the same on every platform."""

from __future__ import annotations

from typing import Any

import numpy as np


class HostGenerator:
    """Draws on the host; a backend turns the NumPy arrays into its own.

    A device's own generator has the same methods, and its `get_state` is plain data too.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1), float32 or float64."""
        return np.asarray(self._generator.random(shape, dtype=dtype))

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution, float32 or float64."""
        return np.asarray(self._generator.standard_normal(shape, dtype=dtype))

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high)."""
        return np.asarray(self._generator.integers(low, high, shape, dtype=dtype))

    def permutation(self, n: int) -> Any:
        """The numbers 0 … n-1 in random order, int64."""
        return self._generator.permutation(n).astype(np.int64, copy=False)

    def get_state(self) -> Any:
        """A snapshot for `set_state`: dicts, lists, strings and integers, as JSON has them."""
        return _plain(self._generator.bit_generator.state)

    def set_state(self, state: Any) -> None:
        """Return to a snapshot."""
        self._generator.bit_generator.state = _restored(state)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _restored(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _restored(value) for key, value in state.items()}
    return np.asarray(state, dtype=np.uint64) if isinstance(state, list) else state
