"""Normalization of each sample by itself, x of shape (M, Q, E): the gradient of its gradient.

Parameters are (Q, E) here: what serves several neighbours is repeated for them. Seven sums over a
row couple its elements; with d = x - mean - low and H = gamma·g:

    Σu, Σu·d, ΣH, ΣH·d, Σu·H, Σg·v, Σg·v·d.

See `batch_norm_grad_grad` of the reference for the formulas, and `solve` for what is left of them
for one element.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, exact, kernel, strict
from .arithmetic import minus
from .sample import normal
from .sample_grad import strips_of
from .stream import CHUNK


@kernel
def chunk_sums(u: Any, g: Any, x: Any, gamma: Any, v: Any, mean: Any) -> Any:
    """The seven sums of a chunk, with x - mean for d."""
    u0 = u1 = h0 = h1 = uh = v0 = v1 = x.dtype.type(0)
    for i in range(x.size):
        d, h, gv = minus(x[i], mean), gamma[i] * g[i], g[i] * v[i]
        u0 += u[i]
        u1 += u[i] * d
        h0 += h
        h1 += h * d
        uh += u[i] * h
        v0 += gv
        v1 += gv * d
    return u0, u1, h0, h1, uh, v0, v1


@kernel
def row_sums(u: Any, g: Any, x: Any, gamma: Any, v: Any, mean: Any, sums: Any) -> None:
    """The sums of a row."""
    sums[:] = 0
    for lo in range(0, x.size, CHUNK):
        hi = min(lo + CHUNK, x.size)
        part = chunk_sums(u[lo:hi], g[lo:hi], x[lo:hi], gamma[lo:hi], v[lo:hi], mean)
        for j in range(7):
            sums[j] += part[j]


@strict
def solve(sums: Any, n: Any, center: Any, rstd: Any, low: Any, terms: Any) -> None:
    """The terms of a row's elements from its sums.

    With U0, U1 = Σp·u, Σp·u·xhat, p = 1/n; H0, H1 = ΣH, ΣH·xhat; F = Σu·H - H0·U0 - H1·U1 and
    c = g·v - rstd·(H·U1 + p·u·H1):
    q = rstd·(u - U0 - xhat·U1) = t0·u + t1·xhat + t2,
    dx = rstd·g·(v + t3·gamma) + t4·u + t5·xhat + t6.
    """
    r, p, centre = rstd, 1.0 / n, 1.0 if center else 0.0
    u0, h0, uh, v0 = sums[0], sums[2], sums[4], sums[5]
    u1, h1, v1 = (sums[1] - low * u0) * r, (sums[3] - low * h0) * r, (sums[6] - low * v0) * r
    mean_u, slope_u = centre * p * u0, p * u1
    f = uh - h0 * mean_u - h1 * slope_u
    c0 = v0 - r * (h0 * slope_u + p * u0 * h1)
    c1 = v1 - r * (h1 * slope_u + p * u1 * h1)
    terms[0], terms[1], terms[2] = r, -r * slope_u, -r * mean_u
    terms[3] = -r * slope_u
    terms[4] = -r * r * p * h1
    terms[5] = -r * p * (c1 + r * f)
    terms[6] = -centre * r * p * c0


# Products of three factors: in one order, so that both forms of the driver give the same bits.


@exact
def q_of(u: Any, xhat: Any, a: Any, b: Any, c: Any) -> Any:
    """q of `solve`."""
    return a * u + (b * xhat + c)


@exact
def dg_of(q: Any, xhat: Any, gamma: Any, v: Any, t: Any) -> Any:
    """gamma·q + v·xhat + t."""
    return gamma * q + (v * xhat + t)


@exact
def scale_of(rstd: Any, v: Any, gamma: Any, h: Any) -> Any:
    """The factor of g in dx of `solve`."""
    return rstd * (v + h * gamma)


@exact
def dx_of(g: Any, u: Any, xhat: Any, scale: Any, k: Any, y: Any, z: Any) -> Any:
    """dx of `solve`."""
    return scale * g + (k * u + (y * xhat + z))


@kernel
def write_row(
    u: Any,
    g: Any,
    x: Any,
    gamma: Any,
    v: Any,
    t: Any,
    mean: Any,
    rstd: Any,
    low: Any,
    terms: Any,
    dg: Any,
    dx: Any,
    dgamma: Any,
) -> None:
    """dg and dx of a row, and its part of dgamma; `low` is low·rstd."""
    for i in range(x.size):
        xhat = normal(x[i], mean, rstd, low)
        q = q_of(u[i], xhat, terms[0], terms[1], terms[2])
        dg[i] = dg_of(q, xhat, gamma[i], v[i], t[i])
        scale = scale_of(rstd, v[i], gamma[i], terms[3])
        dx[i] = dx_of(g[i], u[i], xhat, scale, terms[4], terms[5], terms[6])
        dgamma[i] += g[i] * q


@kernel
def add_strips(totals: Any, dgamma: Any) -> None:
    """The parts of all strips, added in order."""
    for s in range(1, totals.shape[0]):
        for q in range(totals.shape[1]):
            for i in range(totals.shape[2]):
                totals[0, q, i] += totals[s, q, i]
    for q in range(totals.shape[1]):
        for i in range(totals.shape[2]):
            dgamma[q, i] = totals[0, q, i]


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
    dg: Any,
    dx: Any,
    dgamma: Any,
    center: Any,
) -> None:
    """dg, dx and dgamma (Q, E)."""
    groups, rows, width = x.shape[1], x.shape[0] * x.shape[1], x.shape[2]
    strips = strips_of(x, gamma.size)
    totals = np.zeros((strips, groups, width), np.float64)
    for s in prange(strips):
        sums, terms = np.empty(7, np.float64), np.empty(7, np.float64)
        for i in range(rows * s // strips, rows * (s + 1) // strips):
            m, q, rest = i // groups, i % groups, low[i] * rstd[i]
            us, gs, xs, ps, vs = u[m, q], g[m, q], x[m, q], gamma[q], v[q]
            row_sums(us, gs, xs, ps, vs, mean[i], sums)
            solve(sums, width, center, rstd[i], low[i], terms)
            write_row(
                us,
                gs,
                xs,
                ps,
                vs,
                t[q],
                mean[i],
                rstd[i],
                rest,
                terms.astype(x.dtype),
                dg[m, q],
                dx[m, q],
                totals[s, q],
            )
    add_strips(totals, dgamma)
