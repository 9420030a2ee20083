"""The affine map of a dense layer: a matrix product, and one kernel behind it."""

from __future__ import annotations

from typing import Any

from tinygrad_bn.backend.reference_affine import AffineReference

from .activation import run_epilogue
from .planning import NAMES


class CuPyAffine(AffineReference):
    """Overrides of the reference, by the same names."""

    def linear(self, x: Any, weight: Any, bias: Any, *, activation: str | None = None) -> Any:
        """The product, then in its memory the bias and relu by one kernel."""
        out = super().linear(x, weight, None)
        relu = activation == "relu"
        fits = (
            (bias is not None or relu)
            and out.dtype.char in NAMES
            and out.flags.c_contiguous
            and (bias is None or (bias.dtype == out.dtype and bias.flags.c_contiguous))
        )
        if not (fits and run_epilogue(self, out, bias, out, relu)):
            out = out if bias is None else out + bias
        elif relu:
            return out
        return out if activation is None else getattr(self, activation)(out)
