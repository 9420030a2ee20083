"""The gradient's map of rows of shape (R, W): dx = a·h + b·(x - mean) + e, h = g·act′(z)."""

from __future__ import annotations

from typing import Any

from ..compiler import kernel, strict, walk
from ..lanes import filled, load, multiply_add, store, stream, where_positive
from .arithmetic import RELU, minus
from .meeting import back, claim
from .stream import is_large, settle
from .tiles import column, goes_past, run_of, runs_of, tiles_of


@strict
def write_grad_tile(
    g: Any, x: Any, maps: Any, terms: Any, act: Any, slope: Any, c: Any, dx: Any, past: Any
) -> None:
    """dx = a·h + b·(x - mean) + e of a tile of a run of rows, h = g·act′(z)."""
    mean, scale, offset = load(maps[0], c), load(maps[1], c), load(maps[2], c)
    a, b, e = load(terms[0], c), load(terms[1], c), load(terms[2], c)
    leaky, below, zero = filled(x[0], act != RELU), filled(x[0], slope), filled(x[0], 0.0)
    for r in range(x.shape[0]):
        h, d = load(g[r], c), load(x[r], c) - mean
        if act:
            closed = where_positive(leaky, h * below, zero)
            h = where_positive(multiply_add(d, scale, offset), h, closed)
        value = multiply_add(a, h, multiply_add(b, d, e))
        if past:
            stream(dx[r], c, value)
        else:
            store(dx[r], c, value)


@kernel
def gate_row(
    g: Any, x: Any, residual: Any, add: Any, maps: Any, act: Any, slope: Any, h: Any
) -> None:
    """h = g·act′(z) of a row."""
    zero = x.dtype.type(0)
    relu, below = act == RELU, x.dtype.type(slope)
    for c in range(g.size):
        z = minus(x[c], maps[0, c]) * maps[1, c] + maps[2, c]
        if add:
            z += residual[c]
        h[c] = g[c] if z > zero else (zero if relu else g[c] * below)


@kernel
def write_grad_row(g: Any, x: Any, dx: Any, mean: Any, a: Any, b: Any, e: Any) -> None:
    """dx = a·g + b·(x - mean) + e of a row."""
    for c in range(mean.size):
        dx[c] = a[c] * g[c] + (b[c] * minus(x[c], mean[c]) + e[c])


@walk
def write_grad_run(
    g: Any, x: Any, maps: Any, terms: Any, act: Any, slope: Any, row: Any, dx: Any, past: Any
) -> None:
    """dx of a run of rows; `row` is scratch."""
    for tile in range(tiles_of(dx)):
        write_grad_tile(g, x, maps, terms, act, slope, column(dx, tile), dx, past)
    if tiles_of(x) == 0:
        for r in range(x.shape[0]):
            h = g[r]
            if act:
                h = row
                gate_row(g[r], x[r], x[r], 0, maps, act, slope, h)
            write_grad_row(h, x[r], dx[r], maps[0], terms[0], terms[1], terms[2])


@walk
def write_grad_strip(
    g: Any,
    x: Any,
    t: Any,
    strips: Any,
    maps: Any,
    terms: Any,
    act: Any,
    slope: Any,
    row: Any,
    dx: Any,
) -> None:
    """dx of strip t, from its end."""
    past = goes_past(dx)
    for i in range(runs_of(x.shape[0], strips, t)):
        lo, hi = run_of(x.shape[0], strips, t, i)
        write_grad_run(g[lo:hi], x[lo:hi], maps, terms, act, slope, row, dx[lo:hi], past)


@walk
def write_grad_strips(
    g: Any,
    x: Any,
    k: Any,
    strips: Any,
    workers: Any,
    w: Any,
    board: Any,
    maps: Any,
    terms: Any,
    act: Any,
    slope: Any,
    scratch: Any,
    dx: Any,
) -> None:
    """The part of worker w in dx of group k; the last row of the board is for it."""
    row = board[board.shape[0] - 1]
    for i in range(strips):
        t = back(strips, workers, w, i)
        if claim(row, t):
            write_grad_strip(g[k], x[k], t, strips, maps, terms, act, slope, scratch[0], dx[k])
    settle(is_large(dx[k]))
