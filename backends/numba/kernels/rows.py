"""Normalization of x of shape (G, R, C): G times R rows of neighbouring channels.

G is 1 for batch norm; ghost batches have statistics for each of G groups, which share gamma and
beta. x is read row by row. Rows are cut into blocks, blocks are dealt to strips, and both depend
on the shape alone: a strip is summed by one thread, strips are added in their order, so the number
of threads leaves no trace. Several rows are summed at once, which saves most loads and stores of
the running sums. Both passes walk forwards, as the processor's prefetching expects: in reverse, row
by row, the second one took five times as long.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel, maker
from .arithmetic import (
    RELU,
    affine,
    finish_statistics,
    is_far,
    minus,
    slopes,
    uncentred_statistics,
)

FIRST = 16
"""Rows whose mean is the shift of all sums."""
TALL = 512
"""Rows of a block at most: 64 sums of 8 rows each follow one another in the dtype of x."""
BLOCK = 1 << 16
"""Elements of a block, about."""
STRIPS = 16


@kernel
def grid(x: Any) -> Any:
    """(rows of a block, blocks, strips)."""
    step = max(8, min(TALL, BLOCK // x.shape[1] // 8 * 8))
    blocks = (x.shape[0] + step - 1) // step
    return step, blocks, min(blocks, STRIPS)


# ---------------------------------------------------------------------------------- statistics


@kernel
def add_rows(
    x0: Any,
    x1: Any,
    x2: Any,
    x3: Any,
    x4: Any,
    x5: Any,
    x6: Any,
    x7: Any,
    shift: Any,
    first: Any,
    second: Any,
) -> None:
    """Eight rows added to Σ(x - shift) and Σ(x - shift)²."""
    for c in range(shift.size):
        s = shift[c]
        a, b, d, e = minus(x0[c], s), minus(x1[c], s), minus(x2[c], s), minus(x3[c], s)
        p, q, u, v = minus(x4[c], s), minus(x5[c], s), minus(x6[c], s), minus(x7[c], s)
        first[c] += ((a + b) + (d + e)) + ((p + q) + (u + v))
        second[c] += ((a * a + b * b) + (d * d + e * e)) + ((p * p + q * q) + (u * u + v * v))


@kernel
def add_row(x: Any, shift: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(shift.size):
        d = minus(x[c], shift[c])
        first[c] += d
        second[c] += d * d


@kernel
def add_block(x: Any, shift: Any, first: Any, second: Any, total: Any) -> None:
    """The sums of a block, in the dtype of x, added to those of its strip in float64."""
    for c in range(shift.size):
        first[c] = second[c] = 0
    r = 0
    while r + 8 <= x.shape[0]:
        add_rows(
            x[r],
            x[r + 1],
            x[r + 2],
            x[r + 3],
            x[r + 4],
            x[r + 5],
            x[r + 6],
            x[r + 7],
            shift,
            first,
            second,
        )
        r += 8
    while r < x.shape[0]:
        add_row(x[r], shift, first, second)
        r += 1
    for c in range(shift.size):
        total[0, c] += first[c]
        total[1, c] += second[c]


@maker
def first_shift(x: Any, center: Any) -> Any:
    """The mean of the first rows, or 0."""
    shift = np.zeros(x.shape[1], x.dtype)
    if not center:
        return shift
    total = np.zeros(x.shape[1], np.float64)
    n = min(FIRST, x.shape[0])
    for r in range(n):
        for c in range(total.size):
            total[c] += x[r, c]
    for c in range(total.size):
        shift[c] = total[c] / n
    return shift


@kernel
def merge(totals: Any) -> None:
    """All strips added to the first, in order."""
    for t in range(1, totals.shape[0]):
        for c in range(totals.shape[2]):
            totals[0, 0, c] += totals[t, 0, c]
            totals[0, 1, c] += totals[t, 1, c]


@kernel
def move_shift(totals: Any, n: Any, shift: Any) -> bool:
    """Where a shift is far from the mean, make the mean the shift; whether any was."""
    far = False
    for c in range(shift.size):
        far = far or is_far(totals[0, 0, c], totals[0, 1, c], n)
    if far:
        for c in range(shift.size):
            shift[c] += totals[0, 0, c] / n
    return far


@kernel
def finish(totals: Any, shift: Any, n: Any, center: Any, eps: Any, stats: Any, at: Any) -> None:
    """The statistics of all channels from their sums, from column `at` on."""
    for c in range(shift.size):
        first, second = totals[0, 0, c], totals[0, 1, c]
        if center:
            finish_statistics(first, second, n, shift[c], eps, stats, at + c)
        else:
            uncentred_statistics(second, n, eps, stats, at + c)


@maker
def add_strip(rows: Any, shift: Any, totals: Any, t: Any) -> None:
    """The sums of strip t."""
    step, blocks, strips = grid(rows)
    scratch = np.empty((2, shift.size), rows.dtype)
    for b in range(blocks * t // strips, blocks * (t + 1) // strips):
        add_block(rows[b * step : (b + 1) * step], shift, scratch[0], scratch[1], totals[t])


@driver
def statistics(x: Any, center: Any, eps: Any, stats: Any) -> None:
    """Rows mean, low, var, rstd of `stats`, (4, G·C)."""
    for k in range(x.shape[0]):
        rows = x[k]
        _, _, strips = grid(rows)
        shift = first_shift(rows, center)
        for _ in range(2):
            totals = np.zeros((strips, 2, shift.size), np.float64)
            for t in prange(strips):
                add_strip(rows, shift, totals, t)
            merge(totals)
            if not (center and move_shift(totals, rows.shape[0], shift)):
                break
        finish(totals, shift, rows.shape[0], center, eps, stats, k * shift.size)


# ----------------------------------------------------------------------------------------- map


@maker
def parameters(x: Any, k: Any, mean: Any, low: Any, rstd: Any, gamma: Any, beta: Any) -> Any:
    """Rows mean, scale, offset of all channels of group k."""
    channels = x.shape[2]
    maps = np.empty((3, channels), x.dtype)
    for c in range(channels):
        i = k * channels + c
        maps[0, c], maps[1, c], maps[2, c] = affine(
            mean, low, rstd, gamma, beta, i, i % gamma.size, x
        )
    return maps


@kernel
def write_row(x: Any, y: Any, mean: Any, scale: Any, offset: Any) -> None:
    """y = (x - mean)·scale + offset."""
    for c in range(mean.size):
        y[c] = minus(x[c], mean[c]) * scale[c] + offset[c]


@kernel
def add_to(y: Any, residual: Any) -> None:
    """y + residual, in place."""
    for c in range(y.size):
        y[c] += residual[c]


@kernel
def activate(y: Any, act: Any, slope: Any) -> None:
    """relu or leaky_relu, in place; NaN stays."""
    zero = y.dtype.type(0)
    if act == RELU:
        for i in range(y.size):
            y[i] = zero if y[i] <= zero else y[i]
    else:
        below = y.dtype.type(slope)
        for i in range(y.size):
            y[i] = y[i] * below if y[i] <= zero else y[i]


@kernel
def write_rows(x: Any, maps: Any, residual: Any, add: Any, y: Any, act: Any, slope: Any) -> None:
    """The output of some rows."""
    mean, scale, offset = maps[0], maps[1], maps[2]
    for r in range(x.shape[0]):
        write_row(x[r], y[r], mean, scale, offset)
        if add:
            add_to(y[r], residual[r])
        if act:
            activate(y[r], act, slope)


@kernel
def write_strip(
    x: Any, t: Any, maps: Any, residual: Any, add: Any, y: Any, act: Any, slope: Any
) -> None:
    """The output of strip t."""
    step, blocks, strips = grid(x)
    first = blocks * t // strips * step
    last = min(x.shape[0], blocks * (t + 1) // strips * step)
    write_rows(x[first:last], maps, residual[first:last], add, y[first:last], act, slope)


@driver
def write(
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    add: Any,
    y: Any,
    act: Any,
    slope: Any,
) -> None:
    """y = act((x - mean)·rstd·gamma + beta + residual)."""
    for k in range(x.shape[0]):
        _, _, strips = grid(x[k])
        maps = parameters(x, k, mean, low, rstd, gamma, beta)
        for t in prange(strips):
            write_strip(x[k], t, maps, residual[k], add, y[k], act, slope)


@driver
def forward(
    x: Any,
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
    """`statistics` and `write` in one."""
    for k in range(x.shape[0]):
        rows = x[k]
        _, _, strips = grid(rows)
        shift = first_shift(rows, center)
        for _ in range(2):
            totals = np.zeros((strips, 2, shift.size), np.float64)
            for t in prange(strips):
                add_strip(rows, shift, totals, t)
            merge(totals)
            if not (center and move_shift(totals, rows.shape[0], shift)):
                break
        finish(totals, shift, rows.shape[0], center, eps, stats, k * shift.size)
        maps = parameters(x, k, stats[0], stats[1], stats[3], gamma, beta)
        for t in prange(strips):
            write_strip(rows, t, maps, residual[k], add, y[k], act, slope)


# ------------------------------------------------------------------------------------ gradient


@kernel
def add_grad_rows(
    g0: Any,
    g1: Any,
    g2: Any,
    g3: Any,
    x0: Any,
    x1: Any,
    x2: Any,
    x3: Any,
    mean: Any,
    first: Any,
    second: Any,
) -> None:
    """Four rows added to Σ g and Σ g·(x - mean)."""
    for c in range(mean.size):
        m = mean[c]
        a, b, d, e = minus(x0[c], m), minus(x1[c], m), minus(x2[c], m), minus(x3[c], m)
        first[c] += (g0[c] + g1[c]) + (g2[c] + g3[c])
        second[c] += (a * g0[c] + b * g1[c]) + (d * g2[c] + e * g3[c])


@kernel
def gate_row(g: Any, x: Any, maps: Any, act: Any, slope: Any, h: Any) -> None:
    """h = g·act′(z) of a row."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    for c in range(g.size):
        z = minus(x[c], mean[c]) * scale[c] + offset[c]
        h[c] = g[c] if z > zero else (zero if relu else g[c] * below)


