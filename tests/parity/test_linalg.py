"""Linear algebra against PyTorch, on well-conditioned matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg

from .common import Case, compare, drawn, dtypes, ids, seeds

sides = st.integers(1, 5)
batches = st.sampled_from([(), (2,), (2, 3)])


def _general(rng: np.random.Generator, batch: tuple[int, ...], n: int, dtype: str) -> Any:
    return (rng.standard_normal((*batch, n, n)) + 3 * np.eye(n)).astype(dtype)


SQUARE = [
    Case("det", tg.linalg.det, torch.linalg.det),
    Case("inv", tg.linalg.inv, torch.linalg.inv),
    Case("logabsdet", lambda a: tg.linalg.slogdet(a)[1], lambda a: torch.linalg.slogdet(a)[1]),
    Case("trace", tg.linalg.trace, lambda a: torch.diagonal(a, dim1=-2, dim2=-1).sum(-1)),
    Case("diagonal", tg.linalg.diagonal, torch.linalg.diagonal),
    Case("matrix_power 3", lambda a: tg.linalg.matrix_power(a, 3), lambda a: a @ a @ a),
    Case("matrix_power -1", lambda a: tg.linalg.matrix_power(a, -1), torch.linalg.inv),
    Case("svdvals", tg.linalg.svdvals, torch.linalg.svdvals),
    Case("pinv", tg.linalg.pinv, torch.linalg.pinv),
    Case("matrix_norm", tg.linalg.matrix_norm, torch.linalg.matrix_norm),
    Case(
        "nuclear norm",
        lambda a: tg.linalg.matrix_norm(a, ord="nuc"),
        lambda a: torch.linalg.matrix_norm(a, "nuc"),
    ),
    Case("vector_norm", tg.linalg.vector_norm, torch.linalg.vector_norm),
    Case(
        "vector_norm 3",
        lambda a: tg.linalg.vector_norm(a, ord=3, axis=-1),
        lambda a: torch.linalg.vector_norm(a, 3, dim=-1),
    ),
    Case("qr", lambda a: tg.linalg.qr(a)[0], lambda a: torch.linalg.qr(a)[0]),
    Case("qr R", lambda a: tg.linalg.qr(a)[1], lambda a: torch.linalg.qr(a)[1]),
]

SYMMETRIC = [
    Case("cholesky", tg.linalg.cholesky, torch.linalg.cholesky),
    Case(
        "cholesky upper",
        lambda a: tg.linalg.cholesky(a, upper=True),
        lambda a: torch.linalg.cholesky(a, upper=True),
    ),
    Case("eigvalsh", tg.linalg.eigvalsh, torch.linalg.eigvalsh),
    Case("eigh values", lambda a: tg.linalg.eigh(a)[0], lambda a: torch.linalg.eigh(a)[0]),
    # Eigenvectors and singular vectors are given up to sign: their squares are compared.
    Case(
        "eigh vectors", lambda a: tg.linalg.eigh(a)[1] ** 2, lambda a: torch.linalg.eigh(a)[1] ** 2
    ),
    *[
        Case(
            f"svd part {i}",
            lambda a, i=i: tg.linalg.svd(a)[i] ** 2,
            lambda a, i=i: torch.linalg.svd(a)[i] ** 2,
        )
        for i in range(3)
    ],
]

LOOSE = {"float32": (5e-3, 1e-3), "float64": (1e-7, 1e-9)}


@pytest.mark.parametrize("case", SQUARE, ids=ids(SQUARE))
@drawn
@given(batch=batches, n=sides, dtype=dtypes, seed=seeds)
def test_square(case: Case, batch: tuple[int, ...], n: int, dtype: str, seed: int) -> None:
    a = _general(np.random.default_rng(seed), batch, n, dtype)
    if np.min(np.linalg.svd(a, compute_uv=False)) < 0.3:
        return
    compare(case.ours, case.theirs, [a], seed=seed, tolerance=LOOSE[dtype])


@pytest.mark.parametrize("case", SYMMETRIC, ids=ids(SYMMETRIC))
@drawn
@given(batch=batches, n=sides, seed=seeds)
def test_symmetric(case: Case, batch: tuple[int, ...], n: int, seed: int) -> None:
    a = _general(np.random.default_rng(seed), batch, n, "float64")

    def symmetric(f: Any, transpose: Any) -> Any:
        return lambda a: f(a @ transpose(a))

    compare(
        symmetric(case.ours, lambda a: a.mT),
        symmetric(case.theirs, lambda a: a.mT),
        [a],
        seed=seed,
        tolerance=LOOSE["float64"],
    )


@drawn
@given(batch=batches, n=sides, m=sides, k=sides, dtype=dtypes, seed=seeds)
def test_matmul(batch: tuple[int, ...], n: int, m: int, k: int, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((*batch, n, m)).astype(dtype)
    b = rng.standard_normal((m, k)).astype(dtype)
    for x, y in ((a, b), (a, b[:, 0]), (a[..., 0, :], b), (b.T[0], b)):
        compare(tg.matmul, torch.matmul, [x, y], seed=seed)


PRODUCTS = [
    Case("cross", tg.linalg.cross, torch.linalg.cross),
    Case("vecdot", tg.vecdot, torch.linalg.vecdot),
    Case(
        "tensordot of an axis",
        lambda x, y: tg.tensordot(x, y, axes=((-1,), (-1,))),
        lambda x, y: torch.tensordot(x, y, dims=((-1,), (-1,))),
    ),
    Case(
        "tensordot of all axes",
        lambda x, y: tg.tensordot(x, y, axes=x.ndim),
        lambda x, y: torch.tensordot(x, y, dims=x.ndim),
    ),
]


@pytest.mark.parametrize("case", PRODUCTS, ids=ids(PRODUCTS))
@drawn
@given(batch=batches, dtype=dtypes, seed=seeds)
def test_product(case: Case, batch: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal((*batch, 3)).astype(dtype) for _ in range(2)]
    compare(case.ours, case.theirs, arrays, seed=seed)


@drawn
@given(batch=batches, n=sides, rank=sides, seed=seeds)
def test_of_no_derivative(batch: tuple[int, ...], n: int, rank: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = rng.standard_normal((*batch, n, rank)) @ rng.standard_normal((*batch, rank, n))
    ours, theirs = tg.linalg.matrix_rank, torch.linalg.matrix_rank
    compare(ours, theirs, [a], seed=seed, gradients=False)
    full = _general(rng, batch, n, "float64")
    compare(
        lambda a: tg.linalg.slogdet(a)[0],
        lambda a: torch.linalg.slogdet(a)[0],
        [full],
        seed=seed,
        gradients=False,
    )


@drawn
@given(batch=batches, n=sides, m=sides, dtype=dtypes, seed=seeds, biased=st.booleans())
def test_linear(batch: Any, n: int, m: int, dtype: str, seed: int, biased: bool) -> None:
    rng = np.random.default_rng(seed)
    sizes = [(*batch, n), (m, n), *([(m,)] if biased else [])]
    arrays = [rng.standard_normal(size).astype(dtype) for size in sizes]
    compare(tg.linear, torch.nn.functional.linear, arrays, seed=seed)
    for activation in ("sigmoid", "tanh"):
        compare(
            lambda *a, act=activation: tg.linear(*a, activation=act),
            lambda *a, act=activation: getattr(torch, act)(torch.nn.functional.linear(*a)),
            arrays,
            seed=seed,
        )


@drawn
@given(batch=batches, n=sides, k=sides, dtype=dtypes, seed=seeds)
def test_solve(batch: tuple[int, ...], n: int, k: int, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a = _general(rng, batch, n, dtype)
    if np.min(np.linalg.svd(a, compute_uv=False)) < 0.3:
        return
    b = rng.standard_normal((*batch, n, k)).astype(dtype)
    compare(tg.linalg.solve, torch.linalg.solve, [a, b], seed=seed, tolerance=LOOSE[dtype])


EINSUM = ["ij,jk->ik", "ij,kj", "bij,bjk->bik", "ij->ji", "ij->", "ii->i", "i,j->ij", "bij,bij->b"]


@pytest.mark.parametrize("subscripts", EINSUM)
@drawn
@given(dtype=dtypes, seed=seeds, n=sides)
def test_einsum(subscripts: str, dtype: str, seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = dict.fromkeys("bijk", n)
    operands = subscripts.partition("->")[0].split(",")
    arrays = [rng.standard_normal([sizes[c] for c in o]).astype(dtype) for o in operands]
    compare(
        lambda *xs: tg.einsum(subscripts, *xs),
        lambda *xs: torch.einsum(subscripts, *xs),
        arrays,
        seed=seed,
    )
