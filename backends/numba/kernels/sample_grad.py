"""Normalization of each sample by itself, x of shape (M, Q, E): the gradient.

Rows and parameters are those of `sample`. Every row gives its part of dgamma and dbeta. Rows are
dealt to strips, how many depends on shapes alone: the parts of a strip are added by one thread,
and strips in their order, so the number of threads leaves no trace.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, exact, kernel
from .arithmetic import minus, slopes
from .sample import normal
from .stream import SHORT
from .weighted_steps import product

RUN = 64
"""Rows that are summed in the dtype of x, before the sums go to float64."""
STRIPS = 16
PIECE = 1 << 15
"""Elements of a strip at least."""
SHARE = 16
"""How many times larger than the sums of all its strips x is at least."""


@kernel
def strips_of(x: Any, parameters: Any) -> Any:
    """How many strips the M·Q rows of x fall into, with so many parameters to sum for."""
    room = x.size // (SHARE * parameters)
    return max(1, min(STRIPS, x.size // PIECE, x.shape[0] * x.shape[1], room))


@kernel
def add_vector(
    g: Any,
    x: Any,
    mean: Any,
    rstd: Any,
    low: Any,
    gamma: Any,
    dgamma: Any,
    dbeta: Any,
) -> Any:
    """Σh and Σ h·(x - mean) of a chunk, h = gamma·g; g·xhat and g are added to the gradients."""
    s0 = s1 = x.dtype.type(0)
    for i in range(x.size):
        h = g[i] * gamma[i]
        s0 += h
        s1 += h * minus(x[i], mean)
    for i in range(x.size):
        dgamma[i] += g[i] * normal(x[i], mean, rstd, low)
        dbeta[i] += g[i]
    return s0, s1


@kernel
def add_row(
    g: Any, x: Any, mean: Any, rstd: Any, low: Any, gamma: Any, dgamma: Any, dbeta: Any
) -> Any:
    """The same of a row."""
    s0 = s1 = np.float64(0)
    for lo in range(0, x.size, SHORT):
        hi = min(lo + SHORT, x.size)
        a, b = add_vector(
            g[lo:hi], x[lo:hi], mean, rstd, low, gamma[lo:hi], dgamma[lo:hi], dbeta[lo:hi]
        )
        s0 += a
        s1 += b
    return s0, s1


@kernel
def chunk_sums(g: Any, x: Any, mean: Any) -> Any:
    """Σg and Σ g·(x - mean) of a chunk."""
    s0 = s1 = x.dtype.type(0)
    for i in range(x.size):
        s0 += g[i]
        s1 += g[i] * minus(x[i], mean)
    return s0, s1


@kernel
def run_sums(g: Any, x: Any, mean: Any) -> Any:
    """The same of the neighbours that share parameters."""
    s0 = s1 = np.float64(0)
    for lo in range(0, x.size, SHORT):
        a, b = chunk_sums(g[lo : lo + SHORT], x[lo : lo + SHORT], mean)
        s0 += a
        s1 += b
    return s0, s1


@kernel
def add_runs(
    g: Any, x: Any, mean: Any, rstd: Any, low: Any, gamma: Any, dgamma: Any, dbeta: Any
) -> Any:
    """Like `add_row` with runs of neighbours that share parameters."""
    s0 = s1 = np.float64(0)
    run = x.size // gamma.size
    for d in range(gamma.size):
        a, b = run_sums(g[d * run : (d + 1) * run], x[d * run : (d + 1) * run], mean)
        dgamma[d] += product(b, rstd) - a * low
        dbeta[d] += a
        s0 += gamma[d] * a
        s1 += gamma[d] * b
    return s0, s1


@exact
def dx_of(h: Any, d: Any, scale: Any, b: Any, e: Any) -> Any:
    """scale·h + b·d + e, where h is a product that is made first."""
    return scale * h + (b * d + e)


@kernel
def write_vector(
    g: Any, x: Any, mean: Any, gamma: Any, scale: Any, b: Any, e: Any, dx: Any
) -> None:
    """dx = scale·gamma·g + b·(x - mean) + e with parameters of each number's own."""
    for i in range(x.size):
        dx[i] = dx_of(gamma[i] * g[i], minus(x[i], mean), scale, b, e)


@kernel
def write_run(g: Any, x: Any, mean: Any, a: Any, b: Any, e: Any, dx: Any) -> None:
    """dx = a·g + b·(x - mean) + e."""
    for i in range(x.size):
        dx[i] = a * g[i] + (b * minus(x[i], mean) + e)


@kernel
def write_row(g: Any, x: Any, mean: Any, gamma: Any, scale: Any, b: Any, e: Any, dx: Any) -> None:
    """dx of a row."""
    run = x.size // gamma.size
    if run == 1:
        write_vector(g, x, mean, gamma, scale, b, e, dx)
    else:
        for d in range(gamma.size):
            lo, hi = d * run, (d + 1) * run
            write_run(g[lo:hi], x[lo:hi], mean, scale * gamma[d], b, e, dx[lo:hi])


@kernel
def collect(sums: Any, total: Any) -> None:
    """Sums in the dtype of x added to those in float64, and set to 0."""
    for q in range(sums.shape[1]):
        for d in range(sums.shape[2]):
            total[0, q, d] += sums[0, q, d]
            total[1, q, d] += sums[1, q, d]
            sums[0, q, d] = sums[1, q, d] = 0


@kernel
def add_strips(totals: Any, dgamma: Any, dbeta: Any) -> None:
    """The sums of all strips, added in order."""
    for t in range(1, totals.shape[0]):
        for q in range(totals.shape[2]):
            for d in range(totals.shape[3]):
                totals[0, 0, q, d] += totals[t, 0, q, d]
                totals[0, 1, q, d] += totals[t, 1, q, d]
    for q in range(totals.shape[2]):
        for d in range(totals.shape[3]):
            dgamma[q, d] = totals[0, 0, q, d]
            dbeta[q, d] = totals[0, 1, q, d]


@driver
def backward(
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    dx: Any,
    dgamma: Any,
    dbeta: Any,
    center: Any,
) -> None:
    """dx, and dgamma and dbeta, (Q, D)."""
    groups, rows, n = x.shape[1], x.shape[0] * x.shape[1], x.shape[2]
    number, vector = x.dtype.type, n == gamma.shape[1]
    strips = strips_of(x, gamma.size)
    totals = np.zeros((strips, 2, groups, gamma.shape[1]), np.float64)
    for t in prange(strips):
        lo, total = rows * t // strips, totals[t]
        sums = np.zeros((2, groups, gamma.shape[1] if vector else 0), x.dtype)
        for i in range(lo, rows * (t + 1) // strips):
            m, q, rest = i // groups, i % groups, low[i] * rstd[i]
            gs, xs, ps = g[m, q], x[m, q], gamma[q]
            if vector:
                s0, s1 = add_row(gs, xs, mean[i], rstd[i], rest, ps, sums[0, q], sums[1, q])
                if (i - lo) % (RUN * groups) == RUN * groups - 1:
                    collect(sums, total)
            else:
                s0, s1 = add_runs(gs, xs, mean[i], rstd[i], rest, ps, total[0, q], total[1, q])
            s1 -= low[i] * s0
            _, b, e = slopes(low[i], rstd[i], 1.0, s0, s1, n, center)
            write_row(gs, xs, mean[i], ps, rstd[i], number(b), number(e), dx[m, q])
        collect(sums, total)
    add_strips(totals, dgamma, dbeta)
