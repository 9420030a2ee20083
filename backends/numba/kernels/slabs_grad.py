"""Normalization of x of shape (G, N, C, L): the gradient and the gate of an activation.

Slabs and their walk are those of `slabs`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, walk
from .arithmetic import RELU, minus, slopes
from .slabs import bundle_maps, bundle_of, bundles_of, piece_of, room_for
from .stream import SHORT, settle, store


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
    mean: Any,
    scale: Any,
    offset: Any,
    relu: Any,
    below: Any,
) -> Any:
    """The same sums, z with its residual."""
    zero = x.dtype.type(0)
    first = second = zero
    for i in range(x.size):
        d = minus(x[i], mean)
        z = d * scale + offset + residual[i]
        h = g[i] if z > zero else (zero if relu else g[i] * below)
        first += h
        second += h * d
    return first, second


@kernel
def add_grad_run(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    totals: Any,
) -> None:
    """Σ h and Σ h·(x - mean) of a run added to `totals`, h = g·act′(z)."""
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    for lo in range(0, x.size, SHORT):
        gs, xs = g[lo : lo + SHORT], x[lo : lo + SHORT]
        if add:
            rs = residual[lo : lo + SHORT]
            p, q = residual_sums(gs, xs, rs, mean, scale, offset, relu, below)
        elif act:
            p, q = gated_sums(gs, xs, mean, scale, offset, relu, below)
        else:
            p, q = grad_sums(gs, xs, mean)
        totals[0] += p
        totals[1] += q


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
def write_both(
    g: Any,
    x: Any,
    residual: Any,
    h: Any,
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
    """The same, z with its residual, and h."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], mean)
        z = d * scale + offset + residual[i]
        passed = g[i] if z > zero else (zero if relu else g[i] * below)
        h[i] = passed
        dx[i] = a * passed + (b * d + e)


@walk
def write_grad_run(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    h: Any,
    dx: Any,
    maps: Any,
    terms: Any,
    act: Any,
    slope: Any,
) -> None:
    """dx of a part of a run; h if `add`."""
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    a, b, e = terms[0], terms[1], terms[2]
    if add:
        write_both(g, x, residual, h, dx, mean, scale, offset, a, b, e, relu, below)
    elif act:
        write_gated(g, x, dx, mean, scale, offset, a, b, e, relu, below)
    else:
        write_plain(g, x, dx, mean, a, b, e)


@walk
def write_grad_bundle(
    g: Any,
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    h: Any,
    dx: Any,
    maps: Any,
    terms: Any,
    act: Any,
    slope: Any,
    buffer: Any,
) -> None:
    """dx, and h if `add`, of channels lo to hi of group k as `slabs.write_bundle` writes y."""
    length, step, past = x.shape[3], piece_of(x), buffer.size > 0
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for start in range(0, length, step):
            size = min(step, length - start)
            first, last = lo * length + start, (hi - 1) * length + start + size
            out, kept = dx[k, n, first:last], h[k, n, first:last]
            target = buffer[0, : out.size] if past else out
            gates = buffer[1, : out.size] if past else kept
            for c in range(lo, hi):
                at, end = c - lo, start + size
                gs, xs, rs = (
                    g[k, n, c, start:end],
                    x[k, n, c, start:end],
                    residual[k, n, c, start:end],
                )
                hs = gates[at * size : (at + 1) * size]
                part = target[at * size : (at + 1) * size]
                write_grad_run(gs, xs, rs, add, hs, part, maps[at], terms[at], act, slope)
            if past:
                store(target, out)
                if add:
                    store(gates, kept)
    if past:
        settle()


@kernel
def finish_bundle(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    totals: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
    terms: Any,
) -> None:
    """dgamma, dbeta and the factors of dx of channels lo to hi of group k."""
    for c in range(lo, hi):
        i, s0 = k * x.shape[2] + c, totals[c - lo, 0]
        s1 = totals[c - lo, 1] - low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        terms[c - lo, 0], terms[c - lo, 1], terms[c - lo, 2] = slopes(
            low[i],
            rstd[i],
            gamma[i % gamma.size],
            s0,
            s1,
            x.shape[1] * x.shape[3],
            center,
        )


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
    wide, count, room = bundle_of(x), bundles_of(x), room_for(x, dx)
    flat = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    gates, out = h.reshape(flat), dx.reshape(flat)
    for t in prange(x.shape[0] * count):
        k, lo = t // count, t % count * wide
        hi = min(lo + wide, x.shape[2])
        maps, terms = np.empty((wide, 3), x.dtype), np.empty((wide, 3), x.dtype)
        totals = np.zeros((wide, 2), np.float64)
        bundle_maps(x, k, lo, hi, mean, low, rstd, gamma, beta, maps)
        for n in range(x.shape[1]):
            for c in range(lo, hi):
                gs, xs, rs = g[k, n, c], x[k, n, c], residual[k, n, c]
                add_grad_run(gs, xs, rs, add, maps[c - lo], act, slope, totals[c - lo])
        finish_bundle(x, k, lo, hi, totals, low, rstd, gamma, center, dgamma, dbeta, terms)
        buffer = np.empty((2, room), x.dtype)
        write_grad_bundle(
            g, x, k, lo, hi, residual, add, gates, out, maps, terms, act, slope, buffer
        )
