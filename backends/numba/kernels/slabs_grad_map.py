"""The gradient's map of slabs of shape (G, N, C, L): dx = a·h + b·(x - mean) + e, h = g·act′(z)."""

from __future__ import annotations

from typing import Any

from ..compiler import kernel, strict, walk
from ..lanes import filled_line, line, multiply_add, store, stream, where_positive
from ..memory import LINE
from .arithmetic import RELU, minus
from .bundles import piece_of, pieces_of, spread
from .stream import move_out


@strict
def write_grad_lines(
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
    past: Any,
) -> None:
    """dx = a·h + b·(x - mean) + e of a part of a run, h = g·act′(z), and h if `add`; a line at a
    time as `slabs_map.write_lines` does."""
    mean, scale = filled_line(x, maps[0]), filled_line(x, maps[1])
    offset, a = filled_line(x, maps[2]), filled_line(x, terms[0])
    b, e, zero = filled_line(x, terms[1]), filled_line(x, terms[2]), filled_line(x, 0.0)
    leaky, below = filled_line(x, act != RELU), filled_line(x, slope)
    step = LINE // x.itemsize
    for start in range(0, x.size, step):
        i = min(start, x.size - step)
        passed, d = line(g, i), line(x, i) - mean
        if add or act:
            z = multiply_add(d, scale, offset)
            if add:
                z = z + line(residual, i)
            passed = where_positive(z, passed, where_positive(leaky, passed * below, zero))
        value = multiply_add(a, passed, multiply_add(b, d, e))
        if past:
            if add:
                stream(h, i, passed)
            stream(dx, i, value)
        else:
            if add:
                store(h, i, passed)
            store(dx, i, value)


@walk
def write_grad_alone(
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
    straight: Any,
    buffer: Any,
) -> None:
    """dx, and h if `add`, of one channel as `slabs_map.write_alone` writes y."""
    room = buffer.shape[1]
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for p in range(pieces_of(hi - lo, room)):
            start, end = piece_of(lo, hi, room, p)
            gs, xs, rs = g[k, n, start:end], x[k, n, start:end], residual[k, n, start:end]
            kept, out = h[k, n, start:end], dx[k, n, start:end]
            gates = buffer[1, : end - start] if room else kept
            target = buffer[0, : end - start] if room else out
            write_grad_lines(gs, xs, rs, add, gates, target, maps, terms, act, slope, straight)
            if room:
                move_out(target, out)
                if add:
                    move_out(gates, kept)


@strict
def write_grad_row_lines(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    h: Any,
    dx: Any,
    rows: Any,
    act: Any,
    slope: Any,
    past: Any,
) -> None:
    """`write_grad_lines` of a row of a bundle, whose numbers have maps of their own."""
    leaky, zero, below = filled_line(x, act != RELU), filled_line(x, 0.0), filled_line(x, slope)
    step = LINE // x.itemsize
    for start in range(0, x.size, step):
        i = min(start, x.size - step)
        passed, d = line(g, i), line(x, i) - line(rows[0], i)
        if add or act:
            z = multiply_add(d, line(rows[1], i), line(rows[2], i))
            if add:
                z = z + line(residual, i)
            passed = where_positive(z, passed, where_positive(leaky, passed * below, zero))
        rest = multiply_add(line(rows[4], i), d, line(rows[5], i))
        value = multiply_add(line(rows[3], i), passed, rest)
        if past:
            if add:
                stream(h, i, passed)
            stream(dx, i, value)
        else:
            if add:
                store(h, i, passed)
            store(dx, i, value)


@kernel
def write_grad_few(
    g: Any,
    x: Any,
    residual: Any,
    add: Any,
    h: Any,
    dx: Any,
    rows: Any,
    act: Any,
    slope: Any,
) -> None:
    """The same of fewer numbers than a line has."""
    zero, below = x.dtype.type(0), x.dtype.type(slope)
    for i in range(x.size):
        passed, d = g[i], minus(x[i], rows[0, i])
        if add or act:
            z = d * rows[1, i] + rows[2, i]
            if add:
                z += residual[i]
            passed = passed if z > zero else (zero if act == RELU else passed * below)
        if add:
            h[i] = passed
        dx[i] = rows[3, i] * passed + (rows[4, i] * d + rows[5, i])


@walk
def write_grad_together(
    g: Any,
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    h: Any,
    dx: Any,
    rows: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
) -> None:
    """The same of several channels."""
    room = buffer.shape[1]
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        gs, xs, rs = g[k, n, lo:hi], x[k, n, lo:hi], residual[k, n, lo:hi]
        kept, out = h[k, n, lo:hi], dx[k, n, lo:hi]
        gates = buffer[1, : hi - lo] if room else kept
        target = buffer[0, : hi - lo] if room else out
        if (hi - lo) * x.itemsize < LINE:
            write_grad_few(gs, xs, rs, add, gates, target, rows, act, slope)
        else:
            write_grad_row_lines(gs, xs, rs, add, gates, target, rows, act, slope, straight)
        if room:
            move_out(target, out)
            if add:
                move_out(gates, kept)


@walk
def write_grad_bundle(
    g: Any,
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    length: Any,
    residual: Any,
    add: Any,
    h: Any,
    dx: Any,
    maps: Any,
    terms: Any,
    rows: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
) -> None:
    """dx, and h if `add`, of channels lo to hi of group k; arrays like x are (G, N, C·L), rows and
    buffer scratch, the first three rows those of the maps."""
    first, last = lo * length, hi * length
    if rows.size:
        for i in range(3):
            spread(length, terms[i], rows[3 + i, : last - first])
        write_grad_together(
            g,
            x,
            k,
            first,
            last,
            residual,
            add,
            h,
            dx,
            rows,
            act,
            slope,
            straight,
            buffer,
        )
    else:
        write_grad_alone(
            g,
            x,
            k,
            first,
            last,
            residual,
            add,
            h,
            dx,
            maps[:, 0],
            terms[:, 0],
            act,
            slope,
            straight,
            buffer,
        )
