"""Reductions over axes: sums, products, extremes, statistics, logical tests.

`axis` is None (all axes), an int or a tuple of ints; `keepdims` leaves reduced axes with length 1.
All raise ValueError for an axis that does not exist or is named twice.
"""

from __future__ import annotations

import math
from typing import Any

from ..autograd import primitive

__all__ = [
    "all",
    "any",
    "count_nonzero",
    "max",
    "mean",
    "min",
    "prod",
    "std",
    "sum",
    "var",
]

Axis = int | tuple[int, ...] | None
Shape = tuple[int, ...]


def reduced(axis: Axis, ndim: int) -> tuple[int, ...]:
    """The axes that a reduction removes, counted from the front."""
    axes = range(ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
    return tuple([a % ndim for a in axes])


def has_axis(x: Any, axis: Axis) -> None:
    """ValueError for an axis of a scalar: libraries take 0 and -1 there, which do not exist."""
    if axis is not None and len(x.shape) == 0 and axis != ():
        raise ValueError(f"axis {axis} does not exist in a tensor of shape ()")


def spread(B: Any, g: Any, axis: Axis, keepdims: bool, shape: Shape) -> Any:
    """Give `g`, the shape of a reduction, back the axes it lost (length 1), to broadcast."""
    if keepdims or len(shape) == 0:
        return g
    lost = reduced(axis, len(shape))
    return B.reshape(g, tuple([1 if i in lost else n for i, n in enumerate(shape)]))


def extent(axis: Axis, shape: Shape) -> int:
    """How many elements a reduction over `axis` combines into one."""
    return math.prod([shape[a] for a in reduced(axis, len(shape))])


# --------------------------------------------------------------------------- sums and products


@primitive(x=lambda B, g, x_shape, axis, keepdims: spread(B, g, axis, keepdims, x_shape))
def sum(B: Any, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """Σ x over `axis`.   d/dx = g, broadcast.

    Small integers and booleans are added up in int64 (uint64 for unsigned ones).
    """
    has_axis(x, axis)
    return B.sum(x, axis=axis, dtype=dtype, keepdims=keepdims)


def _others(B: Any, x: Any, axis: Axis) -> Any:
    """For every element the product of the others that are reduced with it, without dividing.

    It is the product of those before it times the product of those after it.
    """
    shape = tuple(x.shape)
    lost = reduced(axis, len(shape))
    order = (*[a for a in range(len(shape)) if a not in lost], *lost)
    permuted = tuple([shape[a] for a in order])
    kept = permuted[: len(shape) - len(lost)]
    rows = B.reshape(B.permute_dims(x, order), (*kept, math.prod(permuted[len(kept) :])))
    before = B.cumulative_prod(rows, axis=-1, include_initial=True)[..., :-1]
    after = B.cumulative_prod(B.flip(rows, axis=-1), axis=-1, include_initial=True)[..., :-1]
    product = B.reshape(before * B.flip(after, axis=-1), permuted)
    inverse = tuple(sorted(range(len(order)), key=order.__getitem__))
    return B.permute_dims(product, inverse)


@primitive(
    x=lambda B, g, x, axis, keepdims: (
        spread(B, g, axis, keepdims, tuple(x.shape)) * _others(B, x, axis)
    )
)
def prod(B: Any, x: Any, /, *, axis: Axis = None, dtype: Any = None, keepdims: bool = False) -> Any:
    """∏ x over `axis`.   d/dx = g·(product of the other elements), right at zeros too.

    Small integers and booleans are multiplied in int64 (uint64 for unsigned ones).
    """
    has_axis(x, axis)
    return B.prod(x, axis=axis, dtype=dtype, keepdims=keepdims)


# ------------------------------------------------------------------------------------ extremes


def _shared(B: Any, g: Any, beaten: Any, axis: Axis, keepdims: bool) -> Any:
    """g to the elements that are not beaten, in even shares."""
    g = spread(B, g, axis, keepdims, tuple(beaten.shape))
    best = B.astype(B.logical_not(beaten), g.dtype)
    return g * (best / B.sum(best, axis=axis, keepdims=True))


def _max_dx(B: Any, g: Any, x: Any, out: Any, axis: Axis, keepdims: bool) -> Any:
    beaten = x < spread(B, out, axis, keepdims, tuple(x.shape))
    return _shared(B, g, beaten, axis, keepdims)


@primitive(x=_max_dx)
def max(B: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The greatest element over `axis`.   g goes to it; ties share it evenly.

    A NaN among the elements is the result (and all of them share g).
    Raises ValueError if there are no elements.
    """
    has_axis(x, axis)
    return B.max(x, axis=axis, keepdims=keepdims)


def _min_dx(B: Any, g: Any, x: Any, out: Any, axis: Axis, keepdims: bool) -> Any:
    beaten = x > spread(B, out, axis, keepdims, tuple(x.shape))
    return _shared(B, g, beaten, axis, keepdims)


@primitive(x=_min_dx)
def min(B: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """The smallest element over `axis`.   g goes to it; ties share it evenly.

    A NaN among the elements is the result (and all of them share g).
    Raises ValueError if there are no elements.
    """
    has_axis(x, axis)
    return B.min(x, axis=axis, keepdims=keepdims)


# ---------------------------------------------------------------------------------- statistics


@primitive(
    x=lambda B, g, x_shape, axis, keepdims: (
        spread(B, g, axis, keepdims, x_shape) / (extent(axis, x_shape) or 1)
    )
)
def mean(B: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Σ x / n over `axis`.   d/dx = g/n, broadcast.   NaN if there are no elements."""
    has_axis(x, axis)
    return B.mean(x, axis=axis, keepdims=keepdims)


def _deviation(B: Any, x: Any, axis: Axis, correction: float) -> Any:
    """(x - mean) / (n - correction); NaN where the divisor is not positive."""
    divisor = extent(axis, tuple(x.shape)) - correction
    return (x - B.mean(x, axis=axis, keepdims=True)) * (1 / divisor if divisor > 0 else math.nan)


def _var_dx(B: Any, g: Any, x: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    g = spread(B, g, axis, keepdims, tuple(x.shape))
    return g * (2 * _deviation(B, x, axis, correction))


@primitive(x=_var_dx)
def var(
    B: Any, x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Any:
    """Σ (x - mean)² / (n - correction) over `axis`.   d/dx = 2·g·(x - mean)/(n - correction).

    Computed in two passes, about the mean: exact to rounding however large the mean is. NaN where
    n ≤ correction. `correction=1` gives the unbiased estimate.
    """
    has_axis(x, axis)
    return B.var(x, axis=axis, correction=correction, keepdims=keepdims)


def _std_dx(B: Any, g: Any, x: Any, out: Any, axis: Axis, correction: float, keepdims: bool) -> Any:
    shape = tuple(x.shape)
    out = spread(B, out, axis, keepdims, shape)
    still = out == 0
    slope = _deviation(B, x, axis, correction) / B.where(still, 1.0, out)
    return spread(B, g, axis, keepdims, shape) * B.where(still, 0.0, slope)


@primitive(x=_std_dx)
def std(
    B: Any, x: Any, /, *, axis: Axis = None, correction: float = 0.0, keepdims: bool = False
) -> Any:
    """√var over `axis`.   d/dx = g·(x - mean)/((n - correction)·out), and 0 where out = 0.

    All elements equal is a kink: the derivative there is taken as 0, at every order.
    """
    has_axis(x, axis)
    return B.std(x, axis=axis, correction=correction, keepdims=keepdims)


# ----------------------------------------------------------------------------- tests and counts


@primitive()
def all(B: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether all elements over `axis` are nonzero; True if there are none."""
    has_axis(x, axis)
    return B.all(x, axis=axis, keepdims=keepdims)


@primitive()
def any(B: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """Whether any element over `axis` is nonzero; False if there are none."""
    has_axis(x, axis)
    return B.any(x, axis=axis, keepdims=keepdims)


@primitive()
def count_nonzero(B: Any, x: Any, /, *, axis: Axis = None, keepdims: bool = False) -> Any:
    """How many elements over `axis` are nonzero, as int64."""
    has_axis(x, axis)
    return B.count_nonzero(x, axis=axis, keepdims=keepdims)
