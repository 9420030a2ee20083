"""Activation functions, softmax and cross-entropy of the Numba backend, with their pulls.

Arrays that a kernel does not take (half precision, gaps in memory, no elements) go to NumPy's way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_pull import PullReference

from ..numpy.activation import NumPyActivation
from . import memory
from .compiler import Driver
from .kernels import elementwise, softmax

_EITHER, _SINGLE = "fd", "f"


def _takes(x: Any, letters: str) -> bool:
    return x.dtype.char in letters and x.flags.carray and x.size > 0


def _applied(driver: Driver, *arrays: Any) -> Any:
    """What an elementwise driver makes of arrays of one shape, in a new one."""
    out = memory.empty(arrays[0].shape, arrays[0].dtype)
    driver(2 * out.size, *[a.reshape(-1) for a in (*arrays, out)])
    return out


def _take_both(g: Any, x: Any, letters: str) -> bool:
    same = g.shape == x.shape and g.dtype == x.dtype
    return same and _takes(g, letters) and _takes(x, letters)


def _width(x: Any, axis: Any) -> int:
    """The length of the rows that `axis` makes of x; 0 if its axes are not the last ones."""
    if axis is None:
        return int(x.size)
    axes = sorted([axis % x.ndim] if isinstance(axis, int) else [a % x.ndim for a in axis])
    if not axes or axes != list(range(x.ndim - len(axes), x.ndim)):
        return 0
    return math.prod(x.shape[axes[0] :])


class NumbaActivation(NumPyActivation, PullReference):
    """Overrides of the reference, by the same names."""

    def relu(self, x: Any) -> Any:
        """max(x, 0)."""
        return _applied(elementwise.relu, x) if _takes(x, _EITHER) else super().relu(x)

    def relu_pull(self, g: Any, out: Any) -> Any:
        """g where out is not 0, else 0."""
        if not _take_both(g, out, _EITHER):
            return super().relu_pull(g, out)
        return _applied(elementwise.relu_pull, g, out)

    def sigmoid(self, x: Any) -> Any:
        """1/(1 + e⁻ˣ)."""
        return _applied(elementwise.sigmoid, x) if _takes(x, _EITHER) else super().sigmoid(x)

    def sigmoid_pull(self, g: Any, out: Any) -> Any:
        """g·out·(1 - out)."""
        if not _take_both(g, out, _EITHER):
            return super().sigmoid_pull(g, out)
        return _applied(elementwise.sigmoid_pull, g, out)

    def tanh_pull(self, g: Any, out: Any) -> Any:
        """g·(1 - out²)."""
        if not _take_both(g, out, _EITHER):
            return super().tanh_pull(g, out)
        return _applied(elementwise.tanh_pull, g, out)

    def silu(self, x: Any) -> Any:
        """x·σ(x)."""
        return _applied(elementwise.silu, x) if _takes(x, _EITHER) else super().silu(x)

    def silu_pull(self, g: Any, x: Any) -> Any:
        """g·σ(x)·(1 + x·(1 - σ(x)))."""
        if not _take_both(g, x, _EITHER):
            return super().silu_pull(g, x)
        return _applied(elementwise.silu_pull, g, x)

    def gelu(self, x: Any, *, approximate: str) -> Any:
        """x·Φ(x); a kernel for the approximation by tanh."""
        if approximate != "tanh" or not _takes(x, _SINGLE):
            return super().gelu(x, approximate=approximate)
        return _applied(elementwise.gelu, x)

    def gelu_pull(self, g: Any, x: Any, *, approximate: str) -> Any:
        """g·(Φ(x) + x·φ(x)); a kernel for the approximation by tanh."""
        if approximate != "tanh" or not _take_both(g, x, _SINGLE):
            return super().gelu_pull(g, x, approximate=approximate)
        return _applied(elementwise.gelu_pull, g, x)

    # ---------------------------------------------------------------------------------- softmax

    def softmax(self, x: Any, *, axis: Any) -> Any:
        """Rows in blocks where `axis` are the last axes."""
        width = _width(x, axis) if _takes(x, _EITHER) else 0
        if not width:
            return super().softmax(x, axis=axis)
        return _over_rows(softmax.softmax, width, x)

    def log_softmax(self, x: Any, *, axis: Any) -> Any:
        """Rows in blocks where `axis` are the last axes."""
        width = _width(x, axis) if _takes(x, _EITHER) else 0
        if not width:
            return super().log_softmax(x, axis=axis)
        return _over_rows(softmax.log_softmax, width, x)

    def softmax_pull(self, g: Any, out: Any, *, axis: Any) -> Any:
        """out·(g - Σ g·out), row by row where `axis` are the last axes."""
        width = _width(out, axis) if _take_both(g, out, _EITHER) else 0
        if not width:
            return super().softmax_pull(g, out, axis=axis)
        return _over_rows(softmax.softmax_pull, width, g, out)

    def log_softmax_pull(self, g: Any, out: Any, *, axis: Any) -> Any:
        """g - e^out·Σ g, row by row where `axis` are the last axes."""
        width = _width(out, axis) if _take_both(g, out, _EITHER) else 0
        if not width:
            return super().log_softmax_pull(g, out, axis=axis)
        return _over_rows(softmax.log_softmax_pull, width, g, out)

    def class_cross_entropy(self, x: Any, target: Any, *, reduction: str) -> tuple[Any, Any]:
        """Loss and slope of all rows in one pass."""
        if x.ndim != 2 or not _takes(x, _EITHER) or not target.flags.carray:
            return super().class_cross_entropy(x, target, reduction=reduction)
        slope = memory.empty(x.shape, x.dtype)
        losses = np.empty(x.shape[0], x.dtype)
        weight = 1 / x.shape[0] if reduction == "mean" else 1.0
        softmax.cross_entropy(4 * x.size, x, target, losses, slope, weight)
        return self.reduced_loss(losses, reduction=reduction), slope


def _over_rows(driver: Driver, width: int, *arrays: Any) -> Any:
    """What a driver makes of arrays of one shape, seen as rows, in a new one."""
    out = memory.empty(arrays[0].shape, arrays[0].dtype)
    driver(4 * out.size, *[a.reshape(-1, width) for a in (*arrays, out)])
    return out
