"""Random numbers drawn on the device: CuPy's Philox generator, a fresh key for every draw.

The state of the stream is a seed and the number of draws so far, so that it can be saved, restored
and replayed without reading the device, and threads on different streams cannot disturb it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_bn import dtypes

from .place import Place

BLOCK = 256
"""CuPy launches the generator in blocks of this size and checks no bounds: states come in these."""
MOST_STATES = 256 * BLOCK
KEYS = 1 << 63


class _Key(np.random.SeedSequence):
    """A seed that is used as it is; CuPy asks for one word and would cut it to 32 bits."""

    def __init__(self, key: int) -> None:
        super().__init__(key)
        self._key = key

    def generate_state(self, n_words: int, dtype: Any = np.uint32) -> Any:
        """The key, as the one word that is asked for."""
        return np.full(n_words, self._key, dtype=np.uint64)


class DeviceGenerator:
    """Draws on one device; the same seed gives the same numbers on every device.

    Draw number n of a seed uses Philox with the key base + n, where base is a hash of the seed.
    """

    def __init__(self, cupy: Any, place: Place, seed: int) -> None:
        self._cupy = cupy
        self._place = place
        self._start(seed, 0)

    def _start(self, seed: int, draws: int) -> None:
        self._seed = seed
        self._base = int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0])
        self._draws = draws

    def key(self) -> int:
        """A 63-bit key that no other draw uses, for a kernel with a Philox of its own.

        Raises RuntimeError while a step is being captured: every replay would use the same key.
        """
        self._place.forbid_capture("random numbers")
        key = (self._base + self._draws) % KEYS
        self._draws += 1
        return key

    def _philox(self, shape: tuple[int, ...]) -> Any:
        size = int(np.prod(shape, dtype=np.int64))
        states = min(max(-(-size // BLOCK) * BLOCK, BLOCK), MOST_STATES)
        self._place.enter()
        random = self._cupy.random
        return random.Generator(random.Philox4x3210(_Key(self.key()), size=states))

    def uniform(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers in [0, 1), float32 or float64."""
        return self._philox(shape).random(shape, dtype=dtype)

    def normal(self, shape: tuple[int, ...], dtype: Any) -> Any:
        """Numbers of the standard normal distribution, float32 or float64."""
        return self._philox(shape).standard_normal(shape, dtype=dtype)

    def integers(self, low: int, high: int, shape: tuple[int, ...], dtype: Any) -> Any:
        """Integers in [low, high).

        Ranges of more than 2³¹ integers, which CuPy does not draw, come from the host.
        Raises ValueError for a bound that the dtype does not hold.
        """
        limits = np.iinfo(dtypes.canonical(dtype))
        if low < limits.min or high - 1 > limits.max:
            raise ValueError(f"bounds must lie in [{limits.min}, {int(limits.max) + 1}]")
        if high - low > 1 << 31:
            host = np.random.Generator(np.random.Philox(self.key()))
            self._place.enter()
            return self._cupy.asarray(host.integers(low, high, shape, dtype=dtype))
        steps = self._philox(shape).integers(0, high - low, shape, dtype=np.uint32)
        return steps.astype(dtype) + low  # modulo 2ⁿ, in which the sum is in range

    def permutation(self, n: int) -> Any:
        """The numbers 0 … n-1 in random order, int64: that of n random numbers when sorted."""
        if n == 0:
            self.key()
            return self._cupy.empty((0,), dtype=np.int64)
        return self._cupy.argsort(self._philox((n,)).random((n,))).astype(np.int64, copy=False)

    def get_state(self) -> dict[str, int]:
        """The seed and the number of draws."""
        return {"seed": self._seed, "draws": self._draws}

    def set_state(self, state: dict[str, int]) -> None:
        """Return to a snapshot."""
        self._start(state["seed"], state["draws"])
