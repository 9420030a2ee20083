"""The gradient of batch norm's gradient, for x of shape (G, N, C, L).

Everything that couples the elements of a channel is one of five sums over it, so one pass over
u, g and x finds them, and a second one writes both results. With d = x - mean - low, h = g·act′:

    Σu, Σu·d, Σh, Σh·d, Σu·h.

See `batch_norm_grad_grad` of the reference for the formulas, and `solve` here for what is left of
them for one element: dg = act′·(q·u + r·d + s),  dx = v·h + w·u + y·d + z.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, strict
from .arithmetic import RELU, affine, minus
from .stream import CHUNK


@kernel
def plain_sums(u: Any, h: Any, x: Any, mean: Any) -> Any:
    """Σu, Σu·(x - mean), Σh, Σh·(x - mean), Σu·h of a chunk."""
    u0 = u1 = h0 = h1 = uh = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], mean)
        u0 += u[i]
        u1 += u[i] * d
        h0 += h[i]
        h1 += h[i] * d
        uh += u[i] * h[i]
    return u0, u1, h0, h1, uh


@kernel
def write_plain(u: Any, h: Any, x: Any, dg: Any, dx: Any, mean: Any, terms: Any) -> None:
    """dg, before the gate, and dx of a chunk."""
    q, r, s = terms[0], terms[1], terms[2]
    v, w, y, z = terms[3], terms[4], terms[5], terms[6]
    for i in range(x.size):
        d = minus(x[i], mean)
        dg[i] = q * u[i] + (r * d + s)
        dx[i] = v * h[i] + (w * u[i] + (y * d + z))


@kernel
def pass_gate(
    g: Any, x: Any, mean: Any, scale: Any, offset: Any, relu: Any, below: Any, h: Any
) -> None:
    """h = g·act′(z) of a chunk."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        h[i] = g[i] if z > zero else (zero if relu else g[i] * below)


@kernel
def gate_in_place(
    h: Any, x: Any, mean: Any, scale: Any, offset: Any, relu: Any, below: Any
) -> None:
    """h·act′(z) of a chunk; not by `pass_gate`, whose arrays must not be one and the same."""
    zero = x.dtype.type(0)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        h[i] = h[i] if z > zero else (zero if relu else h[i] * below)


@strict
def solve(
    sums: Any, n: Any, center: Any, rstd: Any, gamma: Any, low: Any, v: Any, t: Any, terms: Any
) -> Any:
    """The terms of an element from the sums over its channel; returns dgamma.

    With xhat = d·rstd, H = gamma·h and p = 1/n: U0, U1 = Σp·u, Σp·u·xhat; H0, H1 = ΣH, ΣH·xhat;
    F = ΣuH - H0·U0 - H1·U1; c = h·v - rstd·(H·U1 + p·u·H1).
    """
    u0, u1, g0, g1, ug = sums[0], sums[1], sums[2], sums[3], sums[4]
    u1, g1 = (u1 - low * u0) * rstd, (g1 - low * g0) * rstd
    p, mean_u, slope_u = 1.0 / n, u0 / n, u1 / n
    h0, h1 = gamma * g0, gamma * g1
    centre = 1.0 if center else 0.0
    f = gamma * ug - centre * h0 * mean_u - h1 * slope_u
    c0 = v * g0 - rstd * (slope_u * h0 + p * h1 * u0)
    c1 = v * g1 - rstd * (slope_u * h1 + p * h1 * u1)
    inner = rstd * p * (c1 + rstd * f)
    terms[0] = gamma * rstd
    terms[1] = (v - gamma * rstd * slope_u) * rstd
    terms[2] = t - centre * gamma * rstd * mean_u - terms[1] * low
    terms[3] = rstd * (v - rstd * gamma * slope_u)
    terms[4] = -rstd * rstd * p * h1
    terms[5] = -inner * rstd
    terms[6] = -centre * rstd * p * c0 - terms[5] * low
    return rstd * (ug - centre * mean_u * g0 - slope_u * g1)


@driver
def second(
    u: Any,
    v: Any,
    t: Any,
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    dg: Any,
    dx: Any,
    dgamma: Any,
    center: Any,
    act: Any,
    slope: Any,
) -> None:
    """dg, dx and dgamma of every slab."""
    channels, size = x.shape[2], x.shape[1] * x.shape[3]
    relu, below = act == RELU, x.dtype.type(slope)
    for i in prange(x.shape[0] * channels):
        k, c, j = i // channels, i % channels, i % gamma.size
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, j, x)
        sums, terms = np.zeros(5, np.float64), np.empty(7, np.float64)
        gates = np.empty(CHUNK, x.dtype)
        for n in range(x.shape[1]):
            for a in range(0, x.shape[3], CHUNK):
                us, xs = u[k, n, c, a : a + CHUNK], x[k, n, c, a : a + CHUNK]
                hs = g[k, n, c, a : a + CHUNK]
                if act:
                    pass_gate(hs, xs, centre, scale, offset, relu, below, gates[: xs.size])
                    hs = gates[: xs.size]
                part = plain_sums(us, hs, xs, centre)
                for m in range(5):
                    sums[m] += part[m]
        dgamma[i] = solve(sums, size, center, rstd[i], gamma[j], low[i], v[j], t[j], terms)
        factors = terms.astype(x.dtype)
        for n in range(x.shape[1]):
            for a in range(0, x.shape[3], CHUNK):
                us, xs = u[k, n, c, a : a + CHUNK], x[k, n, c, a : a + CHUNK]
                hs, out = g[k, n, c, a : a + CHUNK], dg[k, n, c, a : a + CHUNK]
                if act:
                    pass_gate(hs, xs, centre, scale, offset, relu, below, gates[: xs.size])
                    hs = gates[: xs.size]
                write_plain(us, hs, xs, out, dx[k, n, c, a : a + CHUNK], centre, factors)
                if act:
                    gate_in_place(out, xs, centre, scale, offset, relu, below)
