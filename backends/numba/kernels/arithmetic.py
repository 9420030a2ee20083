"""Steps that all normalization kernels share.

A channel's map is y = (x - mean)·scale + offset with offset = beta - low·scale: mean is the nearest
number of x's dtype, so x - mean loses nothing where x is near it, and the rest of the mean, low,
is small enough to be part of the offset.

Statistics come from Σ(x - shift) and Σ(x - shift)² with a shift of the data's own: short sums in
the dtype of x, their total in float64. Where the shift turns out more than a standard deviation
from the mean, the sums are made again about the mean, so the subtraction of squares never cancels.
"""

from __future__ import annotations

import math
from typing import Any

from ..compiler import exact

RELU = 1
"""The number of relu among activations; 0 is none, any other leaky_relu."""


@exact
def minus(a: Any, b: Any) -> Any:
    """a - b, never merged with other sums."""
    return a - b


@exact
def split(shift: Any, rest: Any, like: Any) -> Any:
    """shift + rest as a pair mean + low, in the dtype of `like`."""
    number = like.dtype.type
    mean = number(shift + rest)
    return mean, number((shift - mean) + rest)


@exact
def inverse_root(var: Any, eps: Any) -> Any:
    """(var + eps)^(-1/2), and 0 where that is a division by zero."""
    shifted = var + eps
    return 1.0 / math.sqrt(math.inf if shifted == 0.0 else shifted)


@exact
def is_far(first: Any, second: Any, n: Any) -> Any:
    """Whether the shift of sums lies more than a standard deviation from the mean."""
    return 2.0 * first * first > second * n


@exact
def centred_statistics(first: Any, second: Any, n: Any, shift: Any, eps: Any, like: Any) -> Any:
    """(mean, low, var, rstd) from Σ(x - shift) and Σ(x - shift)², in the dtype of `like`."""
    number, rest = like.dtype.type, first / n
    mean, low = split(shift, rest, like)
    var = second / n - rest * rest
    var = number(0.0 if var < 0.0 else var)
    return mean, low, var, number(inverse_root(var, eps))


@exact
def uncentred_statistics(second: Any, n: Any, eps: Any, like: Any) -> Any:
    """The same about 0: no mean, var the mean square."""
    number = like.dtype.type
    var = number(second / n)
    return number(0.0), number(0.0), var, number(inverse_root(var, eps))


@exact
def affine(mean: Any, low: Any, rstd: Any, gamma: Any, beta: Any, c: Any, k: Any, like: Any) -> Any:
    """(mean, scale, offset) of statistic c with parameter k, in the dtype of `like`."""
    scale = rstd[c] * gamma[k]
    offset = beta[k] - low[c] * scale
    number = like.dtype.type
    return number(mean[c]), number(scale), number(offset)


@exact
def slopes(low: Any, rstd: Any, gamma: Any, s0: Any, s1: Any, n: Any, center: Any) -> Any:
    """(a, b, e) of dx = a·g + b·(x - mean) + e, from s0 = Σg and s1 = Σ g·(x - mean - low)."""
    scale = rstd * gamma
    b = -scale * (s1 * rstd * rstd / n)
    e = -scale * (s0 / n) if center else 0.0
    return scale, b, e - b * low
