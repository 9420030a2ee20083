"""Activation functions, softmax and cross-entropy of the Numba backend, with their pulls.

Arrays that a kernel does not take (half precision, gaps in memory, no elements) go to NumPy's way.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_pull import SELU_ALPHA, SELU_SCALE, PullReference

from ..numpy.activation import NumPyActivation
from . import memory
from .compiler import Driver
from .kernels import elementwise, error, softmax

LEAST = 1 << 12
"""Elements below which a pass or three of NumPy's plain arithmetic are as quick as a kernel."""
_SELU = SELU_SCALE, SELU_SCALE * SELU_ALPHA


def _takes(x: Any) -> bool:
    return x.dtype.char in "fd" and x.flags.carray and x.size > 0


def _take_both(g: Any, x: Any) -> bool:
    return g.shape == x.shape and g.dtype == x.dtype and _takes(g) and _takes(x)


def _applied(driver: Driver, *arrays: Any, numbers: tuple[float, ...] = ()) -> Any:
    """What an elementwise driver makes of arrays of one shape, in a new one."""
    x = arrays[0]
    out = memory.empty(x.shape, x.dtype)
    driver(2 * x.size, *[a.reshape(-1) for a in (*arrays, out)], *numbers)
    return out


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
        if x.size < LEAST or not _takes(x):
            return super().relu(x)
        return _applied(elementwise.relu, x)

    def relu_pull(self, g: Any, out: Any) -> Any:
        """g where out is not 0, else 0."""
        if not _take_both(g, out):
            return super().relu_pull(g, out)
        return _applied(elementwise.relu_pull, g, out)

    def sigmoid(self, x: Any) -> Any:
        """1/(1 + e⁻ˣ)."""
        return _applied(elementwise.sigmoid, x) if _takes(x) else super().sigmoid(x)

    def sigmoid_pull(self, g: Any, out: Any) -> Any:
        """g·out·(1 - out)."""
        if out.size < LEAST or not _take_both(g, out):
            return super().sigmoid_pull(g, out)
        return _applied(elementwise.sigmoid_pull, g, out)

    def tanh_pull(self, g: Any, out: Any) -> Any:
        """g·(1 - out²)."""
        if out.size < LEAST or not _take_both(g, out):
            return super().tanh_pull(g, out)
        return _applied(elementwise.tanh_pull, g, out)

    def silu(self, x: Any) -> Any:
        """x·σ(x)."""
        return _applied(elementwise.silu, x) if _takes(x) else super().silu(x)

    def silu_pull(self, g: Any, x: Any) -> Any:
        """g·σ(x)·(1 + x·(1 - σ(x)))."""
        if not _take_both(g, x):
            return super().silu_pull(g, x)
        return _applied(elementwise.silu_pull, g, x)

    def gelu(self, x: Any, *, approximate: str) -> Any:
        """x·Φ(x), or its approximation by tanh."""
        if not _takes(x):
            return super().gelu(x, approximate=approximate)
        return _applied(elementwise.gelu if approximate == "tanh" else error.gelu, x)

    def gelu_pull(self, g: Any, x: Any, *, approximate: str) -> Any:
        """g·(Φ(x) + x·φ(x)), or for the approximation its own derivative."""
        if not _take_both(g, x):
            return super().gelu_pull(g, x, approximate=approximate)
        driver = elementwise.gelu_pull if approximate == "tanh" else error.gelu_pull
        return _applied(driver, g, x)

    def erf(self, x: Any) -> Any:
        """2/√π·∫₀ˣ e^(-t²) dt."""
        return _applied(error.erf, x) if _takes(x) else super().erf(x)

    def erf_pull(self, g: Any, x: Any) -> Any:
        """g·2/√π·e^(-x²)."""
        return _applied(error.erf_pull, g, x) if _take_both(g, x) else super().erf_pull(g, x)

    def mish(self, x: Any) -> Any:
        """x·tanh(softplus(x))."""
        return _applied(elementwise.mish, x) if _takes(x) else super().mish(x)

    def mish_pull(self, g: Any, x: Any) -> Any:
        """g·(t + x·σ(x)·(1 - t²)), t = tanh(softplus(x))."""
        if not _take_both(g, x):
            return super().mish_pull(g, x)
        return _applied(elementwise.mish_pull, g, x)

    # ------------------------------------------------------------------------- with numbers

    def leaky_relu(self, x: Any, *, negative_slope: float) -> Any:
        """x where x > 0, else negative_slope·x."""
        if not _takes(x):
            return super().leaky_relu(x, negative_slope=negative_slope)
        return _applied(elementwise.leaky_relu, x, numbers=(1.0, float(negative_slope)))

    def leaky_relu_pull(self, g: Any, x: Any, *, negative_slope: float) -> Any:
        """g where x > 0, else negative_slope·g."""
        if not _take_both(g, x):
            return super().leaky_relu_pull(g, x, negative_slope=negative_slope)
        return _applied(elementwise.leaky_relu_pull, g, x, numbers=(1.0, float(negative_slope)))

    def elu(self, x: Any, *, alpha: float) -> Any:
        """x where x > 0, else alpha·(eˣ - 1)."""
        if not _takes(x):
            return super().elu(x, alpha=alpha)
        return _applied(elementwise.elu, x, numbers=(1.0, float(alpha)))

    def elu_pull(self, g: Any, x: Any, out: Any, *, alpha: float) -> Any:
        """g where x > 0, else g·alpha·eˣ."""
        if not (_take_both(g, x) and _take_both(g, out)):
            return super().elu_pull(g, x, out, alpha=alpha)
        return _applied(elementwise.elu_pull, g, x, out, numbers=(1.0, float(alpha)))

    def selu(self, x: Any) -> Any:
        """SELU_SCALE·x where x > 0, else SELU_SCALE·SELU_ALPHA·(eˣ - 1)."""
        return _applied(elementwise.elu, x, numbers=_SELU) if _takes(x) else super().selu(x)

    def selu_pull(self, g: Any, out: Any) -> Any:
        """g·scale where out > 0, else g·scale·alpha·eˣ."""
        if not _take_both(g, out):
            return super().selu_pull(g, out)
        return _applied(elementwise.elu_pull, g, out, out, numbers=_SELU)

    def softplus(self, x: Any, *, beta: float, threshold: float) -> Any:
        """ln(1 + e^(beta·x))/beta; x where beta·x > threshold."""
        if not _takes(x):
            return super().softplus(x, beta=beta, threshold=threshold)
        return _applied(elementwise.softplus, x, numbers=(float(beta), float(threshold)))

    def softplus_pull(self, g: Any, x: Any, *, beta: float, threshold: float) -> Any:
        """g where beta·x > threshold, else g·σ(beta·x)."""
        if not _take_both(g, x):
            return super().softplus_pull(g, x, beta=beta, threshold=threshold)
        return _applied(elementwise.softplus_pull, g, x, numbers=(float(beta), float(threshold)))

    # ---------------------------------------------------------------------------------- softmax

    def softmax(self, x: Any, *, axis: Any) -> Any:
        """Rows in blocks where `axis` are the last axes."""
        width = _width(x, axis) if _takes(x) else 0
        if not width:
            return super().softmax(x, axis=axis)
        return _over_rows(softmax.softmax, width, x)

    def log_softmax(self, x: Any, *, axis: Any) -> Any:
        """Rows in blocks where `axis` are the last axes."""
        width = _width(x, axis) if _takes(x) else 0
        if not width:
            return super().log_softmax(x, axis=axis)
        return _over_rows(softmax.log_softmax, width, x)

    def logsumexp(self, x: Any, *, axis: Any, keepdims: bool) -> Any:
        """Rows in blocks where `axis` are the last axes."""
        width = _width(x, axis) if _takes(x) else 0
        if not width:
            return super().logsumexp(x, axis=axis, keepdims=keepdims)
        out = np.empty(x.size // width, x.dtype)
        softmax.logsumexp(3 * x.size, x.reshape(-1, width), out)
        axes = range(x.ndim) if axis is None else (axis,) if isinstance(axis, int) else axis
        lead = x.shape[: x.ndim - len(axes)]
        return out.reshape(lead + (1,) * len(axes) if keepdims else lead)

    def softmax_pull(self, g: Any, out: Any, *, axis: Any) -> Any:
        """out·(g - Σ g·out), row by row where `axis` are the last axes."""
        width = _width(out, axis) if _take_both(g, out) else 0
        if not width:
            return super().softmax_pull(g, out, axis=axis)
        return _over_rows(softmax.softmax_pull, width, g, out)

    def log_softmax_pull(self, g: Any, out: Any, *, axis: Any) -> Any:
        """g - e^out·Σ g, row by row where `axis` are the last axes."""
        width = _width(out, axis) if _take_both(g, out) else 0
        if not width:
            return super().log_softmax_pull(g, out, axis=axis)
        return _over_rows(softmax.log_softmax_pull, width, g, out)

    def class_cross_entropy(self, x: Any, target: Any, *, reduction: str) -> tuple[Any, Any]:
        """Loss and slope of all rows in one pass."""
        if x.ndim != 2 or not _takes(x) or not target.flags.carray:
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
