"""Activation functions as modules."""

from __future__ import annotations

from typing import Any

from . import functional as F
from .module import Module


class Identity(Module):
    """x, unchanged."""

    def forward(self, x: Any) -> Any:
        """x."""
        return x


class Sigmoid(Module):
    """1/(1 + e⁻ˣ), elementwise."""

    def forward(self, x: Any) -> Any:
        """σ(x)."""
        return F.sigmoid(x)


class Tanh(Module):
    """tanh x, elementwise."""

    def forward(self, x: Any) -> Any:
        """tanh x."""
        return F.tanh(x)


class ReLU(Module):
    """max(x, 0), elementwise."""

    def forward(self, x: Any) -> Any:
        """max(x, 0)."""
        return F.relu(x)


class LeakyReLU(Module):
    """x where it is positive, negative_slope·x elsewhere."""

    def __init__(self, negative_slope: float = 0.01) -> None:
        super().__init__()
        self.negative_slope = negative_slope

    def forward(self, x: Any) -> Any:
        """leaky_relu(x)."""
        return F.leaky_relu(x, negative_slope=self.negative_slope)

    def extra_repr(self) -> str:
        """The slope."""
        return f"negative_slope={self.negative_slope}"


class ELU(Module):
    """x where it is positive, alpha·(eˣ - 1) elsewhere.   Source: Clevert et al., 2015."""

    def __init__(self, alpha: float = 1.0) -> None:
        super().__init__()
        self.alpha = alpha

    def forward(self, x: Any) -> Any:
        """elu(x)."""
        return F.elu(x, alpha=self.alpha)

    def extra_repr(self) -> str:
        """The height."""
        return f"alpha={self.alpha}"


class SELU(Module):
    """λ·elu(x, α) with the constants that keep mean 0 and variance 1.

    Source: Klambauer et al., 2017.
    """

    def forward(self, x: Any) -> Any:
        """selu(x)."""
        return F.selu(x)


class GELU(Module):
    """x·Φ(x), Φ the normal distribution; approximate="tanh" for the usual approximation.

    Source: Hendrycks and Gimpel, 2016.
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        """gelu(x)."""
        return F.gelu(x, approximate=self.approximate)

    def extra_repr(self) -> str:
        """Which form."""
        return f"approximate={self.approximate!r}"


class SiLU(Module):
    """x·σ(x), elementwise; also called swish."""

    def forward(self, x: Any) -> Any:
        """silu(x)."""
        return F.silu(x)


class Mish(Module):
    """x·tanh(softplus(x)), elementwise.   Source: Misra, 2019."""

    def forward(self, x: Any) -> Any:
        """mish(x)."""
        return F.mish(x)


class Softplus(Module):
    """ln(1 + e^(beta·x))/beta, and x itself where beta·x > threshold."""

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, x: Any) -> Any:
        """softplus(x)."""
        return F.softplus(x, beta=self.beta, threshold=self.threshold)

    def extra_repr(self) -> str:
        """Its sharpness and where it becomes linear."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softmax(Module):
    """eˣ/Σeˣ over axis `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """softmax(x)."""
        return F.softmax(x, axis=self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class LogSoftmax(Module):
    """x - ln Σeˣ over axis `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """log_softmax(x)."""
        return F.log_softmax(x, axis=self.dim)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"