@kernel
def add_grad_row(g: Any, x: Any, mean: Any, first: Any, second: Any) -> None:
    """One row added to the sums."""
    for c in range(mean.size):
        first[c] += g[c]
        second[c] += g[c] * minus(x[c], mean[c])


@kernel
def add_grad_block(
    g: Any, x: Any, maps: Any, act: Any, slope: Any, scratch: Any, total: Any
) -> None:
    """The sums of a block, in the dtype of x, added to those of its strip in float64."""
    mean, first, second = maps[0], scratch[0], scratch[1]
    for c in range(mean.size):
        first[c] = second[c] = 0
    r = 0
    while act == 0 and r + 4 <= x.shape[0]:
        add_grad_rows(
            g[r],
            g[r + 1],
            g[r + 2],
            g[r + 3],
            x[r],
            x[r + 1],
            x[r + 2],
            x[r + 3],
            mean,
            first,
            second,
        )
        r += 4
    while r < x.shape[0]:
        if act:
            gate_row(g[r], x[r], maps, act, slope, scratch[2])
            add_grad_row(scratch[2], x[r], mean, first, second)
        else:
            add_grad_row(g[r], x[r], mean, first, second)
        r += 1
    for c in range(mean.size):
        total[0, c] += first[c]
        total[1, c] += second[c]


