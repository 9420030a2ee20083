"""softmax, its logarithm, and the logarithm of a sum of exponentials, without overflow.

A slice that holds +∞ or NaN, or -∞ only, has the softmax NaN, as in PyTorch.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from .activation import require_floating
from .manipulation import positions
from .reduction import reduced, spread

__all__ = [
    "log_softmax",
    "logsumexp",
    "softmax",
]

Axis = int | tuple[int, ...] | None


def _axes(name: str, axis: Axis, ndim: int) -> tuple[int, ...]:
    return tuple(range(ndim)) if axis is None else positions(name, axis, ndim)


@primitive(x=lambda B, g, out, axis: B.softmax_pull(g, out, axis=axis))
def softmax(B: Any, x: Any, /, axis: Axis = -1) -> Any:
    """eˣ/Σ eˣ, summed along `axis`.   d/dx = out·(g - Σ g·out).

    Args:
        x: any shape; the result has the same.
        axis: an int, several in a tuple, or None: all of them.

    Raises TypeError for integers, ValueError for an axis that x has not or that is named twice.
    """
    require_floating(B, "softmax", x)
    return B.softmax(x, axis=_axes("softmax", axis, x.ndim))


@primitive(x=lambda B, g, out, axis: B.log_softmax_pull(g, out, axis=axis))
def log_softmax(B: Any, x: Any, /, axis: Axis = -1) -> Any:
    """x - ln Σ eˣ, summed along `axis`.   d/dx = g - e^out·Σ g.

    Args:
        x: any shape; the result has the same.
        axis: an int, several in a tuple, or None: all of them.

    Raises TypeError for integers, ValueError for an axis that x has not or that is named twice.
    """
    require_floating(B, "log_softmax", x)
    return B.log_softmax(x, axis=_axes("log_softmax", axis, x.ndim))


def _logsumexp_dx(B: Any, g: Any, x: Any, axis: Axis, keepdims: bool) -> Any:
    # Not e^(x - out): where x is large, the rounding of `out` would be an error of that exponent.
    p = B.softmax(x, axis=reduced(axis, x.ndim))
    return spread(B, g, axis, keepdims, tuple(x.shape)) * p


@primitive(x=_logsumexp_dx)
def logsumexp(B: Any, x: Any, /, axis: Axis = None, *, keepdims: bool = False) -> Any:
    """ln Σ eˣ over `axis` (None: all axes; an int or a tuple); -∞ over no elements.

    d/dx = g·softmax(x).

    Raises TypeError for integers, ValueError for an axis that x has not or that is named twice.
    """
    require_floating(B, "logsumexp", x)
    return B.logsumexp(x, axis=_axes("logsumexp", axis, x.ndim), keepdims=keepdims)
