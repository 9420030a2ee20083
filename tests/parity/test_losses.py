"""Losses against PyTorch: options, reductions, N-D class axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import nn

from .common import compare, drawn, dtypes, seeds, shapes

reductions = st.sampled_from(["mean", "sum", "none"])
sides = st.integers(1, 6)


def _logits(rng: np.random.Generator, n: int, c: int, rest: tuple[int, ...], dtype: str) -> Any:
    return (4 * rng.standard_normal((n, c, *rest))).astype(dtype)


@drawn
@given(
    n=sides,
    c=sides,
    rest=shapes(max_dims=2),
    dtype=dtypes,
    seed=seeds,
    reduction=reductions,
    smoothing=st.sampled_from([0.0, 0.1]),
    weighted=st.booleans(),
    ignored=st.booleans(),
)
def test_cross_entropy_of_indices(
    n: int,
    c: int,
    rest: tuple[int, ...],
    dtype: str,
    seed: int,
    reduction: str,
    smoothing: float,
    weighted: bool,
    ignored: bool,
) -> None:
    rng = np.random.default_rng(seed)
    x = _logits(rng, n, c, rest, dtype)
    target = rng.integers(0, c, (n, *rest))
    if ignored and n > 1:
        target[0] = -100
    weight = rng.uniform(0.5, 2, c).astype(dtype) if weighted else None
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    compare(
        lambda x, t: tg.cross_entropy(
            x, t, weight=None if weight is None else tg.asarray(weight), **options
        ),
        lambda x, t: F.cross_entropy(
            x, t, weight=None if weight is None else torch.tensor(weight), **options
        ),
        [x],
        constants=[target],
        seed=seed,
    )


@drawn
@given(n=sides, c=sides, dtype=dtypes, seed=seeds, reduction=reductions)
def test_cross_entropy_of_probabilities(
    n: int, c: int, dtype: str, seed: int, reduction: str
) -> None:
    rng = np.random.default_rng(seed)
    x = _logits(rng, n, c, (), dtype)
    p = rng.dirichlet(np.ones(c), n).astype(dtype)
    compare(
        lambda x: tg.cross_entropy(x, tg.asarray(p), reduction=reduction, label_smoothing=0.2),
        lambda x: F.cross_entropy(x, torch.tensor(p), reduction=reduction, label_smoothing=0.2),
        [x],
        seed=seed,
    )


@drawn
@given(n=sides, c=sides, dtype=dtypes, seed=seeds, reduction=reductions)
def test_nll(n: int, c: int, dtype: str, seed: int, reduction: str) -> None:
    rng = np.random.default_rng(seed)
    x, target = _logits(rng, n, c, (), dtype), rng.integers(0, c, n)
    compare(
        lambda x, t: tg.nll_loss(tg.log_softmax(x, axis=1), t, reduction=reduction),
        lambda x, t: F.nll_loss(F.log_softmax(x, 1), t, reduction=reduction),
        [x],
        constants=[target],
        seed=seed,
    )


PAIRS = [
    ("mse_loss", {}),
    ("l1_loss", {}),
    ("smooth_l1_loss", {"beta": 0.7}),
    ("huber_loss", {"delta": 0.7}),
]


@pytest.mark.parametrize(("name", "options"), PAIRS, ids=[p[0] for p in PAIRS])
@drawn
@given(shape=shapes(), dtype=dtypes, seed=seeds, reduction=reductions)
def test_of_pairs(
    name: str,
    options: dict[str, Any],
    shape: tuple[int, ...],
    dtype: str,
    seed: int,
    reduction: str,
) -> None:
    rng = np.random.default_rng(seed)
    arrays = [rng.standard_normal(shape).astype(dtype) for _ in range(2)]
    options = {**options, "reduction": reduction}
    ours, theirs = getattr(tg, name), getattr(F, name)
    compare(
        lambda x, y: ours(x, y, **options), lambda x, y: theirs(x, y, **options), arrays, seed=seed
    )


@drawn
@given(shape=shapes(min_dims=1), dtype=dtypes, seed=seeds, reduction=reductions)
def test_binary_cross_entropy(
    shape: tuple[int, ...], dtype: str, seed: int, reduction: str
) -> None:
    rng = np.random.default_rng(seed)
    x = (5 * rng.standard_normal(shape)).astype(dtype)
    p = rng.uniform(0.05, 0.95, shape).astype(dtype)
    target, weight = (rng.random(shape).astype(dtype) for _ in range(2))
    positive = rng.uniform(0.5, 2, shape[-1:]).astype(dtype)
    compare(
        lambda p: tg.binary_cross_entropy(
            p, tg.asarray(target), weight=tg.asarray(weight), reduction=reduction
        ),
        lambda p: F.binary_cross_entropy(
            p, torch.tensor(target), weight=torch.tensor(weight), reduction=reduction
        ),
        [p],
        seed=seed,
    )
    compare(
        lambda x: tg.binary_cross_entropy_with_logits(
            x, tg.asarray(target), pos_weight=tg.asarray(positive), reduction=reduction
        ),
        lambda x: F.binary_cross_entropy_with_logits(
            x, torch.tensor(target), pos_weight=torch.tensor(positive), reduction=reduction
        ),
        [x],
        seed=seed,
    )


@drawn
@given(
    n=sides,
    c=sides,
    dtype=dtypes,
    seed=seeds,
    reduction=st.sampled_from(["batchmean", "sum", "none"]),
    log_target=st.booleans(),
)
def test_kl_div(n: int, c: int, dtype: str, seed: int, reduction: str, log_target: bool) -> None:
    rng = np.random.default_rng(seed)
    x = np.log(rng.dirichlet(np.ones(c) * 3, n)).astype(dtype)
    p = rng.dirichlet(np.ones(c) * 3, n).astype(dtype)
    target = np.log(p) if log_target else p
    options: dict[str, Any] = {"reduction": reduction, "log_target": log_target}
    compare(
        lambda x: tg.kl_div(x, tg.asarray(target), **options),
        lambda x: F.kl_div(x, torch.tensor(target), **options),
        [x],
        seed=seed,
    )


MODULES = [
    ("MSELoss", {}),
    ("L1Loss", {}),
    ("SmoothL1Loss", {"beta": 0.6}),
    ("HuberLoss", {"delta": 0.6}),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}),
    ("NLLLoss", {}),
    ("BCELoss", {}),
    ("BCEWithLogitsLoss", {}),
    ("KLDivLoss", {}),
    ("KLDivLoss", {"log_target": True}),
]


def _prediction_and_target(
    name: str, rng: np.random.Generator, n: int, c: int, dtype: str, log_target: bool
) -> tuple[Any, Any]:
    """Drawn as the loss wants them: classes, probabilities, logarithms of them, or numbers."""
    x, y = (rng.standard_normal((n, c)).astype(dtype) for _ in range(2))
    if name in ("CrossEntropyLoss", "NLLLoss"):
        return x, rng.integers(0, c, n)
    if name.startswith("BCE"):
        probability = rng.uniform(0.05, 0.95, (n, c)).astype(dtype)
        return (probability if name == "BCELoss" else x), rng.random((n, c)).astype(dtype)
    if name == "KLDivLoss":
        x, y = (np.log(rng.dirichlet(np.ones(c) * 3, n)) for _ in range(2))
        return x.astype(dtype), (y if log_target else np.exp(y)).astype(dtype)
    return x, y


# PyTorch's advice on the KL divergence, whose mean is compared as it is.
@pytest.mark.filterwarnings("ignore:reduction. 'mean' divides:UserWarning")
@pytest.mark.parametrize(("name", "options"), MODULES, ids=[f"{n}{[*o]}" for n, o in MODULES])
@drawn
@given(n=sides, c=sides, dtype=dtypes, seed=seeds, reduction=reductions, weighted=st.booleans())
def test_module(
    name: str,
    options: dict[str, Any],
    n: int,
    c: int,
    dtype: str,
    seed: int,
    reduction: str,
    weighted: bool,
) -> None:
    rng = np.random.default_rng(seed)
    x, target = _prediction_and_target(name, rng, n, c, dtype, "log_target" in options)
    ours, theirs = ({**options, "reduction": reduction} for _ in range(2))
    if weighted and name in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss"):
        weight = rng.uniform(0.5, 2, c).astype(dtype)
        ours["weight"], theirs["weight"] = tg.asarray(weight), torch.tensor(weight)
        if name == "BCEWithLogitsLoss":
            ours["pos_weight"], theirs["pos_weight"] = ours["weight"], theirs["weight"]
    compare(
        getattr(nn, name)(**ours),
        getattr(torch.nn, name)(**theirs),
        [x],
        constants=[target],
        seed=seed,
    )
