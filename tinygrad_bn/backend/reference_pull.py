"""Reference: derivatives that backends fuse, each written once for arrays and for tensors.

A pull takes the cotangent g of a function's result and gives that of its argument. `self` is what a
rule calls B: a backend, or the namespace of operations, by which the pull is differentiated itself.
"""

from __future__ import annotations

import math
from typing import Any


class PullReference:
    """Named after the function whose derivative they are; formulas are per element."""

    masked: Any
    sigmoid: Any
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
