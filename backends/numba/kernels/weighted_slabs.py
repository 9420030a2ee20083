"""Normalization of weighted x of shape (G, N, C, L): each statistic is N runs of L neighbours.

Groups and runs are as `layout.Form` has them, and statistic i has the parameters i mod their
number. The weights w are (G, N, V, L): V = 1, the same for all channels, or V = C.

What has no weight counts for nothing in the statistics, whatever it holds. With mere weights it is
normalised all the same; with a mask (`masked`) it is padding, where y is 0 and g counts as 0: its
weight is at most the `floor` of `floor_of`.

A statistic is summed by one thread, in chunks, so the number of threads leaves no trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .arithmetic import RELU, affine, is_far, minus
from .moments import store_centred, store_uncentred
from .stream import CHUNK, SHORT
from .weighted_steps import floor_of

# A chunk is also what is summed in the dtype of x: a few dozen terms for each lane of a vector.


@kernel
def first_sums(x: Any, w: Any) -> Any:
    """Σw and Σ w·x of a chunk, what has no weight left out."""
    n = total = np.float64(0)
    for i in range(x.size):
        if w[i] > 0:
            n += w[i]
            total += np.float64(w[i]) * x[i]
    return n, total


@kernel
def first_mean(x: Any, w: Any, k: Any, c: Any) -> Any:
    """The mean of the first chunk of a slab with a weight, or 0; see `weighted_rows`."""
    v = c % w.shape[2]
    n = total = np.float64(0)
    for m in range(x.shape[1]):
        for lo in range(0, x.shape[3], CHUNK):
            if n == 0:
                n, total = first_sums(x[k, m, c, lo : lo + CHUNK], w[k, m, v, lo : lo + CHUNK])
    return total / n if n > 0 else np.float64(0)


@kernel
def chunk_sums(x: Any, w: Any, shift: Any) -> Any:
    """Σ w·(x - shift) and Σ w·(x - shift)² of a chunk; what has no weight is not read."""
    first = second = zero = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], shift) if w[i] > zero else zero
        wd = w[i] * d
        first += wd
        second += wd * d
    return first, second


@kernel
def slab_sums(x: Any, w: Any, k: Any, c: Any, shift: Any) -> Any:
    """The same sums of channel c of group k."""
    v = c % w.shape[2]
    first = second = np.float64(0)
    for m in range(x.shape[1]):
        for lo in range(0, x.shape[3], SHORT):
            a, b = chunk_sums(x[k, m, c, lo : lo + SHORT], w[k, m, v, lo : lo + SHORT], shift)
            first += a
            second += b
    return first, second


@kernel
def slab_statistics(
    x: Any, w: Any, n: Any, k: Any, c: Any, center: Any, eps: Any, stats: Any
) -> None:
    """Mean, low, var, rstd of channel c of group k."""
    i = k * x.shape[2] + c
    if not center:
        _, second = slab_sums(x, w, k, c, x.dtype.type(0))
        store_uncentred(second, n[i], eps, stats, i)
        return
    shift = x.dtype.type(first_mean(x, w, k, c))
    first, second = slab_sums(x, w, k, c, shift)
    if is_far(first, second, n[i]):
        shift = x.dtype.type(shift + first / n[i])
        first, second = slab_sums(x, w, k, c, shift)
    store_centred(first, second, n[i], shift, eps, stats, i)


@driver
def statistics(x: Any, w: Any, n: Any, center: Any, eps: Any, stats: Any) -> None:
    """Rows mean, low, var, rstd of `stats`, (4, G·C); n is what Σ w·… is divided by, (G·C,)."""
    for i in prange(x.shape[0] * x.shape[2]):
        slab_statistics(x, w, n, i // x.shape[2], i % x.shape[2], center, eps, stats)


@kernel
def map_chunk(x: Any, mean: Any, scale: Any, offset: Any, residual: Any, add: Any, z: Any) -> None:
    """z = (x - mean)·scale + offset + residual."""
    if add:
        for i in range(x.size):
            z[i] = minus(x[i], mean) * scale + offset + residual[i]
    else:
        for i in range(x.size):
            z[i] = minus(x[i], mean) * scale + offset


@kernel
def finish_chunk(y: Any, w: Any, floor: Any, act: Any, slope: Any) -> None:
    """The activation, in place, where NaN stays, and 0 at padding."""
    zero = y.dtype.type(0)
    relu, below = act == RELU, y.dtype.type(slope if act else 1.0)
    for i in range(y.size):
        a = (zero if relu else y[i] * below) if y[i] <= zero else y[i]
        y[i] = a if w[i] > floor else zero


@kernel
def write_slab(
    x: Any,
    w: Any,
    masked: Any,
    k: Any,
    c: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    residual: Any,
    add: Any,
    y: Any,
    act: Any,
    slope: Any,
) -> None:
    """The output of channel c of group k."""
    v, floor = c % w.shape[2], floor_of(x, masked)
    for m in range(x.shape[1]):
        for lo in range(0, x.shape[3], CHUNK):
            xs, rs = x[k, m, c, lo : lo + CHUNK], residual[k, m, c, lo : lo + CHUNK]
            out = y[k, m, c, lo : lo + CHUNK]
            map_chunk(xs, mean, scale, offset, rs, add, out)
            if act or masked:
                finish_chunk(out, w[k, m, v, lo : lo + CHUNK], floor, act, slope)


@driver
def forward(
    x: Any,
    w: Any,
    n: Any,
    masked: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    add: Any,
    y: Any,
    stats: Any,
    center: Any,
    eps: Any,
    act: Any,
    slope: Any,
) -> None:
    """y = act((x - mean)·rstd·gamma + beta + residual), 0 at padding, and the statistics."""
    channels = x.shape[2]
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        slab_statistics(x, w, n, k, c, center, eps, stats)
        mean, scale, offset = affine(
            stats[0], stats[1], stats[3], gamma, beta, i, i % gamma.size, x
        )
        write_slab(x, w, masked, k, c, mean, scale, offset, residual, add, y, act, slope)
