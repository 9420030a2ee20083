"""Arguments to call a backend's methods with, by the method's name.

A case is a pair of positional and keyword arguments. NumPy arrays in it become arrays of the
backend under test, floating-point ones in each of its floating-point dtypes and in every memory
layout; all else is passed as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .cases_normalization import normalization_cases
from .compare import Array

Case = tuple[tuple[Any, ...], dict[str, Any]]
Cases = dict[str, list[Case]]

SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (0, 3), (3, 4), (2, 3, 5), (37, 130))

ANY_REAL = "abs negative positive square sign floor ceil trunc exp expm1 sin cos tan sinh cosh tanh"
ANY_REAL += " asinh atan isnan isinf isfinite zeros_like ones_like"
POSITIVE = "sqrt log log1p log2 log10 reciprocal"
INSIDE_ONE = "asin acos atanh"
BINARY = "add subtract multiply divide maximum minimum hypot atan2 copysign logaddexp equal"
BINARY += " not_equal less less_equal greater greater_equal"
REDUCTIONS = "sum mean max min prod"
ACTIVATIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("relu", {}),
    ("leaky_relu", {"negative_slope": 0.2}),
    ("elu", {"alpha": 1.5}),
    ("selu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("mish", {}),
    ("erf", {}),
    ("gelu", {"approximate": "none"}),
    ("gelu", {"approximate": "tanh"}),
    ("softplus", {"beta": 1.0, "threshold": 20.0}),
    ("softplus", {"beta": 2.0, "threshold": 3.0}),
)
BITS = "bitwise_and bitwise_or bitwise_xor"
LOGIC = "logical_and logical_or logical_xor"
REGULAR = frozenset(["inv", "solve", "cholesky", "pinv", "det", "slogdet", "svdvals"])
"""Not called with repeated rows: these need (or amplify errors without) a regular matrix."""


def known_cases(seed: int) -> Cases:
    """Cases for everything whose arguments can be drawn at random."""
    draw = _Draw(seed)
    found: Cases = {}
    for group in (_elementwise, _activations, _reductions, _matrices, _arrangement, _indexing):
        for name, case in group(draw):
            found.setdefault(name, []).append(case)
    return found | normalization_cases(seed)


class _Draw:
    """Random arrays."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def normal(self, *shape: int) -> Array:
        return np.asarray(self._rng.standard_normal(shape))

    def uniform(self, low: float, high: float, *shape: int) -> Array:
        return np.asarray(self._rng.uniform(low, high, shape))

    def integers(self, low: int, high: int, *shape: int) -> Array:
        return np.asarray(self._rng.integers(low, high, shape))

    def booleans(self, *shape: int) -> Array:
        return np.asarray(self._rng.random(shape) < 0.5)


Found = Iterator[tuple[str, Case]]


def _elementwise(draw: _Draw) -> Found:
    domains: dict[str, Callable[..., Array]] = {
        ANY_REAL: draw.normal,
        POSITIVE: lambda *shape: draw.uniform(0.1, 9.0, *shape),
        INSIDE_ONE: lambda *shape: draw.uniform(-0.9, 0.9, *shape),
        "acosh": lambda *shape: draw.uniform(1.1, 9.0, *shape),
        "bitwise_invert": lambda *shape: draw.integers(-9, 9, *shape),
        "logical_not": draw.booleans,
    }
    for names, values in domains.items():
        for name in names.split():
            for shape in SHAPES:
                yield name, ((values(*shape),), {})
    pairs: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    pairs = (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (5,)), ((0, 3), (3,)))
    for a, b in pairs:
        for name in BINARY.split():
            yield name, ((draw.normal(*a), draw.normal(*b)), {})
        yield "pow", ((draw.uniform(0.1, 3.0, *a), draw.normal(*b)), {})
        for name in ("floor_divide", "remainder"):
            yield name, ((draw.normal(*a), draw.uniform(0.5, 2.0, *b)), {})
        for name in BITS.split():
            yield name, ((draw.integers(-9, 9, *a), draw.integers(-9, 9, *b)), {})
        for name in LOGIC.split():
            yield name, ((draw.booleans(*a), draw.booleans(*b)), {})
        yield "where", ((draw.booleans(*a), draw.normal(*a), draw.normal(*b)), {})


def _activations(draw: _Draw) -> Found:
    for shape in SHAPES:
        for name, options in ACTIVATIONS:
            yield name, ((draw.normal(*shape),), options)
            given = 3 if name == "elu" else 2  # cotangent, argument or result, or both
            yield f"{name}_pull", (tuple([draw.normal(*shape) for _ in range(given)]), options)
        yield "tanh_pull", ((draw.normal(*shape), draw.normal(*shape)), {})
    for name in ("softmax_pull", "log_softmax_pull"):
        for axis in (0, -1):
            yield name, ((draw.normal(4, 7), draw.normal(4, 7)), {"axis": axis})


