"""What has no derivative, against PyTorch: truth values, bits, positions, counts, new tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg

from .common import Case, compare, drawn, dtypes, ids, seeds, shapes

EXACT = (0.0, 0.0)


def _same(case: Case, arrays: list[Any], seed: int, tolerance: tuple[float, float] = EXACT) -> None:
    compare(case.ours, case.theirs, arrays, seed=seed, gradients=False, tolerance=tolerance)


def _halves(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Any:
    """Multiples of a half: many are equal, many zero."""
    return (rng.integers(-4, 5, shape) / 2).astype(dtype)


COMPARISONS = [
    *[
        Case(name, getattr(tg, name), getattr(torch, name))
        for name in ("not_equal", "less", "less_equal", "greater", "greater_equal")
    ],
    Case("equal", tg.equal, torch.eq),
    Case("nextafter", tg.nextafter, torch.nextafter),
]


@pytest.mark.parametrize("case", COMPARISONS, ids=ids(COMPARISONS))
@drawn
@given(shape=shapes(min_dims=1), dtype=dtypes, seed=seeds)
def test_comparison(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    _same(case, [_halves(rng, shape, dtype), _halves(rng, shape[-1:], dtype)], seed)


CLASSIFICATION = [
    Case(name, getattr(tg, name), getattr(torch, name))
    for name in ("isfinite", "isinf", "isnan", "signbit")
]


@pytest.mark.parametrize("case", CLASSIFICATION, ids=ids(CLASSIFICATION))
@drawn
@given(shape=shapes(), dtype=dtypes, seed=seeds)
def test_classification(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    values = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5, -2.0]
    _same(case, [np.random.default_rng(seed).choice(values, shape).astype(dtype)], seed)


LOGICAL = [
    Case(name, getattr(tg, name), getattr(torch, name))
    for name in ("logical_and", "logical_or", "logical_xor")
]


@pytest.mark.parametrize("case", LOGICAL, ids=ids(LOGICAL))
@drawn
@given(shape=shapes(), seed=seeds)
def test_logical(case: Case, shape: tuple[int, ...], seed: int) -> None:
    rng = np.random.default_rng(seed)
    _same(case, [rng.random(shape) < 0.5, rng.random(shape[1:]) < 0.5], seed)


TRUTHS = [
    Case("logical_not", tg.logical_not, torch.logical_not),
    Case("all", tg.all, torch.all),
    Case("any", tg.any, torch.any),
    Case("all of an axis", lambda x: tg.all(x, axis=-1), lambda x: torch.all(x, dim=-1)),
    Case(
        "any of an axis",
        lambda x: tg.any(x, axis=0, keepdims=True),
        lambda x: torch.any(x, dim=0, keepdim=True),
    ),
]


@pytest.mark.parametrize("case", TRUTHS, ids=ids(TRUTHS))
@drawn
@given(shape=shapes(min_dims=1), share=st.sampled_from([0.1, 0.5, 0.9]), seed=seeds)
def test_truth(case: Case, shape: tuple[int, ...], share: float, seed: int) -> None:
    _same(case, [np.random.default_rng(seed).random(shape) < share], seed)


BITWISE = [
    *[
        Case(name, getattr(tg, name), getattr(torch, name))
        for name in ("bitwise_and", "bitwise_or", "bitwise_xor")
    ],
    *[
        Case(name, getattr(tg, name), getattr(torch, name), 0, 6)
        for name in ("bitwise_left_shift", "bitwise_right_shift")
    ],
    Case("bitwise_invert", lambda x, y: tg.bitwise_invert(x), lambda x, y: torch.bitwise_not(x)),
]


@pytest.mark.parametrize("case", BITWISE, ids=ids(BITWISE))
@drawn
@given(shape=shapes(), dtype=st.sampled_from(["uint8", "int8", "int32", "int64"]), seed=seeds)
def test_bitwise(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    x = rng.integers(info.min, info.max, shape, dtype, endpoint=True)
    shift = case.low == 0
    y = rng.integers(0, 6, shape) if shift else rng.integers(info.min, info.max, shape, dtype)
    _same(case, [x, y.astype(dtype)], seed)


def _flat_at_firsts(x: Any) -> Any:
    return tg.reshape(x, (-1,))[tg.unique_all(x).indices]


COMPLEX = [
    Case("conj", tg.conj, lambda x: torch.conj(x).resolve_conj()),
    Case("real", tg.real, torch.real),
    Case("imag", tg.imag, torch.imag),
]


@pytest.mark.parametrize("case", COMPLEX, ids=ids(COMPLEX))
@drawn
@given(shape=shapes(), dtype=st.sampled_from(["complex64", "complex128"]), seed=seeds)
def test_complex(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    """Complex tensors hold values; derivatives are of real ones."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(shape) + 1j * rng.standard_normal(shape)
    _same(case, [x.astype(dtype)], seed)


