"""Data types: conversion, promotion, limits."""

from __future__ import annotations

from typing import Any, NamedTuple

from .. import dtypes
from ..autograd import Variable, primitive
from ..dtypes import DType, canonical
from ..refusal import named
from .creation import asarray

__all__ = [
    "astype",
    "can_cast",
    "finfo",
    "iinfo",
    "isdtype",
    "result_type",
]


@primitive(x=lambda B, g: g)
def _astype(B: Any, x: Any, *, dtype: Any, copy: bool = True) -> Any:
    return B.astype(x, dtype, copy=copy)


@primitive()
def _convert(B: Any, x: Any, *, dtype: Any, copy: bool = True) -> Any:
    return B.astype(x, dtype, copy=copy)


@named
def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Any:
    """x converted to `dtype`.   d/dx = g between floating-point dtypes; integers are not recorded.

    Args:
        x: the tensor.
        dtype: the element type.
        copy: False gives x itself if it has that dtype.
        device: name of the backend to move it to.

    Raises:
        TypeError: complex to real, which would drop the imaginary part; a tensor that requires a
            gradient to complex; or no dtype.
    """
    x = asarray(x, device=device)
    dtype = canonical(dtype)
    source = x.dtype
    if source == dtype and not copy:
        return x
    if source.kind == "c" and dtype.kind != "c":
        raise TypeError(f"astype: complex to {dtype.name} would drop the imaginary part; use real")
    return (_astype if dtype.kind in "fc" else _convert)(x, dtype=dtype, copy=copy)


def _dtype_of(name: str, value: Any) -> DType:
    if isinstance(value, Variable):
        return value._backend.dtype_of(value._data)
    if value is None:
        raise TypeError(f"{name}: needs a dtype or a tensor, got None")
    return canonical(getattr(value, "dtype", value))


@named
def can_cast(from_: Any, to: Any, /) -> bool:
    """Whether type promotion leads from a dtype (or a tensor's) to `to`: no value is lost."""
    return dtypes.can_cast(_dtype_of("can_cast", from_), canonical(to))


@named
def result_type(*arrays_and_dtypes: Any) -> DType:
    """The dtype that arithmetic on all of these gives; Python numbers adapt to the others.

    Raises ValueError if there are only Python numbers.
    """
    numbers = [a for a in arrays_and_dtypes if type(a) in (bool, int, float, complex)]
    others = [a for a in arrays_and_dtypes if type(a) not in (bool, int, float, complex)]
    if not others:
        raise ValueError(
            "result_type: needs at least one tensor or dtype, "
            f"got {', '.join(map(repr, arrays_and_dtypes)) or 'nothing'}"
        )
    return dtypes.promote(*[_dtype_of("result_type", a) for a in others], *numbers)


# -------------------------------------------------------------------------------------- limits


class FloatInfo(NamedTuple):
    """Limits of a floating-point dtype, as Python numbers (for a complex one, of its parts)."""

    bits: int
    eps: float
    max: float
    min: float
    smallest_normal: float
    dtype: DType


class IntInfo(NamedTuple):
    """Limits of an integer dtype, as Python numbers."""

    bits: int
    max: int
    min: int
    dtype: DType


@named
def finfo(type: Any, /) -> FloatInfo:
    """Limits of a floating-point or complex dtype (or of a tensor's).

    Raises TypeError for another kind of dtype.
    """
    dtype = _dtype_of("finfo", type)
    if dtype.kind not in "fc":
        raise TypeError(f"finfo: type must be a floating-point dtype, got {dtype.name}")
    return FloatInfo(*dtypes.float_limits(dtype))


@named
def iinfo(type: Any, /) -> IntInfo:
    """Limits of an integer dtype (or of a tensor's).

    Raises TypeError for another kind of dtype.
    """
    dtype = _dtype_of("iinfo", type)
    if dtype.kind not in "iu":
        raise TypeError(f"iinfo: type must be an integer dtype, got {dtype.name}")
    bits = 8 * dtype.itemsize
    if dtype.kind == "u":
        return IntInfo(bits, 2**bits - 1, 0, dtype)
    return IntInfo(bits, 2 ** (bits - 1) - 1, -(2 ** (bits - 1)), dtype)


KINDS = {
    "bool": "b",
    "signed integer": "i",
    "unsigned integer": "u",
    "integral": "iu",
    "real floating": "f",
    "complex floating": "c",
    "numeric": "iufc",
}


@named
def isdtype(dtype: Any, kind: Any) -> bool:
    """Whether a dtype is `kind`: a dtype, the name of a kind, or any of a tuple of them.

    Kinds are 'bool', 'signed integer', 'unsigned integer', 'integral', 'real floating',
    'complex floating' and 'numeric'.   Raises ValueError for another name.
    """
    if isinstance(kind, tuple):
        return any(isdtype(dtype, k) for k in kind)
    dtype = canonical(dtype)
    if not isinstance(kind, str):
        return dtype == canonical(kind)
    if kind not in KINDS:
        raise ValueError(
            f"isdtype: kind must be a dtype or one of {', '.join(KINDS)}, got {kind!r}"
        )
    return dtype.kind in KINDS[kind]
