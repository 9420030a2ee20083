"""Normalization of weighted x of shape (G, N, C, L): the gradient, and the gate alone.

Slabs and weights are those of `weighted_slabs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .arithmetic import RELU, affine, minus, slopes
from .stream import CHUNK, SHORT
from .weighted_slabs import map_chunk
from .weighted_steps import floor_of, product


@kernel
def gate_chunk(g: Any, w: Any, floor: Any, act: Any, slope: Any, h: Any) -> None:
    """h = g·act′(z), 0 at padding; h holds z before."""
    zero = g.dtype.type(0)
    relu, below = act == RELU, g.dtype.type(slope)
    if act:
        for i in range(g.size):
            passed = g[i] if h[i] > zero else (zero if relu else g[i] * below)
            h[i] = passed if w[i] > floor else zero
    else:
        for i in range(g.size):
            h[i] = g[i] if w[i] > floor else zero


@kernel
def gate_slab(
    g: Any,
    x: Any,
    w: Any,
    floor: Any,
    residual: Any,
    add: Any,
    k: Any,
    c: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
    h: Any,
) -> None:
    """h = g·act′(z) of channel c of group k, 0 at padding."""
    v = c % w.shape[2]
    for m in range(x.shape[1]):
        for lo in range(0, x.shape[3], CHUNK):
            gs, ws = g[k, m, c, lo : lo + CHUNK], w[k, m, v, lo : lo + CHUNK]
            xs, rs = x[k, m, c, lo : lo + CHUNK], residual[k, m, c, lo : lo + CHUNK]
            hs = h[k, m, c, lo : lo + CHUNK]
            if act:
                map_chunk(xs, mean, scale, offset, rs, add, hs)
            gate_chunk(gs, ws, floor, act, slope, hs)


@driver
def gate(
    g: Any,
    x: Any,
    w: Any,
    masked: Any,
    residual: Any,
    add: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    h: Any,
    act: Any,
    slope: Any,
) -> None:
    """h = g·act′(z), 0 at padding, z = (x - mean)·rstd·gamma + beta + residual."""
    channels, floor = x.shape[2], floor_of(x, masked)
    for i in prange(x.shape[0] * channels):
        k, c = i // channels, i % channels
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, i % gamma.size, x)
        gate_slab(g, x, w, floor, residual, add, k, c, centre, scale, offset, act, slope, h)


@kernel
def chunk_grad_sums(h: Any, x: Any, w: Any, floor: Any, mean: Any) -> Any:
    """Σ h and Σ h·(x - mean) of a chunk."""
    first = second = zero = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], mean) if w[i] > floor else zero
        passed = h[i] if w[i] > floor else zero
        first += passed
        second += passed * d
    return first, second


@kernel
def slab_grad_sums(h: Any, x: Any, w: Any, floor: Any, k: Any, c: Any, mean: Any) -> Any:
    """Σ h and Σ h·(x - mean) of channel c of group k."""
    v = c % w.shape[2]
    s0 = s1 = np.float64(0)
    for m in range(x.shape[1]):
        for lo in range(0, x.shape[3], SHORT):
            hs, xs = h[k, m, c, lo : lo + SHORT], x[k, m, c, lo : lo + SHORT]
            p, q = chunk_grad_sums(hs, xs, w[k, m, v, lo : lo + SHORT], floor, mean)
            s0 += p
            s1 += q
    return s0, s1


@kernel
def write_chunk(
    h: Any, x: Any, w: Any, floor: Any, mean: Any, a: Any, b: Any, e: Any, dx: Any
) -> None:
    """dx = a·h + w·(b·(x - mean) + e) of a chunk, 0 at padding."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        found = a * h[i] + product(w[i], b * minus(x[i], mean) + e)
        dx[i] = found if w[i] > floor else zero


@kernel
def write_slab(
    h: Any,
    x: Any,
    w: Any,
    floor: Any,
    k: Any,
    c: Any,
    mean: Any,
    a: Any,
    b: Any,
    e: Any,
    dx: Any,
) -> None:
    """dx of channel c of group k."""
    v = c % w.shape[2]
    for m in range(x.shape[1]):
        for lo in range(0, x.shape[3], CHUNK):
            hs, xs = h[k, m, c, lo : lo + CHUNK], x[k, m, c, lo : lo + CHUNK]
            ws, out = w[k, m, v, lo : lo + CHUNK], dx[k, m, c, lo : lo + CHUNK]
            write_chunk(hs, xs, ws, floor, mean, a, b, e, out)


@driver
def backward(
    g: Any,
    x: Any,
    w: Any,
    n: Any,
    masked: Any,
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
    """dx, and dgamma and dbeta of every slab.

    n is Σw of each statistic, or 1 where that is 0. With an activation, or a residual behind a
    mask, h = g·act′(z) goes from the sums to the map; else h is not written.
    """
    channels, number = x.shape[2], x.dtype.type
    floor, gated = floor_of(x, masked), act or (masked and add)
    for i in prange(x.shape[0] * channels):
        k, c, j = i // channels, i % channels, i % gamma.size
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, j, x)
        hs = g
        if gated:
            hs = h
            gate_slab(g, x, w, floor, residual, add, k, c, centre, scale, offset, act, slope, h)
        s0, s1 = slab_grad_sums(hs, x, w, floor, k, c, centre)
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        p, q, r = slopes(low[i], rstd[i], gamma[j], s0, s1, n[i], center)
        a, b, e = number(p), number(q), number(r)
        write_slab(hs, x, w, floor, k, c, centre, a, b, e, dx)
