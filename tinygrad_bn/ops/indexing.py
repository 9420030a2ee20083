"""Indexing: pick elements by position or mask; the derivative puts them back where they were.

In the operations here an index is part of the metadata: arrays in it are raw arrays of the
backend, in the second reading of a rule too.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ..autograd import Variable, primitive
from ..backend import BackendMismatchError
from ..refusal import named
from .creation import asarray
from .manipulation import position, reshape

__all__ = [
    "take",
    "take_along_axis",
]

# ------------------------------------------------------------------------------ square brackets


@primitive(x=lambda B, g, key, x_shape: B.scatter_add(g, key=key, shape=x_shape))
def getitem(B: Any, x: Any, *, key: Any) -> Any:
    """x[key], NumPy's indexing.   d/dx = zeros with g added at key."""
    return B.getitem(x, key=key)


@primitive(values=lambda B, g, key: B.getitem(g, key=key))
def scatter_add(B: Any, values: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with `values` added at `key`; repeated positions add up.

    d/dvalues = g[key].
    """
    return B.scatter_add(values, key=key, shape=shape)


def _put_dx(B: Any, g: Any, key: Any) -> Any:
    return B.index_put(g, B.zeros_like(B.getitem(g, key=key)), key=key)


@primitive(x=_put_dx, values=lambda B, g, key: B.getitem(g, key=key))
def index_put(B: Any, x: Any, values: Any, *, key: Any) -> Any:
    """A copy of x with x[key] = values.   d/dx = g with zeros at key,   d/dvalues = g[key].

    Positions picked several times keep one of the values; which one is not specified.
    """
    check_assignable(B, x, values)
    return B.index_put(x, values, key=key)


def check_assignable(B: Any, x: Any, values: Any) -> None:
    """TypeError if values are complex and the array that they go to is not."""
    complex_values = hasattr(values, "dtype") and B.dtype_of(values).kind == "c"
    if complex_values and B.dtype_of(x).kind != "c":
        raise TypeError(f"complex values would lose their imaginary parts in {B.dtype_of(x).name}")


def raw_key(x: Any, key: Any) -> Any:
    """An index with tensors and lists replaced by arrays of the backend of `x`."""
    kind = key.__class__
    if kind is int or kind is slice:
        return key
    if kind is tuple:
        return tuple([_raw_part(x, k) for k in key])
    return _raw_part(x, key)


def _raw_part(x: Any, part: Any) -> Any:
    if part is None or part is ... or part.__class__ in (int, slice, bool):
        return part
    if isinstance(part, Integral):
        return int(part)
    if isinstance(part, list | tuple | Variable) or hasattr(part, "dtype"):
        return index_array("getitem", x, part, "an index", booleans=True)
    index = getattr(part, "__index__", None)
    if index is None:
        raise TypeError(
            "getitem: an index is an integer, a slice, None, Ellipsis, or an array of "
            f"integers or booleans, got {type(part).__name__}"
        )
    return index()


def index_array(name: str, x: Any, value: Any, what: str, *, booleans: bool = False) -> Any:
    """Positions as a raw array of the backend of x.

    Raises:
        BackendMismatchError: `value` is a tensor of another backend.
        TypeError: it is not of integers (or, where `booleans` says so, booleans).
    """
    backend = x._backend
    if isinstance(value, Variable):
        if value._backend is not backend:
            raise BackendMismatchError(
                f"{name}: the tensor is on backend {backend.name!r} and {what} on "
                f"{value._backend.name!r}; move it with .to({backend.name!r})"
            )
        array = value._data
    else:
        # A recorded index must not change with the caller's own array.
        array = backend.asarray(value, copy=True if x._node is not None else None)
        if isinstance(value, list | tuple) and 0 in array.shape:
            array = backend.astype(array, "int64")
    dtype = backend.dtype_of(array)
    if dtype.kind not in ("biu" if booleans else "iu"):
        kinds = "integers or booleans" if booleans else "integers"
        raise TypeError(f"{name}: {what} must be of {kinds}, got dtype {dtype.name}")
    return array


# ---------------------------------------------------------------------------------------- take


def _along(axis: int, indices: Any) -> tuple[Any, ...]:
    return (*(slice(None),) * axis, indices)


@primitive(
    x=lambda B, g, x_shape, indices, axis: B.scatter_add(
        g, key=_along(axis, indices), shape=x_shape
    )
)
def _take(B: Any, x: Any, *, indices: Any, axis: int) -> Any:
    return B.take(x, indices, axis=axis)


@named
def take(x: Any, indices: Any, /, *, axis: int | None = None) -> Any:
    """The elements at the positions `indices` of an axis.   d/dx = zeros with g added there.

    Args:
        x: the tensor.
        indices: integers of any shape, which replaces the axis; negative ones count from the end.
        axis: None takes from the flattened x.

    Raises:
        IndexError: a position outside the axis.
        TypeError: `indices` is not of integers.
        ValueError: `axis` does not exist.
    """
    x = asarray(x)
    raw = index_array("take", x, indices, "indices")
    if axis is None:
        return _take(reshape(x, (-1,)), indices=raw, axis=0)
    return _take(x, indices=raw, axis=position("take", axis, x.ndim))


@primitive(
    x=lambda B, g, x_shape, indices, axis: B.scatter_along_axis(
        g, indices=indices, axis=axis, shape=x_shape
    )
)
def _take_along_axis(B: Any, x: Any, *, indices: Any, axis: int) -> Any:
    return B.take_along_axis(x, indices, axis=axis)


@named
def take_along_axis(x: Any, indices: Any, /, *, axis: int = -1) -> Any:
    """For every position beside `axis`, the elements of x at its own `indices` along `axis`.

    out[i, j] = x[i, indices[i, j]] for axis 1 of a matrix.   d/dx = zeros with g added there.

    Args:
        x: the tensor.
        indices: integers, as many axes as x, broadcast against x beside `axis`.
        axis: the axis.

    Raises:
        IndexError: a position outside the axis, or shapes that do not fit.
        TypeError: `indices` is not of integers.
        ValueError: `axis` does not exist, or the numbers of axes differ.
    """
    x = asarray(x)
    axis = position("take_along_axis", axis, x.ndim)
    raw = index_array("take_along_axis", x, indices, "indices")
    if raw.ndim != x.ndim:
        raise ValueError(
            "take_along_axis: indices must have as many axes as x, "
            f"got shapes {tuple(raw.shape)} and {x.shape}"
        )
    return _take_along_axis(x, indices=raw, axis=axis)


@primitive(values=lambda B, g, indices, axis: B.take_along_axis(g, indices, axis=axis))
def scatter_along_axis(
    B: Any, values: Any, *, indices: Any, axis: int, shape: tuple[int, ...]
) -> Any:
    """Zeros of `shape` with `values` added where `take_along_axis` would take them from."""
    return B.scatter_along_axis(values, indices=indices, axis=axis, shape=shape)
