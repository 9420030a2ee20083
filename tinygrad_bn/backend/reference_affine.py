"""Reference: the affine map of a dense layer over `xp`."""

from __future__ import annotations

from typing import Any


class AffineReference:
    """Matrix product, shift and activation in one call, so that a backend can fuse them."""

    matmul: Any
    matrix_transpose: Any

    def linear(self, x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> Any:
        """act(x·weightᵀ + bias); `bias` may be None, `activation` names a method or is None."""
        out = self.matmul(x, self.matrix_transpose(weight))
        if bias is not None:
            if bias.dtype == out.dtype:
                out += bias  # the product is fresh memory
            else:
                out = out + bias
        return out if activation is None else getattr(self, activation)(out)
