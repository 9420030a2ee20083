"""Normalization of x of shape (G, N, C, L): the gradient and the gate of an activation.

Slabs and their walk are those of `slabs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .arithmetic import RELU, affine, minus, slopes
from .stream import CHUNK, is_large, settle, store


@kernel
def grad_sums(g: Any, x: Any, mean: Any) -> Any:
    """Σ g and Σ g·(x - mean) of a chunk."""
    first = second = x.dtype.type(0)
    for i in range(x.size):
        first += g[i]
        second += g[i] * minus(x[i], mean)
    return first, second


@kernel
def gated_sums(g: Any, x: Any, mean: Any, scale: Any, offset: Any, relu: Any, below: Any) -> Any:
    """The same sums for h = g·act′(z)."""
    zero = x.dtype.type(0)
    first = second = zero
    for i in range(x.size):
        d = minus(x[i], mean)
        h = g[i] if d * scale + offset > zero else (zero if relu else g[i] * below)
        first += h
        second += h * d
    return first, second


@kernel
def residual_sums(
    g: Any,
    x: Any,
    residual: Any,
    h: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    relu: Any,
    below: Any,
) -> Any:
    """The same sums, z with its residual; h is kept."""
    zero = x.dtype.type(0)
    first = second = zero
    for i in range(x.size):
        d = minus(x[i], mean)
        z = d * scale + offset + residual[i]
        passed = g[i] if z > zero else (zero if relu else g[i] * below)
        h[i] = passed
        first += passed
        second += passed * d
    return first, second


@kernel
def slab_grad_sums(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    h: Any,
    k: Any,
    c: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
) -> Any:
    """Σ h and Σ h·(x - mean) of channel c of group k, h = g·act′; h is stored if `add`."""
    s0 = s1 = np.float64(0)
    relu, below = act == RELU, x.dtype.type(slope)
    for n in range(x.shape[1]):
        for lo in range(0, x.shape[3], CHUNK):
            gs, xs = g[k, n, c, lo : lo + CHUNK], x[k, n, c, lo : lo + CHUNK]
            if add:
                rs, hs = residual[k, n, c, lo : lo + CHUNK], h[k, n, c, lo : lo + CHUNK]
                p, q = residual_sums(gs, xs, rs, hs, mean, scale, offset, relu, below)
            elif act:
                p, q = gated_sums(gs, xs, mean, scale, offset, relu, below)
            else:
                p, q = grad_sums(gs, xs, mean)
            s0 += p
            s1 += q
    return s0, s1


@kernel
def write_plain(g: Any, x: Any, dx: Any, mean: Any, a: Any, b: Any, e: Any) -> None:
    """dx = a·g + b·(x - mean) + e of a chunk."""
    for i in range(x.size):
        dx[i] = a * g[i] + (b * minus(x[i], mean) + e)


@kernel
def write_gated(
    g: Any,
    x: Any,
    dx: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    a: Any,
    b: Any,
    e: Any,
    relu: Any,
    below: Any,
) -> None:
    """dx = a·h + b·(x - mean) + e of a chunk, h = g·act′(z)."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], mean)
        h = g[i] if d * scale + offset > zero else (zero if relu else g[i] * below)
        dx[i] = a * h + (b * d + e)


@kernel
def write_grad_slab(
    g: Any,
    x: Any,
    k: Any,
    c: Any,
    dx: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    a: Any,
    b: Any,
    e: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> None:
    """dx of channel c of group k, its last run first, past the caches by a buffer."""
    large = buffer.size > 0
    relu, below = act == RELU, x.dtype.type(slope)
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for lo in range(0, x.shape[3], CHUNK):
            hi = min(lo + CHUNK, x.shape[3])
            gs, xs, out = g[k, n, c, lo:hi], x[k, n, c, lo:hi], dx[k, n, c, lo:hi]
            part = buffer[: hi - lo] if large else out
            if act:
                write_gated(gs, xs, part, mean, scale, offset, a, b, e, relu, below)
            else:
                write_plain(gs, xs, part, mean, a, b, e)
            if large:
                store(buffer, out)
    if large:
        settle()


@driver
def backward(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    h: Any,
    dx: Any,
    dgamma: Any,
    dbeta: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dx, and dgamma and dbeta of every slab; if `add`, h = g·act′(z) as well."""
    channels, size, large = x.shape[2], x.shape[1] * x.shape[3], is_large(x)
    number = x.dtype.type
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        buffer = np.empty(CHUNK if large else 0, x.dtype)
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        s0, s1 = slab_grad_sums(g, x, residual, add, h, k, c, centre, scale, offset, act, slope)
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        p, q, r = slopes(low[i], rstd[i], gamma[i % gamma.size], s0, s1, size, center)
        a, b, e = number(p), number(q), number(r)
        if add:
            write_grad_slab(h, x, k, c, dx, centre, scale, offset, a, b, e, 0, slope, buffer)
        else:
            write_grad_slab(g, x, k, c, dx, centre, scale, offset, a, b, e, act, slope, buffer)
