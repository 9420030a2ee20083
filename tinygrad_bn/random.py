"""Random tensors: reproducible from a seed, with the same numbers on every host backend.

    random.manual_seed(0)
    x = random.normal((3, 4))

`dtype` is float32 by default; `device` is the name of a backend, None the default one; `generator`
is a local `Generator`, None the program's streams. No draw is part of a graph.

`get_state()` is plain data that JSON can hold, for checkpoints; `set_state` returns to it exactly.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

from . import dtypes
from .autograd.runtime import make
from .backend import Backend, resolve_backend
from .backend.rng import Generator, current, get_state, initial_seed, manual_seed, set_state
from .refusal import named
from .tensor import Tensor

__all__ = [
    "Generator",
    "bernoulli",
    "get_state",
    "initial_seed",
    "integers",
    "manual_seed",
    "normal",
    "permutation",
    "set_state",
    "uniform",
]

Shape = int | tuple[int, ...] | list[int]


@named
def uniform(
    shape: Shape = (),
    low: float = 0.0,
    high: float = 1.0,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers evenly distributed over [low, high).

    Rounding may give `high` itself where `low` and `high` are not 0 and 1.

    Raises:
        ValueError: a negative length in `shape`, or low > high or infinite bounds.
        TypeError: a dtype that is not real floating point, or bounds that are no numbers.
    """
    _check_numbers("uniform", low=low, high=high)
    if not (low <= high and math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"uniform: needs finite low <= high, got low={low!r}, high={high!r}")
    backend, shape, dtype = _target("uniform", shape, dtype, device)
    values = _draw(generator, backend, "uniform", shape, _drawn(dtype))
    if dtype == dtypes.float16:
        values = (values * 2048).astype("int16").astype(dtype) / dtype.type(2048)
    if (low, high) != (0, 1):
        values = values * (high - low) + low
    return _tensor(backend, values, dtype)


@named
def normal(
    shape: Shape = (),
    mean: float = 0.0,
    std: float = 1.0,
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Numbers of the normal distribution.

    Raises:
        ValueError: a negative length in `shape`, or a negative `std`.
        TypeError: a dtype that is not real floating point, `mean` or `std` that is no number.
    """
    _check_numbers("normal", mean=mean, std=std)
    if not std >= 0:
        raise ValueError(f"normal: std must be >= 0, got {std!r}")
    backend, shape, dtype = _target("normal", shape, dtype, device)
    values = _draw(generator, backend, "normal", shape, _drawn(dtype))
    if (mean, std) != (0, 1):
        values = values * std + mean
    return _tensor(backend, values, dtype)


@named
def integers(
    low: int,
    high: int | None = None,
    shape: Shape = (),
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """Integers in [low, high), int64 by default; with one bound only, in [0, low).

    Raises:
        ValueError: an empty range, or bounds that the dtype does not hold.
        TypeError: a dtype that is not of integers, or bounds that are not.
    """
    low, high = (0, low) if high is None else (low, high)
    dtype = dtypes.canonical(dtypes.DEFAULT_INT if dtype is None else dtype)
    if dtype.kind not in "iu":
        raise TypeError(f"integers: dtype must be of integers, got {dtype.name}")
    for argument, bound in (("low", low), ("high", high)):
        if not isinstance(bound, Integral):
            raise TypeError(f"integers: {argument} must be an integer, got {bound!r}")
    if not low < high:
        raise ValueError(f"integers: needs low < high, got low={low!r}, high={high!r}")
    backend = resolve_backend(device)
    try:
        values = _draw(generator, backend, "integers", low, high, _shape("integers", shape), dtype)
    except ValueError as error:
        raise ValueError(
            f"integers: [{low}, {high}) does not fit into {dtype.name}: {error}"
        ) from None
    return _tensor(backend, values, dtype)


@named
def permutation(n: int, *, device: str | None = None, generator: Generator | None = None) -> Tensor:
    """The numbers 0 … n-1 in random order, int64; ValueError for a negative n."""
    if isinstance(n, bool) or not isinstance(n, Integral) or n < 0:
        raise ValueError(f"permutation: n must be a non-negative integer, got {n!r}")
    backend = resolve_backend(device)
    return _tensor(backend, _draw(generator, backend, "permutation", int(n)), dtypes.int64)


@named
def bernoulli(
    p: float,
    shape: Shape = (),
    *,
    dtype: Any = None,
    device: str | None = None,
    generator: Generator | None = None,
) -> Tensor:
    """True with probability p, else False; with a dtype of numbers, 1 and 0.

    Raises ValueError for a p outside [0, 1] and a negative length in `shape`, TypeError for a p
    that is no number.
    """
    _check_numbers("bernoulli", p=p)
    if not 0 <= p <= 1:
        raise ValueError(f"bernoulli: p must be in [0, 1], got {p!r}")
    backend = resolve_backend(device)
    drawn = _draw(generator, backend, "uniform", _shape("bernoulli", shape), dtypes.float32)
    return _tensor(backend, drawn < p, dtypes.bool if dtype is None else dtypes.canonical(dtype))


# ------------------------------------------------------------------------------------ helpers


def _draw(generator: Generator | None, backend: Backend, method: str, *arguments: Any) -> Any:
    if generator is not None and not isinstance(generator, Generator):
        raise TypeError(
            f"{method}: generator must be a random.Generator, got {type(generator).__name__}"
        )
    return (generator or current()).draw(backend, method, *arguments)


def _target(
    name: str, shape: Shape, dtype: Any, device: str | None
) -> tuple[Backend, tuple[int, ...], dtypes.DType]:
    dtype = dtypes.canonical(dtypes.DEFAULT_FLOAT if dtype is None else dtype)
    if not dtypes.is_floating(dtype):
        raise TypeError(f"{name}: dtype must be real floating point, got {dtype.name}")
    return resolve_backend(device), _shape(name, shape), dtype


def _shape(name: str, shape: Shape) -> tuple[int, ...]:
    lengths = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if any(isinstance(n, bool) or not isinstance(n, Integral) or n < 0 for n in lengths):
        raise ValueError(f"{name}: shape must be of non-negative integers, got {shape!r}")
    return tuple([int(n) for n in lengths])


def _check_numbers(name: str, **arguments: Any) -> None:
    for argument, value in arguments.items():
        if not isinstance(value, Real):
            raise TypeError(f"{name}: {argument} must be a number, got {type(value).__name__}")


def _drawn(dtype: dtypes.DType) -> dtypes.DType:
    """What a generator draws for a dtype: float16 is rounded from float32."""
    return dtypes.float32 if dtype == dtypes.float16 else dtype


def _tensor(backend: Backend, values: Any, dtype: dtypes.DType) -> Tensor:
    return make(backend, backend.asarray(values, dtype), None)
