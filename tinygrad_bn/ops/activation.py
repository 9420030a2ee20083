"""Activation functions: elementwise, of floating-point tensors.

Names and defaults are PyTorch's. Infinities give the limits that the formulas give in floating
point (as in PyTorch, `silu(-∞)` is NaN); NaN stays NaN. All raise TypeError for integers.
"""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..refusal import check_number

__all__ = [
    "elu",
    "erf",
    "gelu",
    "leaky_relu",
    "mish",
    "relu",
    "selu",
    "sigmoid",
    "silu",
    "softplus",
]


def require_floating(B: Any, name: str, x: Any, argument: str = "x") -> None:
    """TypeError unless the raw array x is of real floating-point numbers."""
    if not hasattr(x, "dtype"):
        raise TypeError(f"{name}: {argument} must be a tensor, got {x!r}")
    if x.dtype is B.usual:  # real floating point
        return
    dtype = B.dtype_of(x)
    if dtype.kind != "f":
        raise TypeError(f"{name}: {argument} must be real floating point, got dtype {dtype.name}")


@primitive(x=lambda B, g, out: B.sigmoid_pull(g, out))
def sigmoid(B: Any, x: Any, /) -> Any:
    """σ(x) = 1/(1 + e⁻ˣ), without overflow.   d/dx = g·out·(1 - out)."""
    require_floating(B, "sigmoid", x)
    return B.sigmoid(x)


@primitive(x=lambda B, g, out: B.relu_pull(g, out))
def relu(B: Any, x: Any, /) -> Any:
    """max(x, 0).   d/dx = g where x > 0 (or NaN), else 0, also at x = 0."""
    require_floating(B, "relu", x)
    return B.relu(x)


@primitive(x=lambda B, g, x, negative_slope: B.leaky_relu_pull(g, x, negative_slope=negative_slope))
def leaky_relu(B: Any, x: Any, /, negative_slope: float = 0.01) -> Any:
    """x where x > 0, else negative_slope·x.   d/dx = g where x > 0, else negative_slope·g."""
    require_floating(B, "leaky_relu", x)
    check_number("leaky_relu", "negative_slope", negative_slope)
    return B.leaky_relu(x, negative_slope=negative_slope)


@primitive(x=lambda B, g, x, out, alpha: B.elu_pull(g, x, out, alpha=alpha))
def elu(B: Any, x: Any, /, alpha: float = 1.0) -> Any:
    """x where x > 0, else alpha·(eˣ - 1).   d/dx = g where x > 0, else g·alpha·eˣ.

    Source: Clevert et al., "Fast and Accurate Deep Network Learning by ELUs", 2016.
    """
    require_floating(B, "elu", x)
    check_number("elu", "alpha", alpha)
    return B.elu(x, alpha=alpha)


@primitive(x=lambda B, g, out: B.selu_pull(g, out))
def selu(B: Any, x: Any, /) -> Any:
    """scale·x where x > 0, else scale·alpha·(eˣ - 1), with the two constants of the paper.

    d/dx = g·scale where x > 0, else g·scale·alpha·eˣ; at 0 the latter.

    Source: Klambauer et al., "Self-Normalizing Neural Networks", 2017.
    """
    require_floating(B, "selu", x)
    return B.selu(x)


@primitive(x=lambda B, g, x: B.silu_pull(g, x))
def silu(B: Any, x: Any, /) -> Any:
    """x·σ(x), also called swish.   d/dx = g·σ(x)·(1 + x·(1 - σ(x)))."""
    require_floating(B, "silu", x)
    return B.silu(x)


@primitive(x=lambda B, g, x: B.mish_pull(g, x))
def mish(B: Any, x: Any, /) -> Any:
    """x·tanh(softplus(x)).   d/dx = g·(t + x·σ(x)·(1 - t²)), t = tanh(softplus(x)).

    Source: Misra, "Mish: A Self Regularized Non-Monotonic Activation Function", 2019.
    """
    require_floating(B, "mish", x)
    return B.mish(x)


@primitive(x=lambda B, g, x, beta, threshold: B.softplus_pull(g, x, beta=beta, threshold=threshold))
def softplus(B: Any, x: Any, /, beta: float = 1.0, threshold: float = 20.0) -> Any:
    """ln(1 + e^(beta·x))/beta, and x itself where beta·x > threshold.

    d/dx = g·σ(beta·x), and g where beta·x > threshold.

    Raises ValueError if beta is 0.
    """
    require_floating(B, "softplus", x)
    check_number("softplus", "beta", beta)
    check_number("softplus", "threshold", threshold)
    if beta == 0:
        raise ValueError(f"softplus: beta must not be 0, got {beta}")
    return B.softplus(x, beta=beta, threshold=threshold)


@primitive(x=lambda B, g, x: B.erf_pull(g, x))
def erf(B: Any, x: Any, /) -> Any:
    """2/√π·∫₀ˣ e^(-t²) dt, to the precision of the dtype.   d/dx = g·2/√π·e^(-x²)."""
    require_floating(B, "erf", x)
    return B.erf(x)


@primitive(x=lambda B, g, x, approximate: B.gelu_pull(g, x, approximate=approximate))
def gelu(B: Any, x: Any, /, approximate: str = "none") -> Any:
    """x·Φ(x), Φ the distribution function of the standard normal.

    approximate="tanh": Φ(x) ≈ (1 + tanh(√(2/π)·(x + 0.044715·x³)))/2.
    d/dx = g·(Φ(x) + x·φ(x)), φ the density; of the approximation, its own derivative.

    Raises ValueError for another `approximate` than "none" and "tanh".
    Source: Hendrycks and Gimpel, "Gaussian Error Linear Units", 2016.
    """
    require_floating(B, "gelu", x)
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return B.gelu(x, approximate=approximate)
