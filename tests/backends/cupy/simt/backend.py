"""A test-only backend: NumPy arrays, the mixins of the CuPy backend, kernels on the CPU."""

from __future__ import annotations

import numpy as np
from tinygrad_bn.backends.cupy.activation import CuPyActivation
from tinygrad_bn.backends.cupy.affine import CuPyAffine
from tinygrad_bn.backends.cupy.normalization import CuPyNormalization
from tinygrad_bn.backends.cupy.optim import CuPyOptim
from tinygrad_bn.backends.numpy import NumPyBackend

from tests.backends.cupy.devices import SMALL
from tests.backends.cupy.simt.library import library
from tinygrad_bn.backend import register_backend
from tinygrad_bn.backend.generator import HostGenerator


class KeyedGenerator(HostGenerator):
    """The host's generator, with keys for a kernel that draws for itself."""

    def key(self):
        """A 63-bit number."""
        return int(self.integers(0, 2**63 - 1, (), "int64"))


class SimtBackend(CuPyNormalization, CuPyActivation, CuPyAffine, CuPyOptim, NumPyBackend):
    """What the CuPy backend computes with its own kernels, on the CPU.

    Attributes:
        limits: of the device to plan for.
        seed: of the order in which threads run.
        launches: what was launched, in turn.
    """

    def __init__(self, name="simt", device=""):
        super().__init__(name, device)
        self.limits = SMALL
        self.seed = 0
        self.launches = []
        self._addressed = {}

    def address(self, array):
        """Of the first element."""
        self._addressed[array.ctypes.data] = array
        return array.ctypes.data

    def make_generator(self, seed):
        """One that gives keys."""
        return KeyedGenerator(seed)

    def launch(self, launch, *arguments):
        """To the end, at once."""
        self.launches.append(launch)
        self.seed += 1
        tables = [a["array"] for a in arguments if isinstance(a, np.void) and "array" in a.dtype.names]
        more = [self._addressed[p] for table in tables for p in table[table != 0].tolist()]
        library(launch.source).launch(launch, arguments, self.seed, more)
        self._addressed.clear()


register_backend("simt", SimtBackend)
