"""The map of slabs of shape (G, N, C, L): y = act((x - mean)·scale + offset + residual)."""

from __future__ import annotations

from typing import Any

from ..compiler import kernel, strict, walk
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
from .arithmetic import RELU, minus
from .bundles import piece_of, spread
from .stream import move_out, settle


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


@kernel
def write_few(
    x: Any,
    y: Any,
    mean: Any,
    scale: Any,
    offset: Any,
    residual: Any,
    add: Any,
    act: Any,
    slope: Any,
) -> None:
    """The same of fewer numbers than a line has; NaN stays."""
    zero, below = x.dtype.type(0), x.dtype.type(slope)
    for i in range(x.size):
        z = minus(x[i], mean) * scale + offset
        if add:
            z += residual[i]
        if act:
            z = (zero if act == RELU else z * below) if z <= zero else z
        y[i] = z


@walk
def write_run(
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
    """act((x - mean)·scale + offset + residual) of a part of a run."""
    if x.size * x.itemsize < LINE:
        write_few(x, y, mean, scale, offset, residual, add, act, slope)
    else:
        write_lines(x, y, mean, scale, offset, residual, add, act, slope, past)


@strict
def write_side_by_side(
    x: Any, y: Any, maps: Any, residual: Any, add: Any, act: Any, slope: Any
) -> None:
    """The output of the runs of a bundle in one image, whole lines together, past the caches."""
    leaky, zero = filled_line(x, act != RELU), filled_line(x, 0.0)
    below = filled_line(x, slope if act else 1.0)
    for i in range(0, x.size, LINE // x.itemsize):
        z = multiply_add(line(x, i) - line(maps[0], i), line(maps[1], i), line(maps[2], i))
        if add:
            z = z + line(residual, i)
        if add or act:
            z = where_not_positive(z, where_positive(leaky, z * below, zero), z)
        stream(y, i, z)


@walk
def write_bundle(
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
    """The output of channels lo to hi of group k, last image first; y is (G, N, C·L).

    Neighbouring runs go past the caches together: the lines that they share would be written
    twice.
    """
    length, past = x.shape[3], buffer.size > 0
    step = length if straight else piece_of(x)
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for start in range(0, length, step):
            size = min(step, length - start)
            out = y[k, n, lo * length + start : (hi - 1) * length + start + size]
            target = buffer[: out.size] if past else out
            for c in range(lo, hi):
                xs, rs = x[k, n, c, start : start + size], residual[k, n, c, start : start + size]
                part = target[(c - lo) * size : (c - lo + 1) * size]
                mean, scale, offset = maps[c - lo, 0], maps[c - lo, 1], maps[c - lo, 2]
                write_run(xs, part, mean, scale, offset, rs, add, act, slope, straight)
            if past:
                move_out(target, out)
    if past or straight:
        settle()


@walk
def write_channels(
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    flat: Any,
    added: Any,
    y: Any,
    maps: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
    own: Any,
) -> None:
    """The output of channels lo to hi of group k. `flat`, `added` and y are (G, N, C·L), the first
    two x and the residual; `buffer` and `own` are scratch."""
    if own.size == 0:
        write_bundle(x, k, lo, hi, residual, add, y, maps, act, slope, straight, buffer)
        return
    first, last = lo * x.shape[3], hi * x.shape[3]
    spread(x, hi - lo, maps, own)
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        xs, rs, out = flat[k, n, first:last], added[k, n, first:last], y[k, n, first:last]
        write_side_by_side(xs, out, own, rs, add, act, slope)
    settle()
