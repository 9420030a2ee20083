"""The same values in different memory layouts."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..autograd.runtime import make
from ..backend import Backend

LAYOUTS = ("contiguous", "transposed", "reversed", "broadcast")
"""Row by row; column by column; with negative strides; with stride 0 along the first axis."""


def values_in(layout: str, values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The values to check a layout with: a broadcast array repeats its first row."""
    if layout == "broadcast" and values.ndim and values.shape[0]:
        return np.array(np.broadcast_to(values[:1], values.shape), order="C")
    return np.array(values, order="C")


def tensor_in(layout: str, values: np.ndarray[Any, Any], backend: Backend) -> Any:
    """`array_in`, as a tensor."""
    return make(backend, array_in(layout, values, backend), None)


def array_in(layout: str, values: np.ndarray[Any, Any], backend: Backend) -> Any:
    """The backend's own array with these values (from `values_in`) in the given layout."""
    if values.ndim == 0 or layout == "contiguous":
        return _upload(values, backend)
    if layout == "transposed":
        axes = tuple(reversed(range(values.ndim)))
        return backend.permute_dims(_upload(values.T, backend), axes)
    if layout == "reversed":
        return backend.flip(_upload(np.flip(values), backend))
    if layout == "broadcast":
        return backend.broadcast_to(_upload(values[:1], backend), values.shape)
    raise ValueError(f"check_op: layouts are {', '.join(LAYOUTS)}, got {layout!r}")


def _upload(values: np.ndarray[Any, Any], backend: Backend) -> Any:
    return backend.from_numpy(np.array(values, order="C"), copy=True)
