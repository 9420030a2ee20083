"""tinygrad_bn: a small autograd framework with pluggable backends and batch norm at its heart."""

import importlib
from typing import Any

from . import autograd, func, linalg, random
from .autograd import checkpoint, detect_anomaly, enable_grad, no_grad, primitive
from .backend import set_default_backend, use_backend
from .dtypes import (
    bool,
    complex64,
    complex128,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from .ops import *
from .ops import __array_api_version__, __array_namespace_info__
from .tensor import Tensor

_ROOMS = ("backends", "data", "nn", "optim", "serialization", "testing", "training")


def __getattr__(name: str) -> Any:
    """Rooms that are imported when they are first asked for: `tg.nn`, `tg.optim`, `tg.data` …"""
    if name in _ROOMS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
