"""The gradient's map of slabs of shape (G, N, C, L): dx = a·h + b·(x - mean) + e, h = g·act′(z)."""

from __future__ import annotations

from typing import Any

from ..compiler import kernel, strict, walk
from ..lanes import filled_line, line, multiply_add, store, stream, where_positive
from ..memory import LINE
from .arithmetic import RELU, minus
from .bundles import piece_of, spread
from .stream import move_out, settle


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


@kernel
def write_grad_few(
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
) -> None:
    """The same of fewer numbers than a line has."""
    zero, below = x.dtype.type(0), x.dtype.type(slope)
    for i in range(x.size):
        passed, d = g[i], minus(x[i], maps[0])
        if add or act:
            z = d * maps[1] + maps[2]
            if add:
                z += residual[i]
            passed = passed if z > zero else (zero if act == RELU else passed * below)
        if add:
            h[i] = passed
        dx[i] = terms[0] * passed + (terms[1] * d + terms[2])


@walk
def write_grad_run(
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
    """dx of a part of a run; h if `add`."""
    if x.size * x.itemsize < LINE:
        write_grad_few(g, x, residual, add, h, dx, maps, terms, act, slope)
    else:
        write_grad_lines(g, x, residual, add, h, dx, maps, terms, act, slope, past)


@strict
def write_grad_side_by_side(
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
) -> None:
    """dx, and h if `add`, as `slabs_map.write_side_by_side` writes y."""
    leaky, zero, below = filled_line(x, act != RELU), filled_line(x, 0.0), filled_line(x, slope)
    for i in range(0, x.size, LINE // x.itemsize):
        passed, d = line(g, i), line(x, i) - line(maps[0], i)
        if add or act:
            z = multiply_add(d, line(maps[1], i), line(maps[2], i))
            if add:
                z = z + line(residual, i)
            passed = where_positive(z, passed, where_positive(leaky, passed * below, zero))
        if add:
            stream(h, i, passed)
        rest = multiply_add(line(terms[1], i), d, line(terms[2], i))
        stream(dx, i, multiply_add(line(terms[0], i), passed, rest))


@walk
def write_grad_bundle(
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
    """dx, and h if `add`, of channels lo to hi of group k as `slabs_map.write_bundle` writes y."""
    length, past = x.shape[3], buffer.size > 0
    step = length if straight else piece_of(x)
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        for start in range(0, length, step):
            size = min(step, length - start)
            first, last = lo * length + start, (hi - 1) * length + start + size
            out, kept = dx[k, n, first:last], h[k, n, first:last]
            target = buffer[0, : out.size] if past else out
            gates = buffer[1, : out.size] if past else kept
            for c in range(lo, hi):
                at, end = c - lo, start + size
                gs, xs, rs = (
                    g[k, n, c, start:end],
                    x[k, n, c, start:end],
                    residual[k, n, c, start:end],
                )
                hs = gates[at * size : (at + 1) * size]
                part = target[at * size : (at + 1) * size]
                write_grad_run(gs, xs, rs, add, hs, part, maps[at], terms[at], act, slope, straight)
            if past:
                move_out(target, out)
                if add:
                    move_out(gates, kept)
    if past or straight:
        settle()


@walk
def write_grad_channels(
    g: Any,
    x: Any,
    k: Any,
    lo: Any,
    hi: Any,
    residual: Any,
    add: Any,
    pulled: Any,
    flat: Any,
    added: Any,
    h: Any,
    dx: Any,
    maps: Any,
    terms: Any,
    act: Any,
    slope: Any,
    straight: Any,
    buffer: Any,
    own: Any,
) -> None:
    """dx, and h if `add`, of channels lo to hi of group k. `pulled`, `flat`, `added`, h and dx are
    (G, N, C·L), the first three g, x and the residual; `buffer` and `own` are scratch."""
    if own.size == 0:
        write_grad_bundle(
            g, x, k, lo, hi, residual, add, h, dx, maps, terms, act, slope, straight, buffer
        )
        return
    first, last = lo * x.shape[3], hi * x.shape[3]
    own_maps, own_terms = own[:3], own[3:]
    spread(x, hi - lo, maps, own_maps)
    spread(x, hi - lo, terms, own_terms)
    for m in range(x.shape[1]):
        n = x.shape[1] - 1 - m
        gs, xs, rs = pulled[k, n, first:last], flat[k, n, first:last], added[k, n, first:last]
        hs, out = h[k, n, first:last], dx[k, n, first:last]
        write_grad_side_by_side(gs, xs, rs, add, hs, out, own_maps, own_terms, act, slope)
    settle()
