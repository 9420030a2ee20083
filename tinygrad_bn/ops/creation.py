"""Making tensors: from data, filled, in ranges.

`device` is the name of a backend (None: the default one); dtype None means float32 for
floating-point results and int64 for integer ranges.
"""

from __future__ import annotations

from typing import Any

from ..autograd import Variable
from ..autograd.runtime import make, transfer
from ..backend import resolve_backend
from ..dtypes import DEFAULT_FLOAT, canonical

__all__ = [
    "asarray",
    "ones",
    "ones_like",
    "zeros",
    "zeros_like",
]


def asarray(
    obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None
) -> Any:
    """A tensor of a number, nested sequence, array, tensor or DLPack exporter.

    Args:
        obj: the data; Python floats become float32, integers int64, arrays keep their dtype.
        dtype: the element type wanted.
        device: name of the backend.
        copy: True: always copy; False: raise ValueError where a copy is needed; None: share
            memory where that is possible.
    """
    if isinstance(obj, Variable):
        if device is not None:
            obj = transfer(obj, resolve_backend(device))
        backend = obj._backend
        same = dtype is None or backend.dtype_of(obj._data) == canonical(dtype)
        if same and not copy:
            return obj
        if copy is False:
            raise ValueError(f"asarray: a conversion to {dtype} needs a copy, and copy=False")
        from . import astype

        return astype(obj, backend.dtype_of(obj._data) if dtype is None else dtype, copy=True)
    backend = resolve_backend(device)
    return make(backend, backend.asarray(obj, dtype, copy), None)


def _filled(name: str, shape: Any, dtype: Any, device: str | None, *value: Any) -> Any:
    backend = resolve_backend(device)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    array = getattr(backend, name)(shape, *value, dtype=dtype or DEFAULT_FLOAT)
    return make(backend, array, None)


def zeros(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """A tensor of zeros."""
    return _filled("zeros", shape, dtype, device)


def ones(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """A tensor of ones."""
    return _filled("ones", shape, dtype, device)


def _like(name: str, x: Any, dtype: Any, device: str | None, *value: Any) -> Any:
    backend = x._backend if device is None else resolve_backend(device)
    dtype = x._backend.dtype_of(x._data) if dtype is None else dtype
    return make(backend, getattr(backend, name)(x._data.shape, *value, dtype=dtype), None)


def zeros_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Any:
    """Zeros of the shape, dtype and backend of x."""
    return _like("zeros", x, dtype, device)


def ones_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Any:
    """Ones of the shape, dtype and backend of x."""
    return _like("ones", x, dtype, device)
