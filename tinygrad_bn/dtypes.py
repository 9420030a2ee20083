"""The data types, one set for every backend: NumPy's dtype objects under the standard's names.

A backend whose arrays carry dtype objects of another kind translates at its own door
(`Backend.native`, `Backend.dtype_of`), so user code compares and passes these only.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

bool = np.dtype("bool")
int8 = np.dtype("int8")
int16 = np.dtype("int16")
int32 = np.dtype("int32")
int64 = np.dtype("int64")
uint8 = np.dtype("uint8")
uint16 = np.dtype("uint16")
uint32 = np.dtype("uint32")
uint64 = np.dtype("uint64")
float16 = np.dtype("float16")
float32 = np.dtype("float32")
float64 = np.dtype("float64")
complex64 = np.dtype("complex64")
complex128 = np.dtype("complex128")

DType = np.dtype[Any]

DEFAULT_FLOAT = float32
DEFAULT_INT = int64
DEFAULT_COMPLEX = complex64

BY_NAME: dict[str, DType] = {
    d.name: d
    for d in (
        *(bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64),
        *(float16, float32, float64, complex64, complex128),
    )
}

_KNOWN = frozenset(BY_NAME.values())


def canonical(dtype: Any) -> DType:
    """The dtype object for anything that names one: 'float32', np.float32, float, a dtype."""
    try:
        if dtype is None:  # float64 to NumPy
            raise TypeError
        found = np.dtype(dtype)
    except TypeError:
        raise TypeError(f"not a dtype: {dtype!r}; known are {', '.join(BY_NAME)}") from None
    if found not in _KNOWN:
        raise TypeError(f"dtype {found.name} is not supported; known are {', '.join(BY_NAME)}")
    return found


def is_floating(dtype: DType) -> builtins.bool:
    """Whether the dtype is real floating point: the kinds that carry gradients."""
    return dtype.kind == "f"


def promote(*dtypes_and_numbers: Any) -> DType:
    """The common dtype of dtypes and Python numbers; numbers adapt to the dtypes' kind."""
    return np.result_type(*dtypes_and_numbers)


def can_cast(source: DType, target: DType) -> builtins.bool:
    """Whether promotion of the two gives `target`."""
    return np.result_type(source, target) == target


def float_limits(dtype: DType) -> tuple[int, float, float, float, float, DType]:
    """bits, eps, max, min, smallest normal number and dtype of a floating-point dtype's reals."""
    info = np.finfo(dtype)
    numbers = (info.eps, info.max, info.min, info.smallest_normal)
    eps, largest, smallest, normal = [float(n) for n in numbers]
    return int(info.bits), eps, largest, smallest, normal, info.dtype
