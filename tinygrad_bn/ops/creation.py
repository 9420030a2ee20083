"""Making tensors: from data, filled, in ranges, triangles and grids.

`device` is the name of a backend (None: the default one); dtype None means float32 for
floating-point results and int64 for integers.
"""

from __future__ import annotations

from numbers import Integral
from typing import Any

from ..autograd import Variable, primitive
from ..autograd.links import transfer
from ..autograd.runtime import make
from ..backend import resolve_backend
from ..dtypes import DEFAULT_COMPLEX, DEFAULT_FLOAT, DEFAULT_INT, canonical
from ..dtypes import bool as bool_
from ..refusal import check_integer, named

__all__ = [
    "arange",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_dlpack",
    "full",
    "full_like",
    "linspace",
    "ones",
    "ones_like",
    "tril",
    "triu",
    "zeros",
    "zeros_like",
]

# ----------------------------------------------------------------------------------- from data


@named
def asarray(
    obj: Any, /, *, dtype: Any = None, device: str | None = None, copy: bool | None = None
) -> Any:
    """A tensor of a number, nested sequence, array, tensor or DLPack exporter.

    Args:
        obj: the data; Python floats become float32, integers int64, arrays keep their dtype.
            A tensor stays part of its graph.
        dtype: the element type wanted.
        device: name of the backend.
        copy: True: always copy; False: raise ValueError where a copy is needed; None: share
            memory where that is possible.

    Raises:
        ValueError: `copy=False` and the data is a Python object, of another dtype, or elsewhere.
        TypeError: the data is no array-like of a dtype that is known here.
    """
    if isinstance(obj, Variable):
        return _astensor(obj, dtype, device, copy)
    backend = resolve_backend(device)
    if copy is False and not _shareable(obj, dtype):
        raise ValueError(
            f"asarray: {type(obj).__name__} cannot become a tensor"
            f"{'' if dtype is None else f' of {canonical(dtype).name}'} without a copy, "
            "and copy=False"
        )
    try:
        array = backend.asarray(obj, dtype, copy)
    except (TypeError, ValueError) as error:
        raise type(error)(f"asarray: {error}") from error
    return make(backend, array, None)


def _shareable(obj: Any, dtype: Any) -> bool:
    """Whether an object's memory can be that of a tensor of `dtype`."""
    if not hasattr(obj, "__dlpack__"):
        return False
    return dtype is None or getattr(obj, "dtype", None) == canonical(dtype)


def _astensor(x: Any, dtype: Any, device: str | None, copy: bool | None) -> Any:
    target = x._backend if device is None else resolve_backend(device)
    source = x._backend.dtype_of(x._data)
    wanted = source if dtype is None else canonical(dtype)
    if copy is False and (target is not x._backend or wanted != source):
        raise ValueError(
            f"asarray: from {source.name} on {x._backend.name!r} to {wanted.name} on "
            f"{target.name!r} needs a copy, and copy=False"
        )
    moved = transfer(x, target)
    if wanted == source and (not copy or moved is not x):
        return moved
    from .datatype import astype

    return astype(moved, wanted, copy=True)


@named
def from_dlpack(x: Any, /, *, device: str | None = None, copy: bool | None = None) -> Any:
    """A tensor of an array of another library, by the DLPack protocol; memory shared if possible.

    Raises:
        TypeError: x does not offer `__dlpack__`.
        ValueError: `copy=False` and the memory cannot be shared.
    """
    if not hasattr(x, "__dlpack__"):
        raise TypeError(
            f"from_dlpack: x must be an array that offers __dlpack__, got {type(x).__name__}"
        )
    return asarray(x, device=device, copy=copy)


# -------------------------------------------------------------------------------------- filled


def _shape(name: str, shape: Any) -> tuple[int, ...]:
    try:
        lengths = shape if isinstance(shape, tuple | list) else (shape,)
        result = tuple([n.__index__() for n in lengths])
    except (AttributeError, TypeError):
        raise TypeError(f"{name}: shape must be an int or a tuple of ints, got {shape!r}") from None
    if any(n < 0 for n in result):
        raise ValueError(f"{name}: shape must not be negative, got {shape!r}")
    return result


def _dtype_holding(name: str, dtype: Any, value: Any = 0) -> Any:
    """dtype; TypeError if it is real and the value complex."""
    dtype = canonical(dtype)
    if isinstance(value, complex) and dtype.kind != "c":
        raise TypeError(f"{name}: fill_value must be real for dtype {dtype.name}, got {value}")
    return dtype


def _filled(name: str, shape: Any, dtype: Any, device: str | None, *value: Any) -> Any:
    backend = resolve_backend(device)
    dtype = _dtype_holding(name, DEFAULT_FLOAT if dtype is None else dtype, *value)
    try:
        array = getattr(backend, name)(_shape(name, shape), *value, dtype=dtype)
    except OverflowError as error:
        raise OverflowError(f"{name}: {error}") from None
    return make(backend, array, None)


