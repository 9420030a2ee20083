"""The gradient of the gradient of weighted batch norm, for x of shape (G, N, C, L).

Slabs and weights are those of `weighted_slabs`. As without weights (see `second`), five sums over
a channel couple its elements; those of u are weighted. With d = x - mean - low, h = g·act′:

    Σ w·u, Σ w·u·d, Σh, Σh·d, Σu·h.

dg = act′·(q·u + r·d + s),  dx = v·h + w·(b·u + y·d + z) with the terms of `second.solve`, whose n
is Σw here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .arithmetic import affine, minus
from .second import solve
from .stream import CHUNK
from .weighted_slabs import map_chunk
from .weighted_slabs_grad import gate_chunk
from .weighted_steps import floor_of, product


@kernel
def chunk_sums(u: Any, h: Any, x: Any, w: Any, floor: Any, mean: Any) -> Any:
    """Σ w·u, Σ w·u·(x - mean), Σh, Σh·(x - mean), Σu·h of a chunk; padding is not read."""
    u0 = u1 = h0 = h1 = uh = zero = x.dtype.type(0)
    for i in range(x.size):
        d = minus(x[i], mean) if w[i] > floor else zero
        a = u[i] if w[i] > floor else zero
        wu = w[i] * a
        u0 += wu
        u1 += wu * d
        h0 += h[i]
        h1 += h[i] * d
        uh += a * h[i]
    return u0, u1, h0, h1, uh


@kernel
def gate_of(
    g: Any,
    x: Any,
    w: Any,
    floor: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    act: Any,
    slope: Any,
    h: Any,
) -> None:
    """h = g·act′(z) of a chunk, 0 at padding."""
    map_chunk(x, mean, scale, offset, x, 0, h)
    gate_chunk(g, w, floor, act, slope, h)


@kernel
def write_chunk(
    u: Any, h: Any, x: Any, w: Any, floor: Any, mean: Any, terms: Any, dg: Any, dx: Any
) -> None:
    """dg, before the gate, and dx of a chunk."""
    zero = x.dtype.type(0)
    q, r, s = terms[0], terms[1], terms[2]
    v, b, y, z = terms[3], terms[4], terms[5], terms[6]
    for i in range(x.size):
        d = minus(x[i], mean) if w[i] > floor else zero
        a = u[i] if w[i] > floor else zero
        dg[i] = q * a + (r * d + s)
        found = v * h[i] + product(w[i], b * a + (y * d + z))
        dx[i] = found if w[i] > floor else zero


@driver
def second(
    u: Any,
    v: Any,
    t: Any,
    g: Any,
    x: Any,
    w: Any,
    n: Any,
    masked: Any,
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
    channels, floor = x.shape[2], floor_of(x, masked)
    for i in prange(x.shape[0] * channels):
        k, c, j = i // channels, i % channels, i % gamma.size
        at = c % w.shape[2]
        centre, scale, offset = affine(mean, low, rstd, gamma, beta, i, j, x)
        sums, terms = np.zeros(5, np.float64), np.empty(7, np.float64)
        hs, ds = np.empty(CHUNK, x.dtype), np.empty(CHUNK, x.dtype)
        for m in range(x.shape[1]):
            for lo in range(0, x.shape[3], CHUNK):
                us, xs = u[k, m, c, lo : lo + CHUNK], x[k, m, c, lo : lo + CHUNK]
                gs, ws = g[k, m, c, lo : lo + CHUNK], w[k, m, at, lo : lo + CHUNK]
                h = hs[: xs.size]
                gate_of(gs, xs, ws, floor, centre, scale, offset, act, slope, h)
                part = chunk_sums(us, h, xs, ws, floor, centre)
                for p in range(5):
                    sums[p] += part[p]
        dgamma[i] = solve(sums, n[i], center, rstd[i], gamma[j], low[i], v[j], t[j], terms)
        factors = terms.astype(x.dtype)
        for m in range(x.shape[1]):
            for lo in range(0, x.shape[3], CHUNK):
                us, xs = u[k, m, c, lo : lo + CHUNK], x[k, m, c, lo : lo + CHUNK]
                gs, ws = g[k, m, c, lo : lo + CHUNK], w[k, m, at, lo : lo + CHUNK]
                h, d = hs[: xs.size], ds[: xs.size]
                gate_of(gs, xs, ws, floor, centre, scale, offset, act, slope, h)
                write_chunk(us, h, xs, ws, floor, centre, factors, d, dx[k, m, c, lo : lo + CHUNK])
                gate_of(
                    d,
                    xs,
                    ws,
                    floor,
                    centre,
                    scale,
                    offset,
                    act,
                    slope,
                    dg[k, m, c, lo : lo + CHUNK],
                )
