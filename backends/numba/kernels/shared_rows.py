"""Normalization of weighted x of shape (G, R, C): rows whose numbers all have one weight.

Masks of sequences and weights of samples are of this kind. Padding, rows without a weight, is left
out as a whole; all other rows are what they are without weights, but for a factor.

Four rows are summed at once, which saves most loads and stores of the running sums; they lie a
quarter of the strip apart, so that each is a stream of lines for the processor to prefetch.
"""

from __future__ import annotations

from typing import Any

from ..compiler import kernel
from .arithmetic import RELU, minus
from .weighted_steps import RUN, activate, collect, map_row, product


@kernel
def choose_rows(w: Any, every: Any, rows: Any) -> Any:
    """Store the numbers of the rows that have a weight, or of `every` row; returns how many."""
    found = 0
    for r in range(w.shape[0]):
        if every or w[r, 0] > 0:
            rows[found] = r
            found += 1
    return found


@kernel
def set_zero(row: Any) -> None:
    """0 everywhere."""
    for c in range(row.size):
        row[c] = 0


# ---------------------------------------------------------------------------------- statistics


@kernel
def add_rows(
    x0: Any,
    x1: Any,
    x2: Any,
    x3: Any,
    w0: Any,
    w1: Any,
    w2: Any,
    w3: Any,
    shift: Any,
    first: Any,
    second: Any,
) -> None:
    """Four rows added to Σ w·(x - shift) and Σ w·(x - shift)²."""
    for c in range(shift.size):
        s = shift[c]
        a, b, d, e = minus(x0[c], s), minus(x1[c], s), minus(x2[c], s), minus(x3[c], s)
        p, q, r, t = w0 * a, w1 * b, w2 * d, w3 * e
        first[c] += (p + q) + (r + t)
        second[c] += (p * a + q * b) + (r * d + t * e)


@kernel
def add_row(x: Any, w: Any, shift: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(shift.size):
        d = minus(x[c], shift[c])
        first[c] += w * d
        second[c] += w * d * d


@kernel
def add_strip(x: Any, w: Any, shift: Any, rows: Any, sums: Any, total: Any) -> None:
    """The sums of the rows of a strip, in float64; `rows` is scratch, and `sums`, all 0."""
    first, second = sums[0], sums[1]
    n = choose_rows(w, False, rows)
    q = n // 4
    for start in range(0, q, RUN):
        for i in range(start, min(start + RUN, q)):
            a, b, d, e = rows[i], rows[i + q], rows[i + 2 * q], rows[i + 3 * q]
            add_rows(
                x[a], x[b], x[d], x[e], w[a, 0], w[b, 0], w[d, 0], w[e, 0], shift, first, second
            )
        collect(sums, total)
    for i in range(4 * q, n):
        add_row(x[rows[i]], w[rows[i], 0], shift, first, second)
    collect(sums, total)


# ----------------------------------------------------------------------------------------- map


@kernel
def write_strip(
    x: Any,
    w: Any,
    masked: Any,
    maps: Any,
    residual: Any,
    add: Any,
    y: Any,
    act: Any,
    slope: Any,
) -> None:
    """The output of the rows of a strip."""
    for r in range(x.shape[0]):
        if not masked or w[r, 0] > 0:
            map_row(x[r], maps, residual[r], add, y[r])
            if act:
                activate(y[r], act, slope)
        else:
            set_zero(y[r])


# ------------------------------------------------------------------------------------ gradient


@kernel
def pass_row(g: Any, z: Any, act: Any, slope: Any, h: Any) -> None:
    """h = g·act′(z)."""
    zero = g.dtype.type(0)
    relu, below = act == RELU, g.dtype.type(slope)
    if act:
        for c in range(g.size):
            h[c] = g[c] if z[c] > zero else (zero if relu else g[c] * below)
    else:
        for c in range(g.size):
            h[c] = g[c]


@kernel
def gate_row(
    g: Any, x: Any, residual: Any, add: Any, maps: Any, act: Any, slope: Any, z: Any, h: Any
) -> None:
    """h = g·act′(z), z = (x - mean)·scale + offset + residual; `z` is scratch."""
    if act:
        map_row(x, maps, residual, add, z)
    pass_row(g, z, act, slope, h)


@kernel
def gate_strip(
    g: Any,
    x: Any,
    w: Any,
    masked: Any,
    residual: Any,
    add: Any,
    maps: Any,
    act: Any,
    slope: Any,
    z: Any,
    h: Any,
) -> None:
    """h = g·act′(z) of the rows of a strip, 0 at padding."""
    for r in range(x.shape[0]):
        if not masked or w[r, 0] > 0:
            gate_row(g[r], x[r], residual[r], add, maps, act, slope, z, h[r])
        else:
            set_zero(h[r])


@kernel
def add_grad_rows(
    h0: Any,
    h1: Any,
    h2: Any,
    h3: Any,
    x0: Any,
    x1: Any,
    x2: Any,
    x3: Any,
    mean: Any,
    first: Any,
    second: Any,
) -> None:
    """Four rows added to Σ h and Σ h·(x - mean)."""
    for c in range(mean.size):
        m = mean[c]
        a, b, d, e = minus(x0[c], m), minus(x1[c], m), minus(x2[c], m), minus(x3[c], m)
        first[c] += (h0[c] + h1[c]) + (h2[c] + h3[c])
        second[c] += (a * h0[c] + b * h1[c]) + (d * h2[c] + e * h3[c])


@kernel
def add_grad_row(h: Any, x: Any, mean: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(mean.size):
        first[c] += h[c]
        second[c] += h[c] * minus(x[c], mean[c])


@kernel
def add_grad_strip(
    h: Any, x: Any, w: Any, masked: Any, mean: Any, rows: Any, sums: Any, total: Any
) -> None:
    """The sums of the rows of a strip, in float64; `rows` is scratch, and `sums`, all 0."""
    first, second = sums[0], sums[1]
    n = choose_rows(w, not masked, rows)
    q = n // 4
    for start in range(0, q, RUN):
        for i in range(start, min(start + RUN, q)):
            a, b, d, e = rows[i], rows[i + q], rows[i + 2 * q], rows[i + 3 * q]
            add_grad_rows(h[a], h[b], h[d], h[e], x[a], x[b], x[d], x[e], mean, first, second)
        collect(sums, total)
    for i in range(4 * q, n):
        add_grad_row(h[rows[i]], x[rows[i]], mean, first, second)
    collect(sums, total)


@kernel
def write_grad_row(h: Any, x: Any, w: Any, mean: Any, a: Any, b: Any, e: Any, dx: Any) -> None:
    """dx = a·h + w·(b·(x - mean) + e) of a row."""
    for c in range(mean.size):
        dx[c] = a[c] * h[c] + product(w, b[c] * minus(x[c], mean[c]) + e[c])


@kernel
def write_grad_strip(h: Any, x: Any, w: Any, masked: Any, mean: Any, terms: Any, dx: Any) -> None:
    """dx of the rows of a strip, 0 at padding."""
    a, b, e = terms[0], terms[1], terms[2]
    for r in range(x.shape[0]):
        if not masked or w[r, 0] > 0:
            write_grad_row(h[r], x[r], w[r, 0], mean, a, b, e, dx[r])
        else:
            set_zero(dx[r])