POSITIONS = [
    *[
        Case(name, getattr(tg, name), getattr(torch, name))
        for name in ("argmax", "argmin", "count_nonzero")
    ],
    Case(
        "argmax of an axis",
        lambda x: tg.argmax(x, axis=-1, keepdims=True),
        lambda x: torch.argmax(x, dim=-1, keepdim=True),
    ),
    Case("argmin of an axis", lambda x: tg.argmin(x, axis=0), lambda x: torch.argmin(x, dim=0)),
    Case(
        "argsort", lambda x: tg.argsort(x, axis=-1), lambda x: torch.argsort(x, dim=-1, stable=True)
    ),
    Case(
        "argsort descending",
        lambda x: tg.argsort(x, axis=0, descending=True),
        lambda x: torch.argsort(x, dim=0, descending=True, stable=True),
    ),
    Case(
        "count_nonzero of an axis",
        lambda x: tg.count_nonzero(x, axis=-1),
        lambda x: torch.count_nonzero(x, dim=-1),
    ),
    Case("nonzero", lambda x: tg.stack(tg.nonzero(x), axis=1), torch.nonzero),
    Case("unique_values", tg.unique_values, torch.unique),
    Case("unique_all values", lambda x: tg.unique_all(x).values, torch.unique),
    Case("unique_all indices", _flat_at_firsts, torch.unique),
    Case(
        "unique_inverse",
        lambda x: tg.unique_inverse(x).inverse_indices,
        lambda x: torch.unique(x, return_inverse=True)[1],
    ),
    Case(
        "unique_counts",
        lambda x: tg.unique_counts(x).counts,
        lambda x: torch.unique(x, return_counts=True)[1],
    ),
]


@pytest.mark.parametrize("case", POSITIONS, ids=ids(POSITIONS))
@drawn
@given(shape=shapes(min_dims=1), dtype=dtypes, seed=seeds)
def test_positions_among_ties(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    _same(case, [_halves(np.random.default_rng(seed), shape, dtype)], seed)


@pytest.mark.parametrize("side", ["left", "right"])
@drawn
@given(n=st.integers(1, 9), shape=shapes(), dtype=dtypes, seed=seeds)
def test_searchsorted(side: str, n: int, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    case = Case(
        "searchsorted",
        lambda x, y: tg.searchsorted(x, y, side=side),
        lambda x, y: torch.searchsorted(x, y, side=side),
    )
    _same(case, [np.sort(_halves(rng, (n,), dtype)), _halves(rng, shape, dtype)], seed)


@drawn
@given(shape=shapes(), classes=st.integers(1, 6), seed=seeds)
def test_one_hot(shape: tuple[int, ...], classes: int, seed: int) -> None:
    x = np.random.default_rng(seed).integers(0, classes, shape)
    _same(Case("", lambda x: tg.one_hot(x, classes), lambda x: F.one_hot(x, classes)), [x], seed)
    _same(Case("", tg.one_hot, F.one_hot), [x], seed)


CREATION = [
    *[Case(name, getattr(tg, name), getattr(torch, name)) for name in ("zeros_like", "ones_like")],
    Case(
        "zeros",
        lambda x: tg.zeros(x.shape, dtype=x.dtype),
        lambda x: torch.zeros(x.shape, dtype=x.dtype),
    ),
    Case(
        "ones",
        lambda x: tg.ones(x.shape, dtype=x.dtype),
        lambda x: torch.ones(x.shape, dtype=x.dtype),
    ),
    Case("full_like", lambda x: tg.full_like(x, 1.7), lambda x: torch.full_like(x, 1.7)),
    Case(
        "full",
        lambda x: tg.full(x.shape, -0.3, dtype=x.dtype),
        lambda x: torch.full(x.shape, -0.3, dtype=x.dtype),
    ),
    Case(
        "eye",
        lambda x: tg.eye(x.shape[0], x.shape[1], dtype=x.dtype),
        lambda x: torch.eye(x.shape[0], x.shape[1], dtype=x.dtype),
    ),
    Case(
        "linspace",
        lambda x: tg.linspace(-1.3, 2.1, x.shape[0] + 5, dtype=x.dtype),
        lambda x: torch.linspace(-1.3, 2.1, x.shape[0] + 5, dtype=x.dtype),
    ),
    Case(
        "arange",
        lambda x: tg.arange(-2, 3 * x.shape[0], 0.75, dtype=x.dtype),
        lambda x: torch.arange(-2, 3 * x.shape[0], 0.75, dtype=x.dtype),
    ),
    Case("arange of integers", lambda x: tg.arange(x.shape[0]), lambda x: torch.arange(x.shape[0])),
]


@pytest.mark.parametrize("case", CREATION, ids=ids(CREATION))
@drawn
@given(shape=shapes(min_dims=2), dtype=dtypes, seed=seeds)
def test_creation(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rounding = (1e-6, 1e-7) if dtype == "float32" else (1e-14, 1e-15)
    _same(case, [np.zeros(shape, dtype)], seed, rounding)
