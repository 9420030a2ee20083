"""Reductions, manipulation, indexing and sorting against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg

from .common import Case, compare, draw, drawn, dtypes, ids, seeds, shapes

REDUCTIONS = [
    Case("sum", tg.sum, torch.sum),
    Case("mean", tg.mean, torch.mean),
    Case("max", tg.max, torch.amax),
    Case("min", tg.min, torch.amin),
]


@pytest.mark.parametrize("case", REDUCTIONS, ids=ids(REDUCTIONS))
@drawn
@given(shape=shapes(), dtype=dtypes, seed=seeds, keepdims=st.booleans(), data=st.data())
def test_reduction(
    case: Case, shape: tuple[int, ...], dtype: str, seed: int, keepdims: bool, data: st.DataObject
) -> None:
    axes = data.draw(st.sets(st.integers(0, max(len(shape) - 1, 0)), max_size=len(shape)))
    axis = tuple(sorted(axes)) or tuple(range(len(shape)))
    x = draw(np.random.default_rng(seed), shape, dtype, -3, 3)
    compare(
        lambda x: case.ours(x, axis=axis, keepdims=keepdims),
        lambda x: case.theirs(x, dim=axis, keepdim=keepdims),
        [x],
        seed=seed,
    )


@pytest.mark.parametrize("name", ["var", "std"])
@drawn
@given(shape=shapes(min_dims=1, min_side=3), dtype=dtypes, seed=seeds, correction=st.integers(0, 1))
def test_spread(name: str, shape: tuple[int, ...], dtype: str, seed: int, correction: int) -> None:
    x = draw(np.random.default_rng(seed), shape, dtype, -3, 3)
    ours, theirs = getattr(tg, name), getattr(torch, name)
    compare(
        lambda x: ours(x, axis=-1, correction=correction),
        lambda x: theirs(x, dim=-1, correction=correction),
        [x],
        seed=seed,
    )


@drawn
@given(shape=shapes(min_dims=1), dtype=dtypes, seed=seeds, zeros=st.integers(0, 2))
def test_prod_with_zeros(shape: tuple[int, ...], dtype: str, seed: int, zeros: int) -> None:
    rng = np.random.default_rng(seed)
    x = draw(rng, shape, dtype, -2, 2)
    x.reshape(-1)[rng.integers(0, x.size, zeros)] = 0
    compare(lambda x: tg.prod(x, axis=-1), lambda x: torch.prod(x, dim=-1), [x], seed=seed)
    compare(
        lambda x: tg.cumulative_prod(x, axis=0),
        lambda x: torch.cumprod(x, dim=0),
        [x],
        seed=seed,
    )


SHAPE_OPS = [
    Case("reshape", lambda x: tg.reshape(x, (-1,)), lambda x: x.reshape(-1)),
    Case("permute", lambda x: tg.permute_dims(x, (2, 0, 1)), lambda x: x.permute(2, 0, 1)),
    Case("flip", lambda x: tg.flip(x, axis=(0, 2)), lambda x: x.flip(0, 2)),
    Case("roll", lambda x: tg.roll(x, (1, -2), axis=(0, 1)), lambda x: x.roll((1, -2), (0, 1))),
    Case("roll flat", lambda x: tg.roll(x, 3), lambda x: x.roll(3)),
    Case("moveaxis", lambda x: tg.moveaxis(x, 0, -1), lambda x: torch.moveaxis(x, 0, -1)),
    Case("expand_dims", lambda x: tg.expand_dims(x, axis=1), lambda x: x.unsqueeze(1)),
    Case("squeeze", lambda x: tg.squeeze(x[:1], axis=0), lambda x: x[:1].squeeze(0)),
    Case("tile", lambda x: tg.tile(x, (2, 1, 3)), lambda x: x.tile(2, 1, 3)),
    Case("repeat", lambda x: tg.repeat(x, 2, axis=1), lambda x: x.repeat_interleave(2, 1)),
    Case("tril", lambda x: tg.tril(x, k=1), lambda x: x.tril(1)),
    Case("triu", lambda x: tg.triu(x, k=-1), lambda x: x.triu(-1)),
    Case("diff", lambda x: tg.diff(x, axis=-1), lambda x: x.diff(dim=-1)),
    Case("cumulative_sum", lambda x: tg.cumulative_sum(x, axis=1), lambda x: x.cumsum(1)),
    Case("sort", lambda x: tg.sort(x, axis=1), lambda x: x.sort(1).values),
    Case(
        "sort descending",
        lambda x: tg.sort(x, axis=0, descending=True),
        lambda x: x.sort(0, descending=True).values,
    ),
    Case("stack", lambda x: tg.stack([x, 2 * x], axis=1), lambda x: torch.stack([x, 2 * x], 1)),
    Case("concat", lambda x: tg.concat([x, x * x], axis=2), lambda x: torch.cat([x, x * x], 2)),
    Case(
        "broadcast", lambda x: tg.broadcast_to(x, (2, *x.shape)), lambda x: x.expand(2, -1, -1, -1)
    ),
    Case(
        "pad",
        lambda x: tg.pad(x, ((0, 0), (1, 0), (0, 2))),
        lambda x: torch.nn.functional.pad(x, (0, 2, 1, 0)),
    ),
    Case("slices", lambda x: x[1:, ::2, -1], lambda x: x[1:, ::2, -1]),
    Case("newaxis", lambda x: x[..., None, 0], lambda x: x[..., None, 0]),
    Case(
        "integer arrays", lambda x: x[[0, 0, 1], :, [0, 1, 1]], lambda x: x[[0, 0, 1], :, [0, 1, 1]]
    ),
    Case(
        "unstack",
        lambda x: tg.stack([p * (i + 1) for i, p in enumerate(tg.unstack(x, axis=1))]),
        lambda x: torch.stack([p * (i + 1) for i, p in enumerate(torch.unbind(x, dim=1))]),
    ),
    Case(
        "split",
        lambda x: tg.concat([p * p for p in tg.split(x, [1], axis=2)][::-1], axis=2),
        lambda x: torch.cat([p * p for p in torch.tensor_split(x, [1], dim=2)][::-1], dim=2),
    ),
    Case("matrix_transpose", tg.matrix_transpose, lambda x: x.mT),
    Case("astype", lambda x: tg.astype(x, tg.float64), lambda x: x.to(torch.float64)),
    Case("mask", lambda x: x[x > 0], lambda x: x[x > 0]),
    Case("take", lambda x: tg.take(x, tg.asarray([1, 0, 1]), axis=1), lambda x: x[:, [1, 0, 1]]),
]


@pytest.mark.parametrize("case", SHAPE_OPS, ids=ids(SHAPE_OPS))
@drawn
@given(shape=shapes(min_dims=3, max_dims=3, min_side=2), dtype=dtypes, seed=seeds)
def test_shape_op(case: Case, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    x = draw(np.random.default_rng(seed), shape, dtype, -3, 3)
    compare(case.ours, case.theirs, [x], seed=seed)


VECTORS = [
    *[
        Case(
            f"meshgrid {indexing}",
            lambda x, y, how=indexing: tg.stack(tg.meshgrid(x, y, indexing=how)),
            lambda x, y, how=indexing: torch.stack(torch.meshgrid(x, y, indexing=how)),
        )
        for indexing in ("ij", "xy")
    ],
    Case("outer", tg.outer, torch.outer),
    Case(
        "broadcast_arrays",
        lambda x, y: tg.stack(tg.broadcast_arrays(x[:, None], y)),
        lambda x, y: torch.stack(torch.broadcast_tensors(x[:, None], y)),
    ),
]


@pytest.mark.parametrize("case", VECTORS, ids=ids(VECTORS))
@drawn
@given(n=st.integers(1, 6), m=st.integers(1, 6), dtype=dtypes, seed=seeds)
def test_vectors(case: Case, n: int, m: int, dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [draw(rng, (k,), dtype, -3, 3) for k in (n, m)]
    compare(case.ours, case.theirs, arrays, seed=seed)


def _recurrence(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    y = [b[..., 0]]
    for i in range(1, b.shape[-1]):
        y.append(a[..., i] * y[-1] + b[..., i])
    return torch.stack(y, dim=-1)


@drawn
@given(shape=shapes(min_dims=1), dtype=dtypes, seed=seeds)
def test_linear_scan(shape: tuple[int, ...], dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    arrays = [draw(rng, shape, dtype, -2, 2) for _ in range(2)]
    compare(tg.linear_scan, _recurrence, arrays, seed=seed)


@drawn
@given(shape=shapes(min_dims=1), dtype=dtypes, seed=seeds, data=st.data())
def test_take_along_axis(
    shape: tuple[int, ...], dtype: str, seed: int, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    axis = data.draw(st.integers(0, len(shape) - 1))
    index = rng.integers(0, shape[axis], shape)
    compare(
        lambda x, i: tg.take_along_axis(x, i, axis=axis),
        lambda x, i: torch.take_along_dim(x, i, dim=axis),
        [draw(rng, shape, dtype, -3, 3)],
        constants=[index],
        seed=seed,
    )
