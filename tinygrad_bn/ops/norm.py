"""Norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive
from ..refusal import named
from .creation import asarray
from .datatype import astype
from .decomposition import svdvals
from .elementwise import abs
from .manipulation import reshape
from .matrix import check_matrix
from .reduction import max, min, spread, sum

__all__ = ["matrix_norm", "vector_norm"]

Axis = int | tuple[int, ...] | None


def _power_norm_dx(
    B: Any, g: Any, x: Any, out: Any, axis: Axis, ord: float, keepdims: bool, x_shape: Any
) -> Any:
    """g·sign(x)·(|x|/out)^(ord-1), and 0 where out = 0."""
    g, out = (spread(B, a, axis, keepdims, x_shape) for a in (g, out))
    zero = out == 0
    ratio = x / B.where(zero, B.ones_like(out), out)
    if ord == 1:
        return g * B.sign(x)
    if ord != 2:
        ratio = B.sign(x) * B.abs(ratio) ** (ord - 1)
    return B.where(zero, B.zeros_like(out), g) * ratio


@primitive(x=_power_norm_dx)
def _power_norm(B: Any, x: Any, *, axis: Axis, ord: float, keepdims: bool) -> Any:
    return B.power_norm(x, axis=axis, ord=ord, keepdims=keepdims)


def _floating(name: str, x: Any) -> Any:
    x = asarray(x)
    if x.dtype.kind not in "fc":
        raise TypeError(f"{name}: x must be floating-point, got dtype {x.dtype.name}")
    return x


@named
def vector_norm(x: Any, /, *, axis: Axis = None, keepdims: bool = False, ord: float = 2) -> Any:
    """(Σ |x|^ord)^(1/ord) over `axis` (None: over all elements).

    Args:
        x: floating-point tensor.
        axis: the axes that form the vectors.
        keepdims: leave them with length 1.
        ord: any number; inf and -inf give the largest and the smallest |x|, 0 counts the
            elements that are not zero (a constant to the derivative).

    d/dx = g·sign(x)·(|x|/out)^(ord-1), and 0 for a zero vector.   For ±inf as `max` and `min`.

    Raises TypeError for integers and for an ord that is no number.
    """
    x = _floating("vector_norm", x)
    if isinstance(ord, bool) or not isinstance(ord, int | float):
        raise TypeError(f"vector_norm: ord must be a number, got {ord!r}")
    if ord == math.inf:
        return max(abs(x), axis=axis, keepdims=keepdims)
    if ord == -math.inf:
        return min(abs(x), axis=axis, keepdims=keepdims)
    if ord == 0:
        real = "float32" if x.dtype.name == "complex64" else "float64"
        dtype = real if x.dtype.kind == "c" else x.dtype
        return sum(astype(x != 0, dtype), axis=axis, keepdims=keepdims)
    return _power_norm(x, axis=axis, ord=ord, keepdims=keepdims)


@named
def matrix_norm(x: Any, /, *, keepdims: bool = False, ord: Any = "fro") -> Any:
    """Norm of the matrices in the last two axes.

    ord: 'fro' √Σx²; 'nuc' the sum of the singular values; 2 and -2 the largest and the smallest
    of them; 1 and -1 the largest and smallest column sum of |x|; inf and -inf those of the rows.

    Raises ValueError for another ord and for fewer than two axes, TypeError for integers.
    """
    x = _floating("matrix_norm", check_matrix("matrix_norm", x))
    if ord == "fro":
        return vector_norm(x, axis=(-2, -1), keepdims=keepdims)
    if ord == "nuc":
        out = sum(svdvals(x), axis=-1)
    elif ord in (2, -2):
        out = svdvals(x)[..., 0 if ord > 0 else -1]
    elif ord in (1, -1, math.inf, -math.inf):
        sums = sum(abs(x), axis=-2 if ord in (1, -1) else -1)
        out = (max if ord > 0 else min)(sums, axis=-1)
    else:
        raise ValueError(
            f"matrix_norm: ord must be 'fro', 'nuc', 1, -1, 2, -2, inf or -inf, got {ord!r}"
        )
    return reshape(out, (*x.shape[:-2], 1, 1)) if keepdims else out
