"""Indexing: pick elements by position or mask; the derivative puts them back where they were."""

from __future__ import annotations

from typing import Any

from ..autograd import Variable, primitive
from ..backend import BackendMismatchError

__all__ = []


@primitive(x=lambda B, g, key, x_shape: B.scatter_add(g, key=key, shape=x_shape))
def getitem(B: Any, x: Any, *, key: Any) -> Any:
    """x[key], NumPy's indexing.   d/dx = zeros with g added at key."""
    return B.getitem(x, key=key)


@primitive(values=lambda B, g, key: B.getitem(g, key=key))
def scatter_add(B: Any, values: Any, *, key: Any, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with `values` added at `key`; repeated positions add up.   d/dvalues = g[key]."""
    return B.scatter_add(values, key=key, shape=shape)


def _put_dx(B: Any, g: Any, key: Any) -> Any:
    return B.index_put(g, B.zeros_like(B.getitem(g, key=key)), key=key)


@primitive(x=_put_dx, values=lambda B, g, key: B.getitem(g, key=key))
def index_put(B: Any, x: Any, values: Any, *, key: Any) -> Any:
    """A copy of x with x[key] = values.   d/dx = g with zeros at key,   d/dvalues = g[key].

    Positions picked several times keep one of the values; which one is not specified.
    """
    return B.index_put(x, values, key=key)


def raw_key(x: Any, key: Any) -> Any:
    """An index with tensors and lists replaced by arrays of the backend of `x`."""
    if isinstance(key, tuple):
        return tuple([_raw_part(x, k) for k in key])
    return _raw_part(x, key)


def _raw_part(x: Any, part: Any) -> Any:
    if isinstance(part, Variable):
        if part._backend is not x._backend:
            raise BackendMismatchError(
                f"getitem: a tensor on backend {x._backend.name!r} is indexed with one on "
                f"{part._backend.name!r}; move it with .to({x._backend.name!r})"
            )
        part = part._data
    elif isinstance(part, list) or hasattr(part, "__array__"):
        part = x._backend.asarray(part)
    elif not isinstance(part, int | slice | type(None) | type(...)):
        index = getattr(part, "__index__", None)
        if index is None:
            raise TypeError(
                "getitem: an index is an integer, a slice, None, Ellipsis, or an array of "
                f"integers or booleans, got {type(part).__name__}"
            )
        return index()
    if hasattr(part, "dtype") and x._backend.dtype_of(part).kind not in "biu":
        raise TypeError(f"getitem: index arrays are of integers or booleans, got {part.dtype}")
    return part
