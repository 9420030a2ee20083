"""Initial values, written into a tensor in place and returned with it; PyTorch's names.

Numbers come from the random stream of the tensor's backend, so `manual_seed` fixes them. "Fan in"
and "fan out" of a weight (out, in, *kernel) are in·|kernel| and out·|kernel|.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

from ..backend import rng
from ..dtypes import float32, float64, is_floating
from ..tensor import Tensor

T = TypeVar("T", bound=Tensor)

__all__ = [
    "calculate_gain",
    "constant_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5 / 3,
    "relu": math.sqrt(2),
    "selu": 3 / 4,
}


def _check(caller: str, tensor: Any, least_axes: int = 0) -> None:
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{caller}: needs a Tensor, got {type(tensor).__name__}")
    if tensor.ndim < least_axes:
        raise ValueError(f"{caller}: needs two or more axes, got shape {tensor.shape}")


def _draw(caller: str, tensor: Tensor, kind: str, shape: tuple[int, ...] | None = None) -> Any:
    """A raw array of random numbers ('uniform' in [0, 1) or 'normal') of the tensor's dtype."""
    _check(caller, tensor)
    if not is_floating(tensor.dtype):
        raise TypeError(f"{caller}: needs a floating-point tensor, got dtype {tensor.dtype.name}")
    backend = tensor._backend
    drawn = float64 if tensor.dtype == float64 else float32
    numbers = getattr(rng.stream(backend), kind)(tensor.shape if shape is None else shape, drawn)
    return backend.astype(backend.from_numpy(numbers), tensor.dtype, copy=False)


def constant_(tensor: T, val: float) -> T:
    """Every element `val`."""
    _check("constant_", tensor)
    return tensor.assign(val)


def zeros_(tensor: T) -> T:
    """Every element 0."""
    _check("zeros_", tensor)
    return tensor.assign(0)


def ones_(tensor: T) -> T:
    """Every element 1."""
    _check("ones_", tensor)
    return tensor.assign(1)


def eye_(tensor: T) -> T:
    """Ones on the diagonal of a matrix, zeros elsewhere; ValueError unless it has two axes."""
    _check("eye_", tensor)
    if tensor.ndim != 2:
        raise ValueError(f"eye_: needs two axes, got shape {tensor.shape}")
    values = tensor._backend.eye(*tensor.shape, dtype=tensor.dtype)
    tensor._write(..., values)
    return tensor


def uniform_(tensor: T, a: float = 0.0, b: float = 1.0) -> T:
    """The uniform distribution on [a, b); ValueError if a > b."""
    if not a <= b:
        raise ValueError(f"uniform_: a must be <= b, got {a} and {b}")
    values = _draw("uniform_", tensor, "uniform") * (b - a) + a
    tensor._write(..., values)
    return tensor


def normal_(tensor: T, mean: float = 0.0, std: float = 1.0) -> T:
    """The normal distribution; ValueError if std < 0."""
    if not std >= 0:
        raise ValueError(f"normal_: std must be >= 0, got {std}")
    values = _draw("normal_", tensor, "normal") * std + mean
    tensor._write(..., values)
    return tensor


def trunc_normal_(
    tensor: T, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0
) -> T:
    """The normal distribution, what falls outside [a, b] drawn again.

    Raises ValueError if std <= 0, a >= b, or less than 1 % of the distribution lies in [a, b].
    """
    if not std > 0:
        raise ValueError(f"trunc_normal_: std must be > 0, got {std}")
    low, high = (a - mean) / std, (b - mean) / std
    mass = (math.erf(high / math.sqrt(2)) - math.erf(low / math.sqrt(2))) / 2
    if not mass >= 0.01:
        raise ValueError(
            f"trunc_normal_: [a, b] must hold at least 1 % of the distribution, got [{a}, {b}] "
            f"for mean {mean} and std {std}"
        )
    backend = tensor._backend
    z = _draw("trunc_normal_", tensor, "normal")
    while backend.any(outside := (z < low) | (z > high)):
        z = backend.where(outside, _draw("trunc_normal_", tensor, "normal"), z)
    # Scaling rounds: without the clip a value may end a rounding error outside.
    tensor._write(..., backend.clip(z * std + mean, a, b))
    return tensor


def xavier_uniform_(tensor: T, gain: float = 1.0) -> T:
    """U(-a, a), a = gain·√(6/(fan_in + fan_out)).   Source: Glorot and Bengio, 2010."""
    a = gain * math.sqrt(6 / max(sum(_fans("xavier_uniform_", tensor)), 1))
    return uniform_(tensor, -a, a)


def xavier_normal_(tensor: T, gain: float = 1.0) -> T:
    """N(0, σ²), σ = gain·√(2/(fan_in + fan_out)).   Source: Glorot and Bengio, 2010."""
    std = gain * math.sqrt(2 / max(sum(_fans("xavier_normal_", tensor)), 1))
    return normal_(tensor, 0.0, std)


def kaiming_uniform_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> T:
    """U(-b, b), b = gain·√(3/fan); `a` is the slope of leaky_relu.   Source: He et al., 2015."""
    std = _kaiming_std("kaiming_uniform_", tensor, a, mode, nonlinearity)
    return uniform_(tensor, -math.sqrt(3) * std, math.sqrt(3) * std)


def kaiming_normal_(
    tensor: T, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu"
) -> T:
    """N(0, σ²), σ = gain/√fan; `a` is the slope of leaky_relu.   Source: He et al., 2015."""
    std = _kaiming_std("kaiming_normal_", tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, std)


def orthogonal_(tensor: T, gain: float = 1.0) -> T:
    """Rows (or columns, if there are more rows) orthonormal times `gain`; axes after the first
    count as columns. ValueError for fewer than two axes.   Source: Saxe et al., 2013."""
    _check("orthogonal_", tensor, least_axes=2)
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    backend = tensor._backend
    shape = (max(rows, columns), min(rows, columns))
    normal = _draw("orthogonal_", tensor, "normal", shape)
    q, r = backend.qr(
        normal if normal.dtype == backend.native(float64) else backend.astype(normal, float32)
    )
    # The signs of R's diagonal make the distribution uniform over the orthogonal matrices.
    q = q * backend.expand_dims(backend.sign(backend.diagonal(r)), axis=0)
    q = q if rows >= columns else backend.matrix_transpose(q)
    tensor._write(..., backend.astype(backend.reshape(q * gain, tensor.shape), tensor.dtype))
    return tensor


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor that keeps the variance through a nonlinearity, as PyTorch has it.

    `param` is the negative slope of leaky_relu, 0.01 if not given.
    Raises ValueError for an unknown name.
    """
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in _GAINS:
        known = ", ".join([*_GAINS, "leaky_relu"])
        raise ValueError(
            f"calculate_gain: nonlinearity must be one of {known}, got {nonlinearity!r}"
        )
    return _GAINS[nonlinearity]


def _kaiming_std(caller: str, tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    if mode not in ("fan_in", "fan_out"):
        raise ValueError(f"{caller}: mode must be 'fan_in' or 'fan_out', got {mode!r}")
    fan = _fans(caller, tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(max(fan, 1))


def _fans(caller: str, tensor: Tensor) -> tuple[int, int]:
    _check(caller, tensor, least_axes=2)
    kernel = math.prod(tensor.shape[2:])
    return tensor.shape[1] * kernel, tensor.shape[0] * kernel
