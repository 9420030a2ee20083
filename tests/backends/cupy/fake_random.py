"""The pretend `cupy.random`."""

from __future__ import annotations

import types

import numpy as np


class Random(types.SimpleNamespace):
    """The namespace `cupy.random`."""

    def __init__(self, module):
        super().__init__(Generator=Generator)
        self._module = module

    def Philox4x3210(self, seed=None, *, size=-1):
        """A bit generator, as its module and key."""
        assert isinstance(seed, np.random.SeedSequence)
        assert size > 0
        assert size % 256 == 0, "cupy reads states out of bounds unless they come in blocks"
        return types.SimpleNamespace(
            module=self._module, key=int(seed.generate_state(1, np.uint32)[0])
        )


class Generator:
    """A pretend `cupy.random.Generator`."""

    def __init__(self, bit_generator):
        self._module = bit_generator.module
        self._host = np.random.Generator(np.random.Philox(bit_generator.key))

    def random(self, size=None, dtype=np.float64, out=None):
        """Uniform numbers."""
        return self._module.asarray(self._host.random(size, dtype=dtype))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        """Normal numbers."""
        return self._module.asarray(self._host.standard_normal(size, dtype=dtype))

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        """Integers; CuPy's own overflow where a difference needs more than 31 bits."""
        assert high - low - 1 < 1 << 31
        return self._module.asarray(self._host.integers(low, high, size, dtype=dtype))
