"""Shapes and arrangement: reshape, transpose, join, split, repeat, pad. No arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral
from typing import Any

from ..autograd import primitive
from ..autograd.definition import MANY
from ..refusal import check_integer, named
from .creation import asarray

__all__ = [
    "broadcast_arrays",
    "broadcast_to",
    "concat",
    "expand_dims",
    "flip",
    "meshgrid",
    "moveaxis",
    "permute_dims",
    "reshape",
    "roll",
    "split",
    "squeeze",
    "stack",
    "unstack",
]

Axis = int | tuple[int, ...] | None


def position(name: str, axis: int, ndim: int, argument: str = "axis") -> int:
    """An axis counted from the front; TypeError or ValueError in the name of `name` if there is
    none such."""
    check_integer(name, argument, axis)
    if not -ndim <= axis < ndim:
        raise ValueError(
            f"{name}: {argument} must be at least {-ndim} and below {ndim}, got {axis}"
        )
    return axis % ndim


def positions(name: str, axis: Any, ndim: int, argument: str = "axis") -> tuple[int, ...]:
    """Axes counted from the front, all different."""
    axes = tuple(axis) if isinstance(axis, tuple | list) else (axis,)
    found = tuple([position(name, a, ndim, argument) for a in axes])
    if len(set(found)) != len(found):
        raise ValueError(f"{name}: {argument} must name every axis once, got {axis}")
    return found


def tensors(name: str, values: Any) -> list[Any]:
    """A sequence of array-likes as a list; TypeError for what is no sequence."""
    if not isinstance(values, list | tuple):
        raise TypeError(f"{name}: needs a tuple or list of tensors, got {type(values).__name__}")
    if not values:
        raise ValueError(f"{name}: needs at least one tensor, got none")
    return list(values)


def whole_numbers(name: str, argument: str, value: Any) -> tuple[int, ...]:
    """An integer or a sequence of integers as a tuple of them; TypeError for anything else."""
    try:
        numbers = value if isinstance(value, tuple | list) else (value,)
        return tuple([n.__index__() for n in numbers])
    except (AttributeError, TypeError):
        raise TypeError(
            f"{name}: {argument} must be an integer or a tuple of integers, got {value!r}"
        ) from None


# --------------------------------------------------------------------------------------- shape


@primitive(x=lambda B, g: g)
def fit(B: Any, x: Any, *, shape: tuple[int, ...], dtype: Any) -> Any:
    """Sum what was broadcast, broadcast what was reduced: the engine's own step, recorded.

    Its derivative is itself: the engine fits `g` back to the shape of x.
    """
    return B.fit(x, shape=shape, dtype=dtype)


@primitive(x=lambda B, g, x_shape: B.reshape(g, x_shape))
def reshape(B: Any, x: Any, /, shape: tuple[int, ...], *, copy: bool | None = None) -> Any:
    """The same elements in another shape; one length may be -1.   d/dx = reshape(g).

    Raises ValueError if the number of elements differs, or `copy=False` and a copy is needed.
    """
    return B.reshape(x, shape, copy=copy)


@primitive(x=lambda B, g: g)
def broadcast_to(B: Any, x: Any, /, shape: tuple[int, ...]) -> Any:
    """x repeated along new axes and axes of length 1.   d/dx = g, summed over them.

    Raises ValueError if the shapes are not related by broadcasting.
    """
    return B.broadcast_to(x, shape)


def broadcast_shape(name: str, *shapes: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that all of `shapes` broadcast to; ValueError in the name of `name` if none."""
    n = max([len(s) for s in shapes], default=0)
    padded = [(1,) * (n - len(s)) + tuple(s) for s in shapes]
    result = []
    for lengths in zip(*padded, strict=True):
        others = {k for k in lengths if k != 1}
        if len(others) > 1:
            given = ", ".join(str(tuple(s)) for s in shapes)
            raise ValueError(f"{name}: shapes {given} do not broadcast against each other")
        result.append(others.pop() if others else 1)
    return tuple(result)


@named
def broadcast_arrays(*arrays: Any) -> tuple[Any, ...]:
    """All arrays broadcast to their common shape.   Raises ValueError if there is none."""
    values = [asarray(x) for x in arrays]
    shape = broadcast_shape("broadcast_arrays", *[x.shape for x in values])
    return tuple([broadcast_to(x, shape) for x in values])


