"""Reference: activation functions, softmax, and the kernels of losses, over `xp`."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from typing import Any

from .. import dtypes
from .error_function import DOUBLE, SINGLE, Coefficients
from .quiet import quiet
from .reference_pull import SELU_ALPHA, SELU_SCALE


def _polynomial(t: Any, coefficients: Coefficients) -> Any:
    """Horner's scheme, in the memory of the first product."""
    value = t * coefficients[-1]
    for c in coefficients[-2:0:-1]:
        value += c
        value *= t
    value += coefficients[0]
    return value


class ActivationReference:
    """Functions that the standard lacks, written in terms of it."""

    xp: Any
    arange: Any
    astype: Any
    dtype_of: Any
    from_numpy: Any
    max: Any
    sum: Any
    wrap: Any

    def quiet(self) -> AbstractContextManager[Any]:
        """A block whose results at 0, ∞ and NaN are meant: NumPy does not warn of them there."""
        return quiet()

    # ------------------------------------------------------------------------------ elementwise

    def masked(self, g: Any, mask: Any) -> Any:
        """g where the mask holds, else 0."""
        return self.xp.where(mask, g, 0.0)

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Any:
        """x limited to [min, max]; max where min > max, which the standard leaves open."""
        out = self.xp.positive(x) if min is None else self.xp.maximum(x, min)
        return out if max is None else self.xp.minimum(out, max)

    def relu(self, x: Any) -> Any:
        """max(x, 0)."""
        return self.xp.maximum(x, 0.0)

    def leaky_relu(self, x: Any, *, negative_slope: float) -> Any:
        """x where x > 0, else negative_slope·x."""
        return self.xp.where(x > 0, x, x * negative_slope)

    def elu(self, x: Any, *, alpha: float) -> Any:
        """x where x > 0, else alpha·(eˣ - 1)."""
        xp = self.xp
        return xp.where(x > 0, x, alpha * xp.expm1(xp.minimum(x, 0.0)))

    def selu(self, x: Any) -> Any:
        """SELU_SCALE·x where x > 0, else SELU_SCALE·SELU_ALPHA·(eˣ - 1)."""
        xp = self.xp
        negative = (SELU_SCALE * SELU_ALPHA) * xp.expm1(xp.minimum(x, 0.0))
        return xp.where(x > 0, SELU_SCALE * x, negative)

    def sigmoid(self, x: Any) -> Any:
        """1/(1 + e⁻ˣ); where e⁻ˣ overflows the quotient is 0, as it should be."""
        with self.quiet():
            return 1.0 / (self.xp.exp(-x) + 1.0)

    def softplus(self, x: Any, *, beta: float, threshold: float) -> Any:
        """ln(1 + e^(beta·x))/beta; x where beta·x > threshold."""
        xp = self.xp
        z = x * beta
        smooth = xp.log1p(xp.exp(-xp.abs(z)))
        smooth += xp.maximum(z, 0.0)
        smooth /= beta
        return xp.where(z > threshold, x, smooth)

    def erf(self, x: Any) -> Any:
        """2/√π·∫₀ˣ e^(-t²) dt: up to 1 by a quotient of polynomials in x², beyond by 1 - erfc."""
        xp = self.xp
        double = self.dtype_of(x) == dtypes.float64
        table, limit = (DOUBLE, 6.0) if double else (SINGLE, 4.0)
        # Half precision is computed in single; beyond the limit the result rounds to 1.
        a = self.clip(x if double else self.astype(x, "float32", copy=False), -limit, limit)
        square = a * a
        small = _polynomial(square, table["small P"])
        small /= _polynomial(square, table["small Q"])
        small *= a
        small += a
        size = xp.abs(a)
        large = _polynomial(size, table["large P"])
        large /= _polynomial(size, table["large Q"])
        large *= xp.exp(-square)
        value = xp.where(size <= 1.0, small, xp.copysign(1.0 - large, a))
        return value if double else self.astype(self.wrap(value), x.dtype, copy=False)

    def gelu(self, x: Any, *, approximate: str) -> Any:
        """x·Φ(x), Φ the normal distribution function or its approximation by tanh."""
        if approximate == "tanh":
            with self.quiet():
                value = self.xp.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * (x * x * x)))
        else:
            value = self.erf(x * math.sqrt(0.5))
        value += 1.0
        value *= 0.5
        with self.quiet():
            value *= x
        return value

    def silu(self, x: Any) -> Any:
        """x·σ(x)."""
        value = self.sigmoid(x)
        with self.quiet():
            value *= x
        return value

    def mish(self, x: Any) -> Any:
        """x·tanh(softplus(x))."""
        value = self.xp.tanh(self.softplus(x, beta=1.0, threshold=20.0))
        with self.quiet():
            value *= x
        return value

    def dropout_mask(self, generator: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
        """0 with probability p, else 1/(1 - p); the numbers come from a stream of the backend."""
        numbers = self.from_numpy(generator.uniform(shape, dtypes.float32))
        return self.astype(numbers >= p, dtype) / (1 - p)

    # ---------------------------------------------------------------------------------- softmax

    def softmax(self, x: Any, *, axis: Any) -> Any:
        """e^(x - max)/Σ e^(x - max) along an axis."""
        if 0 in x.shape:
            return self.xp.exp(x)
        with self.quiet():
            out = self.xp.exp(x - self.max(x, axis=axis, keepdims=True))
            out /= self.sum(out, axis=axis, keepdims=True)
        return out

    def log_softmax(self, x: Any, *, axis: Any) -> Any:
        """x - max - ln Σ e^(x - max) along an axis."""
        if 0 in x.shape:
            return self.xp.exp(x)
        with self.quiet():
            out = x - self.max(x, axis=axis, keepdims=True)
            out -= self.xp.log(self.sum(self.xp.exp(out), axis=axis, keepdims=True))
        return out

    def logsumexp(self, x: Any, *, axis: Any, keepdims: bool) -> Any:
        """max + ln Σ e^(x - max) over axes; -∞ over no elements."""
        xp = self.xp
        if 0 in x.shape:
            return xp.sum(x, axis=axis, keepdims=keepdims) - math.inf
        with self.quiet():
            top = self.max(x, axis=axis, keepdims=True)
            top = xp.where(xp.isfinite(top), top, 0.0)
            total = self.sum(xp.exp(x - top), axis=axis, keepdims=keepdims)
            return xp.log(total) + (top if keepdims else xp.reshape(top, total.shape))

    # ----------------------------------------------------------------------------------- losses

    def class_cross_entropy(self, x: Any, target: Any, *, reduction: str) -> tuple[Any, Any]:
        """-ln softmax(x)[target] with the classes on axis 1 (0 of a vector), and its slope.

        The slope is the gradient with respect to x for the cotangent 1. All targets are classes.
        """
        xp = self.xp
        axis = 1 if x.ndim > 1 else 0
        labels = self.arange(x.shape[axis], dtype="int64")
        labels = xp.reshape(labels, (-1,) + (1,) * (x.ndim - 1 - axis))
        hot = xp.expand_dims(target, axis=axis) == labels
        if x.shape[0] == 0:
            losses = xp.sum(x, axis=axis)
            slope = xp.exp(x)
        else:
            with self.quiet():
                shifted = x - self.max(x, axis=axis, keepdims=True)
                slope = xp.exp(shifted)
                total = self.sum(slope, axis=axis, keepdims=True)
                slope /= total
                losses = xp.log(xp.squeeze(total, axis=axis))
                losses -= xp.sum(xp.where(hot, shifted, 0.0), axis=axis)
            slope -= self.astype(hot, x.dtype)
        if reduction == "mean":
            slope /= math.prod(target.shape) or 1
        return self.reduced_loss(losses, reduction=reduction), slope

    def reduced_loss(self, losses: Any, *, reduction: str) -> Any:
        """The losses, their sum, or their mean, which is NaN for none."""
        if reduction == "none":
            return losses
        if reduction == "mean" and 0 not in losses.shape:
            return self.xp.mean(losses)
        total = self.xp.sum(losses)
        return total * math.nan if reduction == "mean" else total

    def class_slope(self, x: Any, slope: Any, *, reduction: str) -> Any:
        """The slope that `class_cross_entropy` found for the logits x."""
        return slope

    def outside(self, target: Any, classes: int) -> bool:
        """Whether any element is not in [0, classes)."""
        xp = self.xp
        return bool(xp.any(xp.logical_or(target < 0, target >= classes)))

    def binary_entropy(self, x: Any, target: Any) -> Any:
        """-(target·ln x + (1 - target)·ln(1 - x)), logarithms not below -100."""
        xp = self.xp
        with self.quiet():
            out = self.clip(xp.log1p(-x), -100.0, None)
            out *= target - 1.0
            out -= target * self.clip(xp.log(x), -100.0, None)
        return out

    def bounded_log(self, x: Any) -> Any:
        """ln x, not below -100."""
        with self.quiet():
            return self.clip(self.xp.log(x), -100.0, None)
