"""The host's random generator: NumPy's Philox, counter-based and the same on every platform."""

from __future__ import annotations

from typing import Any

import numpy as np

NUMBERS = 8
"""Numbers in single precision that a block of Philox4x64 makes."""


class HostGenerator:
    """Draws on the host; a backend turns the NumPy arrays into its own.

    A device's own generator has the same methods, and its `get_state` is plain data too.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(seed))

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1), float32 or float64."""
        return np.asarray(self._generator.random(shape, dtype=dtype))

    def reserve(self, count: int) -> tuple[Any, Any, Any, Any]:
        """Take `count` float32 numbers from the stream, most of them to be worked out elsewhere.

        They are `head`, then eight of each block of Philox4x64 from the one after `counter` on,
        with `key`, then `tail`: its words, each the lower half first, the upper 24 bits of a half
        over 2²⁴. The stream goes on as after `uniform((count,), float32)`.

        Returns:
            (head, counter, key, tail), arrays of float32, four uint64, two uint64, float32.
        """
        bits = self._generator.bit_generator
        state: Any = bits.state
        buffered = state["has_uint32"] + 2 * (4 - state["buffer_pos"])
        head = self.uniform((min(count, buffered),), np.float32)
        rest = count - head.size
        blocks = (
            max(0, rest - 1) // NUMBERS
        )  # the last one is drawn, so the state is as it would be
        state = bits.state
        counter, key = state["state"]["counter"], state["state"]["key"]
        if blocks:
            state["state"]["counter"] = _advanced(counter, blocks)
            bits.state = state
        tail = self.uniform((rest - blocks * NUMBERS,), np.float32)
        return head, counter, key, tail

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


def _advanced(counter: Any, blocks: int) -> Any:
    """A counter of 256 bits, the lowest word first, and so many more."""
    number = (int.from_bytes(counter.astype("<u8").tobytes(), "little") + blocks) % (1 << 256)
    return np.frombuffer(number.to_bytes(32, "little"), "<u8").astype(np.uint64)


def _plain(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _plain(value) for key, value in state.items()}
    return state.tolist() if isinstance(state, np.ndarray) else state


def _restored(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: _restored(value) for key, value in state.items()}
    return np.asarray(state, dtype=np.uint64) if isinstance(state, list) else state
