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


class Launching:
    """What the mixins ask of a backend's class, with kernels that run on the CPU.

    Attributes:
        limits: of the device to plan for.
        seed: of the order in which threads run.
        launches: what was launched, in turn.
    """

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.limits = SMALL
        self.seed = 0
        self.launches = []
        self._addressed = {}

    def host(self, array):
        """The NumPy array that holds an array's numbers."""
        return array

    def make_generator(self, seed):
        """One that gives keys."""
        return KeyedGenerator(seed)

    def address(self, array):
        """Of the first element."""
        host = self.host(array)
        self._addressed[host.ctypes.data] = host
        return host.ctypes.data

    def launch(self, launch, *arguments):
        """To the end, at once, watched over."""
        self.launches.append(launch)
        self.seed += 1
        given = [self.host(a) if isinstance(a, self.array_type) else a for a in arguments]
        structs = [a for a in given if isinstance(a, np.void) and "array" in a.dtype.names]
        pointers = [p for s in structs for p in s["array"][s["array"] != 0].tolist()]
        more = [self._addressed[p] for p in pointers]
        library(launch.source).launch(launch, given, self.seed, more)
        self._addressed.clear()


class SimtBackend(
    Launching, CuPyNormalization, CuPyActivation, CuPyAffine, CuPyOptim, NumPyBackend
):
    """The kernels over NumPy."""

    def __init__(self, name="simt", device=""):
        super().__init__(name, device)


register_backend("simt", SimtBackend)
