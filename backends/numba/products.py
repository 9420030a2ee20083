"""Matrix products stay with NumPy's BLAS; kernels are told when its threads are awake."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_affine import AffineReference

from . import threads


class NumbaProducts(AffineReference):
    """The products of the reference, noted for `threads.enter`."""

    def matmul(self, x1: Any, x2: Any, /) -> Any:
        """NumPy's own."""
        out = np.matmul(x1, x2)
        threads.note_product(out.size * x1.shape[-1])
        return out

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """That of the reference."""
        out = super().linear(x, weight, bias)
        threads.note_product(out.size * weight.shape[1])
        return out
