"""Activation functions without the error function, and their pulls: a step for each; see `maps`.

All serve both precisions: a constant is cast by `type(one)`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, exact, kernel
from .exponential import exp, expm1, tanh
from .logarithm import log1p
from .maps import BLOCK, Examples, map_one, map_one_by, map_two, map_two_by

# --------------------------------------------------------------------------------- piecewise


@kernel
def _relu(x: Any, one: Any) -> Any:
    zero = one - one
    return zero if x <= zero else x  # this way round: NaN stays


@kernel
def _relu_pull(g: Any, out: Any, one: Any) -> Any:
    zero = one - one
    return zero if out == zero else g


@kernel
def _leaky_relu(x: Any, above: Any, below: Any, one: Any) -> Any:
    """above·x where x > 0, else below·x."""
    return x * (above if x > one - one else below)


@kernel
def _leaky_relu_pull(g: Any, x: Any, above: Any, below: Any, one: Any) -> Any:
    return g * (above if x > one - one else below)


@kernel
def _elu(x: Any, above: Any, below: Any, one: Any) -> Any:
    """above·x where x > 0, else below·(e^x - 1)."""
    zero = one - one
    curve = below * expm1(zero if x > zero else x)
    return above * x if x > zero else curve


@kernel
def _run_elu_pull(g: Any, x: Any, out: Any, y: Any, above: Any, below: Any) -> None:
    zero = x.dtype.type(0)
    for i in range(x.size):
        y[i] = g[i] * (above if x[i] > zero else out[i] + below)


@driver
def elu_pull(g: Any, x: Any, out: Any, y: Any, above: Any, below: Any) -> None:
    """y = g·above where x > 0, else g·(out + below); x and out may be one array."""
    number = x.dtype.type
    for block in prange((x.size + BLOCK - 1) // BLOCK):
        i = block * BLOCK
        j = i + BLOCK
        _run_elu_pull(g[i:j], x[i:j], out[i:j], y[i:j], number(above), number(below))


@elu_pull.examples
def _(rng: Any, dtype: Any) -> Examples:
    g, x, out = rng.standard_normal((3, 3 * BLOCK + 5)).astype(dtype)
    yield g, x, out, np.zeros_like(x), 1.5, 0.75


# ------------------------------------------------------------------------------------ sigmoid


@kernel
def _sigmoid(x: Any, one: Any) -> Any:
    return one / (one + exp(-x))


@kernel
def _sigmoid_pull(g: Any, out: Any, one: Any) -> Any:
    return g * (out * (one - out))


@kernel
def _silu(x: Any, one: Any) -> Any:
    return x * (one / (one + exp(-x)))


@kernel
def _silu_pull(g: Any, x: Any, one: Any) -> Any:
    s = one / (one + exp(-x))
    return g * (s * (one + x * (one - s)))


@kernel
def _softplus(x: Any, beta: Any, threshold: Any, one: Any) -> Any:
    zero = one - one
    z = x * beta
    smooth = (log1p(exp(-abs(z))) + (zero if z < zero else z)) / beta
    return x if z > threshold else smooth


@kernel
def _softplus_pull(g: Any, x: Any, beta: Any, threshold: Any, one: Any) -> Any:
    z = x * beta
    return g * (one if z > threshold else one / (one + exp(-z)))


# --------------------------------------------------------------------------------------- tanh


@kernel
def _tanh_pull(g: Any, out: Any, one: Any) -> Any:
    return g * (one - out * out)


@kernel
def _curve(x: Any, one: Any) -> Any:
    """n = (1 + e^x)² - 1, by which tanh(ln(1 + e^x)) = n/(n + 2); x beyond 20 counts as 20."""
    limit = type(one)(20)
    w = exp(limit if x > limit else x)
    return w, w * (w + one + one)


@exact  # else x·(n/(n + 2)) may become x·n/(n + 2), and x·n overflow
def _mish(x: Any, one: Any) -> Any:
    _, n = _curve(x, one)
    return x * (n / (n + one + one))


@exact
def _mish_pull(g: Any, x: Any, one: Any) -> Any:
    # 1 - t² = 4·(1 + w)²/(n + 2)² and σ(x) = w/(1 + w)
    w, n = _curve(x, one)
    two = one + one
    inverse = one / (n + two)
    bend = (two * inverse) * (two * inverse) * (w * (one + w))
    return g * (n * inverse + x * (one - one if x > type(one)(20) else bend))


_ROOT, _CUBE = (2 / np.pi) ** 0.5, 0.044715


@kernel
def _gelu(x: Any, one: Any) -> Any:
    number = type(one)
    t = tanh(number(_ROOT) * (x + number(_CUBE) * (x * x * x)), one)
    return number(0.5) * (one + t) * x


@kernel
def _gelu_pull(g: Any, x: Any, one: Any) -> Any:
    number = type(one)
    far, half, root = number(40), number(0.5), number(_ROOT)
    z = far if x > far else (-far if x < -far else x)
    q = z * z
    t = tanh(root * (z + number(_CUBE) * (z * q)), one)
    slope = root * (one + number(3 * _CUBE) * q)
    return g * (half * (one + t) + (half * z) * (one - t * t) * slope)


relu, relu_pull = map_one(_relu), map_two(_relu_pull)
leaky_relu, leaky_relu_pull = map_one_by(_leaky_relu), map_two_by(_leaky_relu_pull)
elu = map_one_by(_elu)
sigmoid, sigmoid_pull = map_one(_sigmoid), map_two(_sigmoid_pull)
silu, silu_pull = map_one(_silu), map_two(_silu_pull)
softplus, softplus_pull = map_one_by(_softplus), map_two_by(_softplus_pull)
tanh_pull = map_two(_tanh_pull)
mish, mish_pull = map_one(_mish), map_two(_mish_pull)
gelu, gelu_pull = map_one(_gelu), map_two(_gelu_pull)
