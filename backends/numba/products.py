"""Matrix products stay with NumPy's BLAS; what follows them in a dense layer is a kernel.

The kernels are told when BLAS's threads are awake.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_affine import AffineReference

from . import threads
from .kernels import epilogue

EPILOGUES = {None: epilogue.plain, "relu": epilogue.relu, "sigmoid": epilogue.sigmoid}
"""By activation; NumPy's own tanh is as quick as a kernel, and more accurate."""
LEAST = 1 << 12
"""Elements below which NumPy adds a bias alone as quickly; with an activation it never does."""


class NumbaProducts(AffineReference):
    """The products of the reference, noted for `threads.enter`."""

    def matmul(self, x1: Any, x2: Any, /) -> Any:
        """NumPy's own."""
        out = np.matmul(x1, x2)
        threads.note_product(out.size * x1.shape[-1])
        return out

    def linear(self, x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> Any:
        """NumPy's own product; bias and activation in one pass over it."""
        out = np.matmul(x, weight.T)
        threads.note_product(out.size * weight.shape[1])
        if bias is not None:
            if (activation is not None or out.size >= LEAST) and _fuses(out, bias, activation):
                EPILOGUES[activation](2 * out.size, out.reshape(-1, bias.size), bias)
                return out
            out = np.add(out, bias, out=out if bias.dtype == out.dtype else None)
        if activation == "tanh":
            return np.tanh(out, out=out)
        return out if activation is None else getattr(self, activation)(out)


def _fuses(out: Any, bias: Any, activation: str | None) -> bool:
    """Whether a kernel takes what follows a product."""
    plain = out.dtype.char in "fd" and bias.dtype == out.dtype and bias.flags.carray
    return plain and activation in EPILOGUES and out.flags.carray and out.size > 0