@named
def meshgrid(*arrays: Any, indexing: str = "xy") -> tuple[Any, ...]:
    """Coordinate grids of vectors: result i is vector i along axis i, repeated along the others.

    Args:
        arrays: one-dimensional tensors of the lengths n₁, n₂, ….
        indexing: 'ij': results of shape (n₁, n₂, …); 'xy': the first two axes exchanged.

    Raises:
        ValueError: another `indexing`, or an array that is not one-dimensional.
    """
    if indexing not in ("xy", "ij"):
        raise ValueError(f"meshgrid: indexing must be 'xy' or 'ij', got {indexing!r}")
    values = [asarray(x) for x in arrays]
    for i, x in enumerate(values):
        if x.ndim != 1:
            raise ValueError(f"meshgrid: arrays must have one axis, got shape {x.shape} at {i}")
    n = len(values)
    places = [1 - i if indexing == "xy" and i < 2 <= n else i for i in range(n)]
    shape = tuple([values[places[i]].shape[0] for i in range(n)])
    return tuple(
        [
            broadcast_to(reshape(x, (1,) * p + (-1,) + (1,) * (n - 1 - p)), shape)
            for x, p in zip(values, places, strict=True)
        ]
    )


@primitive(x=lambda B, g, x_shape: B.reshape(g, x_shape))
def expand_dims(B: Any, x: Any, /, axis: int | tuple[int, ...]) -> Any:
    """New axes of length 1 at the positions `axis` of the result.   d/dx = reshape(g).

    Raises ValueError if a position is out of range or named twice.
    """
    n = len(x.shape) + (len(axis) if isinstance(axis, tuple | list) else 1)
    new = positions("expand_dims", axis, n)
    rest = iter(x.shape)
    return B.reshape(x, tuple([1 if i in new else next(rest) for i in range(n)]))


@primitive(x=lambda B, g, x_shape: B.reshape(g, x_shape))
def squeeze(B: Any, x: Any, /, axis: int | tuple[int, ...]) -> Any:
    """The axes `axis`, of length 1, removed.   d/dx = reshape(g).

    Raises ValueError if one of them has another length or does not exist.
    """
    gone = positions("squeeze", axis, len(x.shape))
    for a in gone:
        if x.shape[a] != 1:
            raise ValueError(
                f"squeeze: axis {a} must have length 1, got {x.shape[a]} in shape {tuple(x.shape)}"
            )
    return B.reshape(x, tuple([n for i, n in enumerate(x.shape) if i not in gone]))


# --------------------------------------------------------------------------------- arrangement


def _inverse(axes: tuple[int, ...]) -> tuple[int, ...]:
    n = len(axes)
    return tuple(sorted(range(n), key=[a % n for a in axes].__getitem__))


@primitive(x=lambda B, g, axes: B.permute_dims(g, _inverse(axes)))
def permute_dims(B: Any, x: Any, /, axes: tuple[int, ...]) -> Any:
    """Axes in another order.   d/dx = g with the inverse order.

    Raises ValueError if `axes` is no permutation of the axes of x.
    """
    return B.permute_dims(x, axes)


@named
def moveaxis(x: Any, source: int | tuple[int, ...], destination: int | tuple[int, ...], /) -> Any:
    """The axes `source` moved to the positions `destination`; the others keep their order.

    Raises ValueError if the two differ in number, or an axis is out of range or named twice.
    """
    x = asarray(x)
    moved = positions("moveaxis", source, x.ndim, "source")
    places = positions("moveaxis", destination, x.ndim, "destination")
    if len(moved) != len(places):
        raise ValueError(
            "moveaxis: source and destination must name as many axes, "
            f"got {source} and {destination}"
        )
    axes = [a for a in range(x.ndim) if a not in moved]
    for place, axis in sorted(zip(places, moved, strict=True)):
        axes.insert(place, axis)
    return permute_dims(x, tuple(axes))


@primitive(x=lambda B, g, axis: B.flip(g, axis=axis))
def flip(B: Any, x: Any, /, *, axis: Axis = None) -> Any:
    """The order of elements reversed along `axis` (None: all).   d/dx = flip(g)."""
    return B.flip(x, axis=axis)


