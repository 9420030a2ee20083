"""Data types: conversion, promotion, limits."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..dtypes import canonical

__all__ = [
    "astype",
]


@primitive(x=lambda B, g: g)
def _astype(B: Any, x: Any, *, dtype: Any, copy: bool = True) -> Any:
    return B.astype(x, dtype, copy=copy)


@primitive()
def _convert(B: Any, x: Any, *, dtype: Any, copy: bool = True) -> Any:
    return B.astype(x, dtype, copy=copy)


def astype(x: Any, dtype: Any, /, *, copy: bool = True, device: str | None = None) -> Any:
    """x converted to `dtype`.   d/dx = g between floating-point dtypes; others are not recorded."""
    from .creation import asarray

    x = asarray(x, device=device)
    dtype = canonical(dtype)
    source = x.dtype
    if source == dtype and not copy:
        return x
    if source.kind == "c" and dtype.kind != "c":
        raise TypeError(f"astype: complex to {dtype.name} would drop the imaginary part; use real")
    return (_astype if dtype.kind == "f" else _convert)(x, dtype=dtype, copy=copy)