def _reductions(draw: _Draw) -> Found:
    for axis in (None, 0, -1, (0, 2)):
        for keepdims in (False, True):
            options = {"axis": axis, "keepdims": keepdims}
            for name in REDUCTIONS.split():
                yield name, ((draw.normal(2, 3, 5),), options)
            for name in ("var", "std"):
                yield name, ((draw.normal(2, 3, 5),), {**options, "correction": 1.0})
            for name in ("all", "any"):
                yield name, ((draw.booleans(2, 3, 5),), options)
            yield "logsumexp", ((9.0 * draw.normal(2, 3, 5),), options)
            if not isinstance(axis, tuple):
                for name in ("argmax", "argmin"):
                    yield name, ((draw.normal(2, 3, 5),), options)
    for name in ("sum", "prod"):
        yield name, ((draw.normal(0, 3),), {"axis": 0})
    yield "sum", ((draw.normal(200, 150),), {"axis": 0})
    for axis in (0, -1):
        for name in ("softmax", "log_softmax"):
            yield name, ((9.0 * draw.normal(4, 7),), {"axis": axis})
        for name in ("sort", "argsort"):
            for descending in (False, True):
                yield name, ((draw.normal(6, 5),), {"axis": axis, "descending": descending})
        for name in ("cumulative_sum", "cumulative_prod"):
            for initial in (False, True):
                yield name, ((draw.normal(4, 5),), {"axis": axis, "include_initial": initial})


def _matrices(draw: _Draw) -> Found:
    for a, b in (((3, 4), (4, 5)), ((2, 3, 4), (4, 5)), ((4,), (4, 5)), ((0, 4), (4, 5))):
        yield "matmul", ((draw.normal(*a), draw.normal(*b)), {})
    for batch in ((), (2,)):
        square = draw.normal(*batch, 3, 3) + 3.0 * np.eye(3)
        for name in ("inv", "det", "slogdet", "matrix_transpose", "svdvals", "pinv"):
            yield name, ((square,), {})
        yield "solve", ((square, draw.normal(*batch, 3, 2)), {})
        yield "cholesky", ((square @ np.swapaxes(square, -1, -2),), {})
        yield "diagonal", ((square,), {"offset": 1})
    for activation in (None, "relu", "sigmoid", "tanh"):
        arrays = draw.normal(5, 3), draw.normal(4, 3), draw.normal(4)
        yield "linear", (arrays, {"activation": activation})


def _arrangement(draw: _Draw) -> Found:
    x = draw.normal(2, 3, 4)
    yield "reshape", ((x, (6, 4)), {})
    yield "permute_dims", ((x, (2, 0, 1)), {})
    yield "expand_dims", ((x,), {"axis": 1})
    yield "squeeze", ((draw.normal(2, 1, 3),), {"axis": 1})
    yield "broadcast_to", ((draw.normal(3, 1), (2, 3, 4)), {})
    yield "flip", ((x,), {"axis": (0, 2)})
    yield "roll", ((x, 2), {"axis": 1})
    for name in ("tril", "triu"):
        yield name, ((draw.normal(4, 5),), {"k": 1})
    yield "clip", ((x, -0.5, 0.5), {})
    fits: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]
    fits = (((3, 4), (4,)), ((3, 4), (3, 1)), ((4,), (3, 4)), ((3, 1), (3, 4)))
    for from_shape, to_shape in (*fits, ((2, 3), ()), ((0, 3), (3,))):
        options = {"shape": to_shape, "dtype": np.dtype("float32")}
        yield "fit", ((draw.normal(*from_shape),), options)


def _indexing(draw: _Draw) -> Found:
    shape = (5, 4)
    positions, columns = np.array([4, 0, 0, -1]), np.array([1, 1, 1, 3])
    mask = np.array([True, False, True, True, False])
    keys: tuple[Any, ...] = (
        2, slice(None, None, -2), (slice(1, 4), 3), (..., None), positions,
        (positions, columns), (positions, slice(1, 3)), mask,
    )  # fmt: skip
    for key in keys:
        picked = np.empty(shape)[key].shape
        yield "getitem", ((draw.normal(*shape),), {"key": key})
        yield "scatter_add", ((draw.normal(*picked),), {"key": key, "shape": shape})
    for key in (2, (slice(1, 4), 3), np.array([4, 0, 2]), mask):
        values = draw.normal(*np.empty(shape)[key].shape)
        yield "index_put", ((draw.normal(*shape), values), {"key": key})
    yield "take", ((draw.normal(*shape), positions), {"axis": 0})
    along = draw.integers(0, 5, 3, 4)
    yield "take_along_axis", ((draw.normal(*shape), along), {"axis": 0})
    options = {"indices": along, "axis": 0, "shape": shape}
    yield "scatter_along_axis", ((draw.normal(3, 4),), options)
