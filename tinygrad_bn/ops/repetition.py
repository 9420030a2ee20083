"""Repeating and padding: more elements than there were."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..autograd.runtime import make
from ..refusal import named
from .creation import asarray
from .indexing import index_array, take
from .manipulation import broadcast_to, expand_dims, position, reshape, whole_numbers

__all__ = [
    "pad",
    "repeat",
    "tile",
]


@named
def repeat(x: Any, repeats: Any, /, *, axis: int | None = None) -> Any:
    """Every element several times in a row along an axis.   d/dx = g summed over the copies.

    Args:
        x: the tensor.
        repeats: how often, one number for all or one for each position of the axis.
        axis: None repeats the elements of the flattened x.

    Raises:
        ValueError: a negative number, a wrong number of numbers, or no such axis.
        TypeError: `repeats` is not of integers.
    """
    x = asarray(x)
    if axis is None:
        x, axis = reshape(x, (-1,)), 0
    axis = position("repeat", axis, x.ndim)
    shape = x.shape
    if isinstance(repeats, int):
        if repeats < 0:
            raise ValueError(f"repeat: repeats must not be negative, got {repeats}")
        copies = broadcast_to(
            expand_dims(x, axis + 1), (*shape[: axis + 1], repeats, *shape[axis + 1 :])
        )
        return reshape(copies, (*shape[:axis], shape[axis] * repeats, *shape[axis + 1 :]))
    backend = x._backend
    counts = index_array("repeat", x, repeats, "repeats")
    if counts.ndim > 1 or (counts.ndim and counts.shape[0] not in (1, shape[axis])):
        raise ValueError(
            f"repeat: repeats must be one number or {shape[axis]} of them, "
            f"got shape {tuple(counts.shape)}"
        )
    counts = backend.broadcast_to(counts, (shape[axis],))
    if shape[axis] and bool(backend.any(counts < 0)):
        raise ValueError("repeat: repeats must not be negative")
    source = backend.repeat(backend.arange(shape[axis], dtype="int64"), counts)
    return take(x, make(backend, source, None), axis=axis)


@named
def tile(x: Any, repetitions: tuple[int, ...], /) -> Any:
    """x repeated as a whole, `repetitions[i]` times along axis i; axes are added in front.

    d/dx = g summed over the copies.   Raises ValueError for a negative number, TypeError for one
    that is not an integer.
    """
    x = asarray(x)
    times = whole_numbers("tile", "repetitions", repetitions)
    if any(n < 0 for n in times):
        raise ValueError(f"tile: repetitions must not be negative, got {repetitions}")
    n = max(len(times), x.ndim)
    times = (1,) * (n - len(times)) + times
    shape = (1,) * (n - x.ndim) + x.shape
    pairs = list(zip(times, shape, strict=True))
    copies = broadcast_to(
        reshape(x, tuple([m for s in shape for m in (1, s)])), tuple([m for p in pairs for m in p])
    )
    return reshape(copies, tuple([t * s for t, s in pairs]))


# ------------------------------------------------------------------------------------- padding


def _inside(shape: tuple[int, ...], widths: tuple[tuple[int, int], ...]) -> tuple[slice, ...]:
    """The index of the original in a padded array of `shape`."""
    return tuple([slice(w[0], n - w[1]) for n, w in zip(shape, widths, strict=True)])


@primitive(x=lambda B, g, widths: B.getitem(g, key=_inside(tuple(g.shape), widths)))
def pad_constant(B: Any, x: Any, *, widths: tuple[tuple[int, int], ...], value: Any = 0) -> Any:
    """x within a border of one value.   d/dx = g without the border."""
    return B.pad_constant(x, widths=widths, value=value)


def _source(B: Any, n: int, before: int, after: int, mode: str) -> Any:
    """For every position of a padded axis of length n, the one that its value comes from."""
    i = B.arange(-before, n + after, dtype="int64")
    if mode == "edge":
        return B.clip(i, 0, n - 1)
    if mode == "wrap":
        return i % n
    period = 2 * n if mode == "symmetric" else 2 * (n - 1) or 1
    i = i % period
    return B.where(i < n, i, (period - 1 if mode == "symmetric" else period) - i)


_MODES = {
    "constant": "constant",
    "reflect": "reflect",
    "symmetric": "symmetric",
    "edge": "edge",
    "replicate": "edge",
    "wrap": "wrap",
    "circular": "wrap",
}


def _widths(pad_width: Any, ndim: int) -> tuple[tuple[int, int], ...]:
    """numpy.pad's three ways to give widths, as one pair for each axis."""
    if not isinstance(pad_width, tuple | list):
        (n,) = whole_numbers("pad", "pad_width", pad_width)
        widths: Any = ((n, n),) * ndim
    elif len(pad_width) == 2 and all(isinstance(w, int) for w in pad_width):
        widths = (tuple(pad_width),) * ndim
    else:
        widths = tuple([(w, w) if isinstance(w, int) else tuple(w) for w in pad_width])
        widths = widths * ndim if len(widths) == 1 else widths
    if len(widths) != ndim or any(len(w) != 2 for w in widths):
        raise ValueError(
            f"pad: pad_width must be a number, a pair, or a pair for each of {ndim} axes, "
            f"got {pad_width}"
        )
    if any(n < 0 for w in widths for n in w):
        raise ValueError(f"pad: pad_width must not be negative, got {pad_width}")
    return widths


@named
def pad(x: Any, pad_width: Any, mode: str = "constant", *, constant_values: Any = 0) -> Any:
    """x with a border around it.   d/dx = g, each border element added to where it came from.

    Args:
        x: the tensor.
        pad_width: how many elements to add: a number (everywhere), a pair (before and after every
            axis), or a pair for each axis.
        mode: 'constant'; 'edge' (or 'replicate'): the nearest element; 'reflect': mirrored about
            the outermost element; 'symmetric': mirrored about the edge; 'wrap' (or 'circular'):
            continued from the other end.
        constant_values: the number that mode 'constant' fills in.

    Raises:
        ValueError: another mode, widths that are negative or do not fit the axes, or an empty
            axis that would have to be continued.

    Source: numpy.pad.
    """
    x = asarray(x)
    if mode not in _MODES:
        raise ValueError(f"pad: mode must be one of {', '.join(_MODES)}, got {mode!r}")
    widths = _widths(pad_width, x.ndim)
    if mode == "constant":
        return pad_constant(x, widths=widths, value=constant_values)
    for axis, (before, after) in enumerate(widths):
        if before == after == 0:
            continue
        n = x.shape[axis]
        if n == 0:
            raise ValueError(f"pad: mode {mode!r} cannot continue axis {axis} of length 0")
        source = _source(x._backend, n, before, after, _MODES[mode])
        x = take(x, make(x._backend, source, None), axis=axis)
    return x
