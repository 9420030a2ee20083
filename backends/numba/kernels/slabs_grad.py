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
def gate_run(
    g: Any, x: Any, mean: Any, scale: Any, offset: Any, act: Any, slope: Any, h: Any
) -> None:
    """h = g·act′(z) of a chunk."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        h[i] = g[i] if z > zero else (zero if relu else g[i] * below)


@kernel
def slab_grad_sums(
    g: Any,
    x: Any,
    k: Any,
    c: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> Any:
    """Σ h and Σ h·(x - mean) of channel c of group k, h = g·act′."""
    s0 = s1 = 0.0
    for n in range(x.shape[1]):
        for i in range(0, x.shape[3], CHUNK):
            gs, xs = g[k, n, c, i : i + CHUNK], x[k, n, c, i : i + CHUNK]
            if act:
                h = buffer[: xs.size]
                gate_run(gs, xs, mean, scale, offset, act, slope, h)
                p, q = grad_sums(h, xs, mean)
            else:
                p, q = grad_sums(gs, xs, mean)
            s0 += p
            s1 += q
    return s0, s1


@kernel
def write_grad_run(g: Any, x: Any, dx: Any, mean: Any, a: Any, b: Any, e: Any) -> None:
    """dx = a·g + b·(x - mean) + e of a chunk."""
    for i in range(x.size):
        dx[i] = a * g[i] + (b * minus(x[i], mean) + e)


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
    gates: Any,
    buffer: Any,
) -> None:
    """dx of channel c of group k, its last run first, past the caches by a buffer."""
    large = buffer.size > 0
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for lo in range(0, x.shape[3], CHUNK):
            hi = min(lo + CHUNK, x.shape[3])
            gs, xs, out = g[k, n, c, lo:hi], x[k, n, c, lo:hi], dx[k, n, c, lo:hi]
            if act:
                gate_run(gs, xs, mean, scale, offset, act, slope, gates[: hi - lo])
                gs = gates[: hi - lo]
            if large:
                write_grad_run(gs, xs, buffer[: hi - lo], mean, a, b, e)
                store(buffer, out)
            else:
                write_grad_run(gs, xs, out, mean, a, b, e)
    if large:
        settle()


@driver
def backward(
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    dx: Any,
    dgamma: Any,
    dbeta: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dx, and dgamma and dbeta of every slab."""
    channels, size, large = x.shape[2], x.shape[1] * x.shape[3], is_large(x)
    number = x.dtype.type
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        gates, buffer = np.empty(CHUNK, x.dtype), np.empty(CHUNK if large else 0, x.dtype)
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        s0, s1 = slab_grad_sums(g, x, k, c, centre, scale, offset, act, slope, gates)
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        p, q, r = slopes(low[i], rstd[i], gamma[i % gamma.size], s0, s1, size, center)
        a, b, e = number(p), number(q), number(r)
        write_grad_slab(g, x, k, c, dx, centre, scale, offset, a, b, e, act, slope, gates, buffer)


@kernel
def gate_residual_run(
    g: Any,
    x: Any,
    residual: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    relu: Any,
    below: Any,
    zero: Any,
    h: Any,
) -> None:
    """h = g·act′(z) of a run, z with its residual."""
    for j in range(g.size):
        z = minus(x[j], mean) * scale + offset + residual[j]
        h[j] = g[j] if z > zero else (zero if relu else g[j] * below)


@driver
def gate(
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    h: Any,
    act: Any,
    slope: Any,
) -> None:
    """h = g·act′(z), z = (x - mean)·rstd·gamma + beta + residual."""
    channels = x.shape[2]
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        for n in range(x.shape[1]):
            gate_residual_run(
                g[k, n, c],
                x[k, n, c],
                residual[k, n, c],
                centre,
                scale,
                offset,
                relu,
                below,
                zero,
                h[k, n, c],
            )