def _back(shift: int | tuple[int, ...]) -> int | tuple[int, ...]:
    return tuple([-s for s in shift]) if isinstance(shift, tuple | list) else -shift


@primitive(x=lambda B, g, shift, axis: B.roll(g, _back(shift), axis=axis))
def roll(B: Any, x: Any, /, shift: int | tuple[int, ...], *, axis: Axis = None) -> Any:
    """Elements moved by `shift` along `axis`, those pushed out reentering at the other end.

    axis None: as if flattened.   d/dx = g rolled back.
    """
    return B.roll(x, tuple(shift) if isinstance(shift, list) else shift, axis=axis)


# ------------------------------------------------------------------------------- join and split


def _concat_rule(B: Any, g: Any, xs_shape: tuple[tuple[int, ...], ...], axis: int) -> Any:
    cuts = [0]
    for shape in xs_shape:
        cuts.append(cuts[-1] + shape[axis])
    return B.cut(g, tuple(cuts[1:-1]), axis=axis)


@primitive(xs=_concat_rule)
def _concat(B: Any, *xs: Any, axis: int) -> Any:
    return B.concat(xs, axis=axis)


@named
def concat(arrays: Sequence[Any], /, *, axis: int | None = 0) -> Any:
    """Arrays one after the other along an axis they have (None: flattened).

    Each gets the part of g that it gave.

    Raises:
        ValueError: no arrays, shapes that differ elsewhere than in `axis`, or no such axis.
        TypeError: `arrays` is no tuple or list.
    """
    values = tensors("concat", arrays)
    if axis is None:
        return _concat(*[reshape(x, (-1,)) for x in values], axis=0)
    return _concat(*values, axis=axis)


@primitive(xs=lambda B, g, axis: B.unstack(g, axis=axis))
def _stack(B: Any, *xs: Any, axis: int) -> Any:
    return B.stack(xs, axis=axis)


@named
def stack(arrays: Sequence[Any], /, *, axis: int = 0) -> Any:
    """Arrays of one shape side by side along a new axis.   Each gets its slice of g.

    Raises:
        ValueError: no arrays, shapes that differ, or `axis` out of range.
        TypeError: `arrays` is no tuple or list.
    """
    return _stack(*tensors("stack", arrays), axis=axis)


@primitive(outputs=MANY, x=lambda B, g, axis: B.stack(g, axis=axis))
def unstack(B: Any, x: Any, /, *, axis: int = 0) -> Any:
    """The slices of x along `axis`, as a tuple.   d/dx = stack(g)."""
    return B.unstack(x, axis=axis)


@primitive(outputs=MANY, x=lambda B, g, axis: B.concat(g, axis=axis))
def cut(B: Any, x: Any, /, places: tuple[int, ...], *, axis: int) -> Any:
    """x cut before the positions `places` of an axis, as a tuple.   d/dx = concat(g)."""
    return B.cut(x, places, axis=axis)


@named
def split(x: Any, indices_or_sections: Any, /, *, axis: int = 0) -> tuple[Any, ...]:
    """x cut along an axis, as a tuple of tensors.   d/dx = concat(g).

    Args:
        x: the tensor.
        indices_or_sections: a number of equal parts, or the positions before which to cut.
        axis: the axis.

    Raises:
        ValueError: a number of parts that does not divide the axis, positions that are not
            ascending, or no such axis.
        TypeError: `indices_or_sections` is neither an integer nor a sequence of them.

    Source: numpy.split.
    """
    x = asarray(x)
    axis = position("split", axis, x.ndim)
    n = x.shape[axis]
    if isinstance(indices_or_sections, Integral):
        parts = indices_or_sections
        if parts < 1 or n % parts:
            raise ValueError(
                f"split: axis {axis} of length {n} cannot be cut into {parts} equal parts"
            )
        return cut(x, tuple([i * (n // parts) for i in range(1, parts)]), axis=axis)
    cuts = whole_numbers("split", "indices_or_sections", indices_or_sections)
    places = tuple([min(max(i + n if i < 0 else i, 0), n) for i in cuts])
    if list(places) != sorted(places):
        raise ValueError(f"split: positions must be ascending, got {list(indices_or_sections)}")
    return cut(x, places, axis=axis)
