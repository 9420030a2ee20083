"""The map of slabs of shape (G, N, C, L): y = act((x - mean)·scale + offset + residual)."""

from __future__ import annotations

from typing import Any

from ..compiler import strict, walk
from ..lanes import (
    filled_line,
    line,
    multiply_add,
    store,
    stream,
    where_not_positive,
    where_positive,
)
from ..memory import LINE
from .arithmetic import RELU
from .bundles import piece_of, pieces_of, spread
from .rows import activate, add_to, write_row
from .stream import move_out


@strict
def write_lines(
    x: Any,
    y: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    residual: Any,
    add: Any,
    act: Any,
    slope: Any,
    past: Any,
) -> None:
    """act((x - mean)·scale + offset + residual) of a part of a run, a line at a time; the last one
    overlaps the one before where need be. If `past`, they are whole, and go past the caches."""
    centre, factor, rest = filled_line(x, mean), filled_line(x, scale), filled_line(x, offset)
    leaky, zero = filled_line(x, act != RELU), filled_line(x, 0.0)
    below, step = filled_line(x, slope if act else 1.0), LINE // x.itemsize
    for start in range(0, x.size, step):
        i = min(start, x.size - step)
        z = multiply_add(line(x, i) - centre, factor, rest)
        if add:
            z = z + line(residual, i)
        if add or act:
            z = where_not_positive(z, where_positive(leaky, z * below, zero), z)
        if past:
            stream(y, i, z)
        else:
            store(y, i, z)


@walk
def write_alone(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    y: Any,
    maps: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
) -> None:
    """The output of one channel, numbers lo to hi of each image of group k, last image first."""
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for p in range(pieces_of(hi - lo, buffer.size)):
            start, end = piece_of(lo, hi, buffer.size, p)
            xs, rs, out = x[k, n, start:end], residual[k, n, start:end], y[k, n, start:end]
            target = buffer[: end - start] if buffer.size else out
            write_lines(xs, target, maps[0], maps[1], maps[2], rs, add, act, slope, straight)
            if buffer.size:
                move_out(target, out)


@strict
def write_row_lines(
    x: Any, y: Any, maps: Any, residual: Any, add: Any, act: Any, slope: Any, past: Any
) -> None:
    """`write_lines` of a row of a bundle, whose numbers have maps of their own."""
    leaky, zero = filled_line(x, act != RELU), filled_line(x, 0.0)
    below, step = filled_line(x, slope if act else 1.0), LINE // x.itemsize
    for start in range(0, x.size, step):
        i = min(start, x.size - step)
        z = multiply_add(line(x, i) - line(maps[0], i), line(maps[1], i), line(maps[2], i))
        if add:
            z = z + line(residual, i)
        if add or act:
            z = where_not_positive(z, where_positive(leaky, z * below, zero), z)
        if past:
            stream(y, i, z)
        else:
            store(y, i, z)


@walk
def write_together(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    y: Any,
    maps: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
) -> None:
    """The same of several channels."""
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        xs, rs, out = x[k, n, lo:hi], residual[k, n, lo:hi], y[k, n, lo:hi]
        target = buffer[: hi - lo] if buffer.size else out
        if (hi - lo) * x.itemsize < LINE:
            write_row(xs, target, maps[0, : hi - lo], maps[1], maps[2])
            if add:
                add_to(target, rs)
            if act:
                activate(target, act, slope)
        else:
            write_row_lines(xs, target, maps, rs, add, act, slope, straight)
        if buffer.size:
            move_out(target, out)


@walk
def write_bundle(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    length: Any,
    residual: Any,
    add: Any,
    y: Any,
    maps: Any,
    rows: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
) -> None:
    """The output of channels lo to hi of group k; x, the residual and y are (G, N, C·L), rows and
    buffer scratch."""
    first, last = lo * length, hi * length
    if rows.size:
        for i in range(3):
            spread(length, maps[i], rows[i, : last - first])
        write_together(x, k, first, last, residual, add, y, rows, act, slope, straight, buffer)
    else:
        own = maps[:, 0]
        write_alone(x, k, first, last, residual, add, y, own, act, slope, straight, buffer)
