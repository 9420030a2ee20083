"""Comparing values: with a reference, between backends."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import grad
from ..backend import Backend, resolve_backend
from ..tensor import Tensor
from .errors import CheckError

Array = np.ndarray[Any, Any]


def host(x: Tensor) -> Array:
    """A copy of a tensor's values on the host."""
    return np.array(x._backend.to_numpy(x._data))


def flatten(value: Any) -> list[Any]:
    """The results of a function as a flat list: one value, or nested tuples and lists."""
    if isinstance(value, tuple | list):
        return [leaf for item in value for leaf in flatten(item)]
    return [value]


def tensors_of(what: str, value: Any) -> list[Tensor]:
    """`flatten`, for a function that must return tensors."""
    results = flatten(value)
    for i, y in enumerate(results):
        if not isinstance(y, Tensor):
            raise TypeError(f"{what}: result {i} is no tensor but {type(y).__name__}")
    return results


def name_of(fn: Callable[..., Any]) -> str:
    """What to call a function in a message."""
    inner = getattr(fn, "func", fn)
    return getattr(inner, "__name__", type(inner).__name__)


def require_close(what: str, got: Array, expected: Array, *, rtol: float, atol: float) -> None:
    """Raise CheckError unless |got - expected| ≤ atol + rtol·|expected|; names the worst element.

    NaN equals NaN and an infinity equals itself; integers and booleans are compared exactly.
    """
    if got.shape != expected.shape:
        raise CheckError(f"{what}: shape {got.shape}, expected {expected.shape}")
    if expected.dtype.kind in "biu" or got.dtype.kind in "biu":
        excess = np.where(got == expected, 0.0, np.inf)
    else:
        excess = _excess(got, expected, rtol, atol)
    if not (excess > 0).any():
        return
    index = tuple(int(i) for i in np.unravel_index(np.argmax(excess), excess.shape))
    raise CheckError(
        f"{what}: at {index} got {got[index]}, expected {expected[index]} "
        f"({int((excess > 0).sum())} of {excess.size} elements differ; "
        f"allowed: {atol:.3g} + {rtol:.3g}·|expected|)"
    )


def _excess(got: Array, expected: Array, rtol: float, atol: float) -> Array:
    """By how much the difference exceeds what is allowed, relative to that; 0 where it does not."""
    finite = np.isfinite(got) & np.isfinite(expected)
    same = (got == expected) | (np.isnan(got) & np.isnan(expected))
    a, b = np.where(finite, got, 0), np.where(finite, expected, 0)
    allowed = atol + rtol * np.abs(b)
    ratio = np.abs(a - b) / np.where(allowed > 0, allowed, np.finfo(np.float64).tiny)
    return np.where(finite, np.where(ratio > 1, ratio, 0.0), np.where(same, 0.0, np.inf))


def draw_like(rng: np.random.Generator, x: Tensor) -> Tensor:
    """Random normal numbers of the shape, dtype and backend of `x`."""
    return Tensor(rng.standard_normal(x.shape).astype(x.dtype), backend=x._backend)


def compare_backends(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    backends: Sequence[Any],
    *,
    rtol: float = 1e-10,
    atol: float = 1e-12,
    seed: int = 0,
) -> bool:
    """Check that `fn` has the same results and first derivatives on all of `backends`.

    Args:
        fn: a function of tensors that returns a tensor or a nested tuple or list of them.
        inputs: arrays and tensors, whose values become tensors of each backend (real
            floating-point ones require a gradient); anything else is passed on as it is.
        backends: names of backends; the first one is the reference.
        rtol, atol: largest difference, relative and absolute; the defaults are for float64.
        seed: of the random cotangents.

    Returns:
        True.

    Raises:
        CheckError: a result or gradient differs; says which, where and on which backend.
        ValueError: fewer than two backends, or one that is not known.
    """
    names = [backends] if isinstance(backends, str | Backend) else list(backends)
    if len(names) < 2:
        raise ValueError(f"compare_backends: backends must be two or more, got {names}")
    inputs = [host(x) if isinstance(x, Tensor) else x for x in inputs]
    first, *others = names
    resolve_backend(first)
    expected = _values(fn, inputs, first, seed)
    for backend in others:
        resolve_backend(backend)
        for label, value in _values(fn, inputs, backend, seed).items():
            if label not in expected:
                raise CheckError(f"{name_of(fn)}: {label} is given on {backend!r} only")
            what = f"{name_of(fn)}: {label} on {backend!r} against {first!r}"
            if value.dtype != expected[label].dtype:
                raise CheckError(f"{what}: dtype {value.dtype}, expected {expected[label].dtype}")
            require_close(what, value, expected[label], rtol=rtol, atol=atol)
    return True


def _values(
    fn: Callable[..., Any], inputs: Sequence[Any], backend: Any, seed: int
) -> dict[str, Array]:
    """Results of `fn` and its gradients, by label."""
    rng = np.random.default_rng(seed)
    arguments = [
        Tensor(x, backend=backend, requires_grad=x.dtype.kind == "f")
        if isinstance(x, np.ndarray)
        else x
        for x in inputs
    ]
    results = tensors_of(name_of(fn), fn(*arguments))
    values = {f"result {i}": host(y) for i, y in enumerate(results)}
    tracked = [y for y in results if y.requires_grad]
    wrt = [(i, x) for i, x in enumerate(arguments) if isinstance(x, Tensor) and x.requires_grad]
    if tracked and wrt:
        cotangents = [draw_like(rng, y) for y in tracked]
        gradients = grad(tracked, [x for _, x in wrt], cotangents, allow_unused=True)
        for (i, _), g in zip(wrt, gradients, strict=True):
            if g is not None:
                values[f"gradient of input {i}"] = host(g)
    return values
