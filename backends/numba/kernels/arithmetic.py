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

from ..compiler import exact, kernel

RELU = 1
"""The number of relu among activations; 0 is none, any other leaky_relu."""


@exact
def minus(a: Any, b: Any) -> Any:
    """a - b, never merged with other sums."""
    return a - b


@exact
def split(shift: Any, rest: Any, stats: Any, c: Any) -> None:
    """Store shift + rest as the pair mean + low."""
    stats[0, c] = shift + rest
    stats[1, c] = (shift - stats[0, c]) + rest


@kernel
def inverse_root(var: Any, eps: Any) -> Any:
    """(var + eps)^(-1/2), and 0 where that is a division by zero."""
    shifted = var + eps
    return 0.0 if shifted == 0.0 else 1.0 / math.sqrt(shifted)


@kernel
def is_far(first: Any, second: Any, n: Any) -> Any:
    """Whether the shift of sums lies more than a standard deviation from the mean."""
    return 2.0 * first * first > second * n


@kernel
def finish_statistics(
    first: Any, second: Any, n: Any, shift: Any, eps: Any, stats: Any, c: Any
) -> None:
    """The rows mean, low, var, rstd of channel c from Σ(x - shift) and Σ(x - shift)²."""
    rest = first / n
    split(shift, rest, stats, c)
    var = second / n - rest * rest
    stats[2, c] = 0.0 if var < 0.0 else var
    stats[3, c] = inverse_root(stats[2, c], eps)


@kernel
def uncentred_statistics(second: Any, n: Any, eps: Any, stats: Any, c: Any) -> None:
    """The same rows about 0: no mean, var the mean square."""
    stats[0, c] = 0.0
    stats[1, c] = 0.0
    stats[2, c] = second / n
    stats[3, c] = inverse_root(stats[2, c], eps)


@kernel
def affine(mean: Any, low: Any, rstd: Any, gamma: Any, beta: Any, c: Any, k: Any, like: Any) -> Any:
    """(mean, scale, offset) of statistic c with parameter k, in the dtype of `like`."""
    scale = rstd[c] * gamma[k]
    offset = beta[k] - low[c] * scale
    number = like.dtype.type
    return number(mean[c]), number(scale), number(offset)


@kernel
def slopes(low: Any, rstd: Any, gamma: Any, s0: Any, s1: Any, n: Any, center: Any) -> Any:
    """(a, b, e) of dx = a·g + b·(x - mean) + e, from s0 = Σg and s1 = Σ g·(x - mean - low)."""
    scale = rstd * gamma
    b = -scale * (s1 * rstd * rstd / n)
    e = -scale * (s0 / n) if center else 0.0
    return scale, b, e - b * low