@named
def empty(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """A tensor whose values are whatever its memory held."""
    return _filled("empty", shape, dtype, device)


@named
def zeros(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """A tensor of zeros."""
    return _filled("zeros", shape, dtype, device)


@named
def ones(shape: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """A tensor of ones."""
    return _filled("ones", shape, dtype, device)


@named
def full(shape: Any, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """A tensor of one value; its dtype follows the kind of the Python number.

    Raises TypeError if `fill_value` is not a number (or a tensor of one element).
    """
    fill_value = _number("full", fill_value)
    dtype = _dtype_for(fill_value) if dtype is None else dtype
    return _filled("full", shape, dtype, device, fill_value)


def _number(name: str, value: Any, argument: str = "fill_value") -> Any:
    """A Python number out of a number, a NumPy scalar or a tensor of one element."""
    value = value.item() if hasattr(value, "item") else value
    if not isinstance(value, bool | int | float | complex):
        raise TypeError(f"{name}: {argument} must be a number, got {type(value).__name__}")
    return value


def _dtype_for(*values: Any) -> Any:
    """The default dtype for the most general of some Python numbers."""
    if all(isinstance(v, bool) for v in values):
        return bool_
    if all(isinstance(v, int) for v in values):
        return DEFAULT_INT
    return DEFAULT_COMPLEX if any(isinstance(v, complex) for v in values) else DEFAULT_FLOAT


def _like(name: str, x: Any, dtype: Any, device: str | None, *value: Any) -> Any:
    if not isinstance(x, Variable):
        x = asarray(x, device=device)
    backend = x._backend if device is None else resolve_backend(device)
    dtype = x._backend.dtype_of(x._data) if dtype is None else dtype
    dtype = _dtype_holding(name, dtype, *value)
    return make(backend, getattr(backend, name)(x._data.shape, *value, dtype=dtype), None)


@named
def empty_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Any:
    """Uninitialised, of the shape, dtype and backend of x."""
    return _like("empty", x, dtype, device)


@named
def zeros_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Any:
    """Zeros of the shape, dtype and backend of x."""
    return _like("zeros", x, dtype, device)


@named
def ones_like(x: Any, /, *, dtype: Any = None, device: str | None = None) -> Any:
    """Ones of the shape, dtype and backend of x."""
    return _like("ones", x, dtype, device)


@named
def full_like(x: Any, /, fill_value: Any, *, dtype: Any = None, device: str | None = None) -> Any:
    """One value in the shape, dtype and backend of x."""
    return _like("full", x, dtype, device, _number("full_like", fill_value))


# -------------------------------------------------------------------- ranges, diagonals, corners


@named
def arange(
    start: Any,
    /,
    stop: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: str | None = None,
) -> Any:
    """start, start + step, … below stop; 0, 1, … below start if it is the only number.

    The dtype is int64 if all numbers are integers, else float32. Raises ValueError if step is 0,
    TypeError for what is not a number.
    """
    start, step = _number("arange", start, "start"), _number("arange", step, "step")
    if step == 0:
        raise ValueError("arange: step must not be 0")
    if stop is None:
        start, stop = type(start)(0), start
    stop = _number("arange", stop, "stop")
    backend = resolve_backend(device)
    dtype = _dtype_for(start, stop, step) if dtype is None else dtype
    return make(backend, backend.arange(start, stop, step, dtype=dtype), None)


@named
def linspace(
    start: Any,
    stop: Any,
    /,
    num: int,
    *,
    dtype: Any = None,
    device: str | None = None,
    endpoint: bool = True,
) -> Any:
    """`num` evenly spaced numbers from start to stop, which is the last one if `endpoint`.

    Raises ValueError if num is negative, TypeError if it is no integer or a bound no number.
    """
    start, stop = _number("linspace", start, "start"), _number("linspace", stop, "stop")
    if not isinstance(num, Integral):
        raise TypeError(f"linspace: num must be an integer, got {num!r}")
    if num < 0:
        raise ValueError(f"linspace: num must not be negative, got {num}")
    backend = resolve_backend(device)
    dtype = _dtype_for(start, stop, 0.0) if dtype is None else dtype
    return make(backend, backend.linspace(start, stop, num, dtype=dtype, endpoint=endpoint), None)


@named
def eye(
    n_rows: int,
    n_cols: int | None = None,
    /,
    *,
    k: int = 0,
    dtype: Any = None,
    device: str | None = None,
) -> Any:
    """A matrix of zeros with ones on the k-th diagonal (above the main one if k > 0)."""
    check_integer("eye", "k", k)
    backend = resolve_backend(device)
    rows, columns = _shape("eye", (n_rows, n_rows if n_cols is None else n_cols))
    dtype = DEFAULT_FLOAT if dtype is None else dtype
    return make(backend, backend.eye(rows, columns, k=k, dtype=dtype), None)


def _needs_matrix(name: str, x: Any) -> None:
    if x.ndim < 2:
        raise ValueError(f"{name}: x must have at least two axes, got shape {tuple(x.shape)}")


@primitive(x=lambda B, g, k: B.tril(g, k=k))
def tril(B: Any, x: Any, /, *, k: int = 0) -> Any:
    """The lower triangle of matrices (the last two axes), zeros above the k-th diagonal.

    d/dx = tril(g).   Raises ValueError if x has fewer than two axes.
    """
    _needs_matrix("tril", x)
    return B.tril(x, k=k)


@primitive(x=lambda B, g, k: B.triu(g, k=k))
def triu(B: Any, x: Any, /, *, k: int = 0) -> Any:
    """The upper triangle of matrices (the last two axes), zeros below the k-th diagonal.

    d/dx = triu(g).   Raises ValueError if x has fewer than two axes.
    """
    _needs_matrix("triu", x)
    return B.triu(x, k=k)
