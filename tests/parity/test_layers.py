"""Layers, whole networks and optimizers against PyTorch, weights carried over by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import nn, optim

from .common import TOLERANCE, close, compare, drawn, dtypes, seeds, shapes

ACTIVATIONS = [
    *("Sigmoid", "Tanh", "ReLU", "LeakyReLU", "ELU", "SELU", "GELU", "SiLU", "Mish", "Softplus"),
    "Identity",
]


def _twins(activation: str) -> tuple[Any, Any]:
    """The same small network in both libraries, with PyTorch's weights loaded by name."""

    def build(library: Any, norm: Any) -> Any:
        return library.Sequential(
            library.Flatten(),
            library.Linear(12, 7, bias=False),
            norm(7),
            getattr(library, activation)(),
            library.Linear(7, 3, bias=False),
        )

    torch.manual_seed(0)
    theirs = build(torch.nn, torch.nn.BatchNorm1d)
    ours = build(nn, nn.BatchNorm1d)
    state = {k: tg.asarray(v.numpy()) for k, v in theirs.state_dict().items()}
    ours.load_state_dict(state)
    return ours, theirs


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("training", [True, False])
def test_network(activation: str, training: bool) -> None:
    ours, theirs = _twins(activation)
    ours.train(training)
    theirs.train(training)
    rng = np.random.default_rng(1)
    for _ in range(3):
        x = rng.standard_normal((6, 3, 4), np.float32)
        g = rng.standard_normal((6, 3), np.float32)
        a, b = tg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        close(y.detach().numpy(), z.detach().numpy(), 1e-4, 1e-5, "output")
        y.backward(g)
        z.backward(torch.tensor(g))
        close(a.grad.numpy(), b.grad.numpy(), 1e-4, 1e-5, "gradient of the input")
    expected = dict(theirs.named_parameters())
    for name, p in ours.named_parameters():
        close(p.grad.numpy(), expected[name].grad.numpy(), 1e-4, 1e-5, name)
    for name, value in theirs.state_dict().items():
        close(ours.state_dict()[name].numpy(), value.numpy(), 1e-5, 1e-6, name)


LAYERS = [
    *[("Softmax", (d,)) for d in (-1, 0, 2)],
    *[("LogSoftmax", (d,)) for d in (-1, 0, 2)],
    ("Flatten", ()),
    ("Flatten", (0, 1)),
    ("Unflatten", (1, (2, 3))),
    ("Unflatten", (-2, (3, -1))),
]


@pytest.mark.parametrize(("name", "arguments"), LAYERS, ids=[f"{n}{a}" for n, a in LAYERS])
@drawn
@given(n=st.integers(1, 4), m=st.integers(1, 4), dtype=dtypes, seed=seeds)
def test_layer(
    name: str, arguments: tuple[Any, ...], n: int, m: int, dtype: str, seed: int
) -> None:
    x = np.random.default_rng(seed).uniform(-5, 5, (n, 6, m)).astype(dtype)
    ours, theirs = getattr(nn, name)(*arguments), getattr(torch.nn, name)(*arguments)
    compare(ours, theirs, [x], seed=seed)


@drawn
@given(p=st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), shape=shapes(), dtype=dtypes, seed=seeds)
def test_dropout(p: float, shape: tuple[int, ...], dtype: str, seed: int) -> None:
    """Equal where nothing is random; in training, what either keeps has the same scale."""
    x = np.random.default_rng(seed).uniform(1, 5, shape).astype(dtype)
    ours, theirs = nn.Dropout(p), torch.nn.Dropout(p)
    compare(ours.eval(), theirs.eval(), [x], seed=seed)
    if p in (0.0, 1.0):
        compare(ours.train(), theirs.train(), [x], seed=seed)
    tg.random.manual_seed(seed)
    torch.manual_seed(seed)
    big = np.full((40, 100), 1.5, dtype)
    a, b = tg.Tensor(big, requires_grad=True), torch.tensor(big, requires_grad=True)
    y, z = ours.train()(a), theirs.train()(b)
    y.backward(np.ones_like(big))
    z.backward(torch.ones_like(z))
    assert a.grad is not None
    assert b.grad is not None
    values = [(y.detach().numpy(), z.detach().numpy()), (a.grad.numpy(), b.grad.numpy())]
    for mine, other in values:
        close(np.unique(mine), np.unique(other), *TOLERANCE[dtype], "what is kept and what is not")
        assert abs(np.mean(mine != 0) - (1 - p)) < 0.05


OPTIMIZERS = [
    ("SGD", {"lr": 0.1}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.1, "momentum": 0.8, "dampening": 0.3, "maximize": True}),
    ("Adam", {"lr": 0.01}),
    ("Adam", {"lr": 0.01, "weight_decay": 0.1, "betas": (0.8, 0.9), "amsgrad": True}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1}),
]


@pytest.mark.parametrize(("name", "options"), OPTIMIZERS)
def test_optimizer(name: str, options: dict[str, Any]) -> None:
    ours, theirs = _twins("Tanh")
    a = getattr(optim, name)(ours.parameters(), **options)
    b = getattr(torch.optim, name)(theirs.parameters(), **options)
    rng = np.random.default_rng(2)
    for _ in range(20):
        x, y = rng.standard_normal((8, 12), np.float32), rng.integers(0, 3, 8)
        a.zero_grad()
        b.zero_grad()
        tg.cross_entropy(ours(tg.asarray(x)), tg.asarray(y)).backward()
        torch.nn.functional.cross_entropy(theirs(torch.tensor(x)), torch.tensor(y)).backward()
        a.step()
        b.step()
    for key, value in theirs.state_dict().items():
        close(ours.state_dict()[key].numpy(), value.numpy(), 2e-3, 2e-4, key)


SCHEDULERS = [
    ("StepLR", {"step_size": 3, "gamma": 0.5}),
    ("ExponentialLR", {"gamma": 0.9}),
    ("CosineAnnealingLR", {"T_max": 10, "eta_min": 0.001}),
    ("LambdaLR", {"lr_lambda": lambda epoch: 1 / (1 + epoch)}),
]


@pytest.mark.parametrize(("name", "options"), SCHEDULERS, ids=[s[0] for s in SCHEDULERS])
def test_scheduler(name: str, options: dict[str, Any]) -> None:
    ours, theirs = _twins("Tanh")
    a = optim.SGD(ours.parameters(), lr=0.1)
    b = torch.optim.SGD(theirs.parameters(), lr=0.1)
    s = getattr(optim, name)(a, **options)
    t = getattr(torch.optim.lr_scheduler, name)(b, **options)
    for _ in range(12):
        assert a.param_groups[0]["lr"] == pytest.approx(b.param_groups[0]["lr"], rel=1e-9)
        b.step()
        s.step()
        t.step()


def test_weights_return_to_torch() -> None:
    ours, theirs = _twins("ReLU")
    with tg.no_grad():
        for p in ours.parameters():
            p.assign(p * 2)
    state = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    theirs.load_state_dict(state)
    for name, p in theirs.named_parameters():
        close(p.detach().numpy(), dict(ours.named_parameters())[name].detach().numpy(), 0, 0, name)
