"""Reference: the affine map of a dense layer over `xp`."""

from __future__ import annotations

from typing import Any


class AffineReference:
    """Matrix product and shift in one call, so that a backend can do them in one kernel."""

    xp: Any

    def linear(self, x: Any, weight: Any, bias: Any) -> Any:
        """x·weightᵀ + bias; `bias` may be None."""
        xp = self.xp
        out = xp.matmul(x, xp.matrix_transpose(weight))
        if bias is None:
            return out
        if bias.dtype != out.dtype:
            return out + bias
        out += bias  # the product is fresh memory
        return out