@kernel
def write_grad_row(g: Any, x: Any, dx: Any, mean: Any, a: Any, b: Any, e: Any) -> None:
    """dx = a·g + b·(x - mean) + e of a row."""
    for c in range(mean.size):
        dx[c] = a[c] * g[c] + (b[c] * minus(x[c], mean[c]) + e[c])


@kernel
def write_grad_rows(
    g: Any, x: Any, maps: Any, terms: Any, dx: Any, act: Any, slope: Any, gates: Any
) -> None:
    """dx of some rows."""
    if act == 0:
        for r in range(x.shape[0]):
            write_grad_row(g[r], x[r], dx[r], maps[0], terms[0], terms[1], terms[2])
        return
    for r in range(x.shape[0]):
        gate_row(g[r], x[r], maps, act, slope, gates)
        write_grad_row(gates, x[r], dx[r], maps[0], terms[0], terms[1], terms[2])


@maker
def finish_grad(
    totals: Any,
    x: Any,
    k: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    center: Any,
    dgamma: Any,
    dbeta: Any,
) -> Any:
    """dgamma and dbeta of group k, and the factors of dx."""
    n, channels = x.shape[1], x.shape[2]
    terms = np.empty((3, channels), x.dtype)
    for c in range(channels):
        i = k * channels + c
        s0, s1 = totals[0, 0, c], totals[0, 1, c]
        s1 -= low[i] * s0
        dgamma[i] = s1 * rstd[i]
        dbeta[i] = s0
        terms[0, c], terms[1, c], terms[2, c] = slopes(
            low[i], rstd[i], gamma[i % gamma.size], s0, s1, n, center
        )
    return terms


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
    """dx, and dgamma and dbeta of every group."""
    for k in range(x.shape[0]):
        step, blocks, strips = grid(x[k])
        maps = parameters(x, k, mean, low, rstd, gamma, beta)
        totals = np.zeros((strips, 2, x.shape[2]), np.float64)
        for t in prange(strips):
            scratch = np.empty((3, x.shape[2]), x.dtype)
            for b in range(blocks * t // strips, blocks * (t + 1) // strips):
                lo, hi = b * step, (b + 1) * step
                add_grad_block(g[k, lo:hi], x[k, lo:hi], maps, act, slope, scratch, totals[t])
        merge(totals)
        terms = finish_grad(totals, x, k, low, rstd, gamma, center, dgamma, dbeta)
        for t in prange(strips):
            first = blocks * t // strips * step
            last = min(x.shape[1], blocks * (t + 1) // strips * step)
            gs, xs, out = g[k, first:last], x[k, first:last], dx[k, first:last]
            gates = np.empty(x.shape[2], x.dtype)
            write_grad_rows(gs, xs, maps, terms, out, act, slope, gates)


@kernel
def gate_residual_row(
    g: Any, x: Any, residual: Any, maps: Any, act: Any, slope: Any, h: Any
) -> None:
    """h = g·act′(z) of a row, z with its residual."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    mean, scale, offset = maps[0], maps[1], maps[2]
    for c in range(g.size):
        z = minus(x[c], mean[c]) * scale[c] + offset[c] + residual[c]
        h[c] = g[c] if z > zero else (zero if relu else g[c] * below)


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
    for k in range(x.shape[0]):
        maps = parameters(x, k, mean, low, rstd, gamma, beta)
        for r in prange(x.shape[1]):
            gate_residual_row(g[k, r], x[k, r], residual[k, r], maps, act, slope, h[k, r])


# -------------------------------------------------------------------------------------- examples


@forward.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for shape, act in (((1, 60, 100), 0), ((2, 1030, 70), 1)):
        x = rng.standard_normal(shape).astype(dtype)
        gamma, beta = rng.standard_normal((2, shape[2])).astype(dtype)
        stats = np.zeros((4, shape[0] * shape[2]), dtype)
        yield x, gamma, beta, x.copy(), act, np.zeros_like(x), stats, 1, 1e-5, act, 0.0


@statistics.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    x = rng.standard_normal((1, 1030, 70)).astype(dtype)
    yield x, 1, 1e-5, np.zeros((4, 70), dtype)


@write.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    x = rng.standard_normal((1, 1030, 70)).astype(dtype)
    vectors = rng.random((5, 70)).astype(dtype)
    yield x, *vectors, x.copy(), 1, np.zeros_like(x), 2, 0.1


@backward.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for shape, act in (((1, 60, 100), 0), ((2, 1030, 70), 2)):
        g, x = rng.standard_normal((2, *shape)).astype(dtype)
        mean, low, rstd = rng.random((3, shape[0] * shape[2])).astype(dtype)
        gamma, beta = rng.standard_normal((2, shape[2])).astype(dtype)
        sums = np.zeros((2, mean.size), dtype)
        yield g, x, mean, low, rstd, gamma, beta, np.zeros_like(x), *sums, 1, act, 0.1


@gate.examples
def _(rng: np.random.Generator, dtype: Any) -> Iterator[tuple[Any, ...]]:
    g, x = rng.standard_normal((2, 1, 1030, 70)).astype(dtype)
    vectors = rng.random((5, 70)).astype(dtype)
    yield g, x, *vectors, x.copy(), np.zeros_like(x), 1, 0.0
