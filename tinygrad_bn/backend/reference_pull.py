"""Reference: derivatives that backends fuse, each written once for arrays and for tensors.

A pull takes the cotangent g of a function's result and gives that of its argument. `self` is what a
rule calls B: a backend, or the namespace of operations, by which the pull is differentiated itself.
"""

from __future__ import annotations

import math
from typing import Any

SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805


class PullReference:
    """Named after the function whose derivative they are; formulas are per element."""

    masked: Any
    where: Any
    sigmoid: Any
    softplus: Any
    tanh: Any
    erf: Any
    exp: Any
    clip: Any
    sum: Any

    def scaled(self, a: Any, factor: Any) -> Any:
        """a·factor, a itself where that is allowed and the factor is 1, as a loss's is."""
        return a * factor

    def sigmoid_pull(self, g: Any, out: Any) -> Any:
        """g·out·(1 - out)."""
        return g * (out * (1 - out))

    def tanh_pull(self, g: Any, out: Any) -> Any:
        """g·(1 - out²)."""
        return g * (1 - out * out)

    def relu_pull(self, g: Any, out: Any) -> Any:
        """g where out is not 0 (NaN is not), else 0."""
        return self.masked(g, out != 0)

    def leaky_relu_pull(self, g: Any, x: Any, *, negative_slope: float) -> Any:
        """g where x > 0, else negative_slope·g."""
        return self.where(x > 0, g, g * negative_slope)

    def elu_pull(self, g: Any, x: Any, out: Any, *, alpha: float) -> Any:
        """g where x > 0, else g·alpha·eˣ."""
        return self.where(x > 0, g, g * (out + alpha))

    def selu_pull(self, g: Any, out: Any) -> Any:
        """g·scale where x > 0, which is where out is, else g·scale·alpha·eˣ."""
        return self.where(out > 0, g * SELU_SCALE, g * (out + SELU_SCALE * SELU_ALPHA))

    def softplus_pull(self, g: Any, x: Any, *, beta: float, threshold: float) -> Any:
        """g where beta·x > threshold, else g·σ(beta·x)."""
        z = x * beta
        return self.where(z > threshold, g, g * self.sigmoid(z))

    def mish_pull(self, g: Any, x: Any) -> Any:
        """g·(t + x·σ(x)·(1 - t²)), t = tanh(softplus(x))."""
        t = self.tanh(self.softplus(x, beta=1.0, threshold=20.0))
        return g * (t + x * self.sigmoid(x) * (1 - t * t))

    def erf_pull(self, g: Any, x: Any) -> Any:
        """g·2/√π·e^(-x²)."""
        _, e = bell(self, x * math.sqrt(2))
        return g * (e * (2 / math.sqrt(math.pi)))

    def silu_pull(self, g: Any, x: Any) -> Any:
        """g·σ(x)·(1 + x·(1 - σ(x)))."""
        s = self.sigmoid(x)
        return g * (s * (1 + x * (1 - s)))

    def gelu_pull(self, g: Any, x: Any, *, approximate: str) -> Any:
        """g·(Φ(x) + x·φ(x)), φ the density; for the approximation of Φ, its own derivative."""
        z, e = bell(self, x)
        if approximate == "tanh":
            c, square = math.sqrt(2 / math.pi), z * z
            t = self.tanh(c * (z + 0.044715 * (z * square)))
            slope = c * (1 + 3 * 0.044715 * square)
            return g * (0.5 * (1 + t) + (0.5 * z) * (1 - t * t) * slope)
        density = e * (1 / math.sqrt(2 * math.pi))
        return g * (0.5 * (1 + self.erf(z * math.sqrt(0.5))) + z * density)

    def softmax_pull(self, g: Any, out: Any, *, axis: Any) -> Any:
        """out·(g - Σ g·out)."""
        return out * (g - self.sum(g * out, axis=axis, keepdims=True))

    def log_softmax_pull(self, g: Any, out: Any, *, axis: Any) -> Any:
        """g - e^out·Σ g."""
        return g - self.exp(out) * self.sum(g, axis=axis, keepdims=True)


def bell(B: Any, x: Any) -> tuple[Any, Any]:
    """x limited to where e^(-x²/2) is not 0, and e^(-x²/2): neither overflows."""
    z = B.clip(x, -40.0, 40.0)
    return z, B.exp(-0.5 * (z * z))
