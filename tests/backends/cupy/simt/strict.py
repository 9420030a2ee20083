"""A test-only backend: the CuPy backend's mixins over array-api-strict, on its pretend device.

What the mixins leave to the reference, and what they hand on to it, runs here on arrays that offer
the Array API standard alone and refuse to be taken for NumPy's; kernels run on the CPU. Of what
CuPy has beyond the standard the mixins use what `extended` adds for a while, and nothing else:
anything more is an AttributeError.

The rest of the host side (`CuPyArrays`, `CuPyIndexing`, `CuPyLinalg`, devices, streams, memory,
graphs) is about what CuPy does otherwise than the standard. It runs on the pretend CuPy of fake.py,
which lacks what CuPy lacks; over a conforming namespace these methods have nothing to do.
"""

from __future__ import annotations

import contextlib

import array_api_strict
import numpy as np
import pytest
from tinygrad_bn.backends.cupy.activation import CuPyActivation
from tinygrad_bn.backends.cupy.affine import CuPyAffine
from tinygrad_bn.backends.cupy.normalization import CuPyNormalization
from tinygrad_bn.backends.cupy.optim import CuPyOptim

from tests.backends.cupy.simt.backend import Launching
from tests.strict_backend import StrictBackend
from tinygrad_bn.backend import register_backend

Array = type(array_api_strict.zeros(()))
DType = type(array_api_strict.float32)


def _transpose(self, *axes):
    return Array._new(self._array.transpose(*axes), device=self.device)


def _ascontiguousarray(a):
    return Array._new(np.ascontiguousarray(a._array), device=a.device)


@contextlib.contextmanager
def extended():
    """In the block strict arrays have what the mixins use of CuPy's beyond the standard."""
    with pytest.MonkeyPatch.context() as patch:
        flags = property(lambda self: self._array.flags)
        strides = property(lambda self: self._array.strides)
        char = property(lambda self: self._np_dtype.char)
        patch.setattr(Array, "flags", flags, raising=False)
        patch.setattr(Array, "strides", strides, raising=False)
        patch.setattr(Array, "transpose", _transpose, raising=False)
        patch.setattr(DType, "char", char, raising=False)
        patch.setattr(array_api_strict, "ascontiguousarray", _ascontiguousarray, raising=False)
        yield


class StrictSimtBackend(
    Launching, CuPyNormalization, CuPyActivation, CuPyAffine, CuPyOptim, StrictBackend
):
    """The kernels over array-api-strict."""

    def __init__(self, name="strict-simt", device="device1"):
        super().__init__(name, device)

    def host(self, array):
        """The array inside."""
        return array._array


register_backend("strict-simt", StrictSimtBackend)
