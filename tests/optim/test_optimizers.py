"""Optimizers against their formulas in float64, groups, state, errors."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim

START = np.array([1.0, -2.0, 0.5])
GRADS = np.random.default_rng(0).standard_normal((6, 3))


def run(optimizer_class, steps=6, **options):
    """The parameter after steps with the gradients GRADS."""
    p = nn.Parameter(START)
    optimizer = optimizer_class([p], **options)
    kept = []
    for g in GRADS[:steps]:
        p.grad = tg.asarray(g.copy())
        kept.append(p.grad)
        optimizer.step()
    assert [g.tolist() for g in kept] == GRADS[:steps].tolist()  # none was changed, then or later
    return np.array(p.detach().tolist())


def sgd(lr, momentum=0, dampening=0, weight_decay=0, nesterov=False, maximize=False):
    p, b = START.copy(), None
    for g in GRADS:
        g = (-g if maximize else g) + weight_decay * p
        if momentum:
            b = g if b is None else momentum * b + (1 - dampening) * g
            g = g + momentum * b if nesterov else b
        p = p - lr * g
    return p


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.1, "momentum": 0.9},
        {"lr": 0.1, "momentum": 0.9, "nesterov": True},
        {"lr": 0.1, "momentum": 0.9, "dampening": 0.5},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.3, "maximize": True},
    ],
)
def test_sgd(backend, options):
    assert np.allclose(run(optim.SGD, **options), sgd(**options), rtol=1e-13)


def adam(
    lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False, maximize=False, apart=False
):
    p, m, v, peak = START.copy(), 0, 0, 0
    for t, g in enumerate(GRADS, 1):
        g = -g if maximize else g
        if apart:
            p = p - lr * weight_decay * p
        else:
            g = g + weight_decay * p
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        peak = np.maximum(peak, v)
        second = np.sqrt((peak if amsgrad else v) / (1 - betas[1] ** t))
        p = p - lr * (m / (1 - betas[0] ** t)) / (second + eps)
    return p


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 0.1},
        {"lr": 0.1, "betas": (0.5, 0.7), "eps": 0.1},
        {"lr": 0.1, "weight_decay": 0.3},
        {"lr": 0.1, "betas": (0.9, 0.5), "amsgrad": True},
        {"lr": 0.1, "maximize": True},
    ],
)
def test_adam(backend, options):
    assert np.allclose(run(optim.Adam, **options), adam(**options), rtol=1e-12)
    decayed = {"weight_decay": 0.01, **options}
    assert np.allclose(run(optim.AdamW, **options), adam(**decayed, apart=True), rtol=1e-12)


KINDS = [
    (optim.SGD, {"lr": 0.1}),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9}),
    (optim.Adam, {"lr": 0.1, "amsgrad": True}),
    (optim.AdamW, {"lr": 0.1}),
]


@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_state_goes_on_exactly(backend, kind, options):
    whole = run(kind, **options)
    p = nn.Parameter(START)
    first = kind([p], **options)
    for i, g in enumerate(GRADS):
        p.grad = tg.asarray(g)
        if i == 3:
            q = nn.Parameter(p.detach())
            second = kind([q], lr=99.0)
            second.load_state_dict(first.state_dict())
            assert second.param_groups[0]["lr"] == 0.1
        if i >= 3:
            q.grad = tg.asarray(g)
            second.step()
        first.step()
    assert q.tolist() == p.tolist() == whole.tolist()


def test_float32_stays_float32(backend):
    p = nn.Parameter([1.0])
    for kind, options in KINDS:
        optimizer = kind([p], **options)
        for _ in range(2):
            p.grad = tg.ones(1)
            optimizer.step()
        assert p.dtype.name == "float32"


def test_parameters_without_gradient_stay():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.Adam([a, b], lr=0.1)
    a.grad = tg.ones(1)
    optimizer.step()
    assert b.item() == 1
    assert a.item() != 1
    assert list(optimizer.state) == [0]


def test_the_array_is_changed_in_place_and_a_recorded_graph_notices():
    p = nn.Parameter([1.0, 2.0])
    array = p.array
    y = tg.sum(p * p)
    p.grad = tg.ones(2)
    optim.SGD([p], lr=0.5).step()
    assert p.array is array
    assert array.tolist() == [0.5, 1.5]
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()


def test_groups_have_their_own_options():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0])
    optimizer = optim.SGD([{"params": a}, {"params": [b], "lr": 0.5}], lr=0.1)
    for p in (a, b):
        p.grad = tg.ones(1)
    optimizer.step()
    assert a.item() == pytest.approx(0.9)
    assert b.item() == 0.5
    assert repr(optimizer).count("lr=") == 2


def test_parameters_on_two_backends():
    a, b = nn.Parameter([1.0]), nn.Parameter([1.0], backend="strict")
    optimizer = optim.SGD([a, b], lr=0.5)
    tg.sum(a * 2).backward()
    tg.sum(b * 2).backward()
    optimizer.step()
    assert a.item() == b.item() == 0


def test_zero_grad():
    p = nn.Parameter([1.0])
    optimizer = optim.SGD([p], lr=0.1)
    p.grad = tg.ones(1)
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.item() == 0
    optimizer.zero_grad()
    assert p.grad is None


def parameter():
    return nn.Parameter([1.0])


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: optim.SGD([], lr=0.1), ValueError, "SGD: params is empty"),
        (lambda: optim.SGD(parameter()), TypeError, "params must be an iterable of tensors or of"),
        (lambda: optim.SGD(nn.Tanh()), TypeError, "must be an iterable .*, got Tanh"),
        (
            lambda: optim.SGD([{"params": parameter()}, parameter()]),
            TypeError,
            "a group must be a dict with 'params', got Parameter",
        ),
        (lambda: optim.SGD([parameter()], lr="1"), TypeError, "lr must be a number, got '1'"),
        (lambda: optim.SGD([parameter()], lr=None), TypeError, "lr must be a number, got None"),
        (lambda: optim.Adam([parameter()], betas=0.9), ValueError, "betas must be two numb"),
        (lambda: optim.SGD([3.0]), TypeError, "parameters must be tensors, got float"),
        (lambda: optim.SGD([parameter() * 2]), TypeError, r"must be leaves, got <multiply> of sha"),
        (lambda: optim.SGD([p := parameter(), p]), ValueError, r"shape \(1,\) is listed twice"),
        (
            lambda: optim.SGD([parameter()], lr=-1),
            ValueError,
            "SGD: lr must be >= 0 and finite, got",
        ),
        (lambda: optim.SGD([parameter()], lr=math.nan), ValueError, "got nan"),
        (lambda: optim.SGD([parameter()], momentum=-1), ValueError, "momentum must be >= 0"),
        (
            lambda: optim.SGD([parameter()], nesterov=True),
            ValueError,
            "nesterov needs momentum > 0",
        ),
        (lambda: optim.Adam([parameter()], betas=(0.9, 1)), ValueError, r"two numbers in \[0, 1\)"),
        (lambda: optim.AdamW([parameter()], eps=-1), ValueError, "AdamW: eps must be >= 0"),
        (lambda: optim.SGD([{"lr": 1}]), ValueError, r"a group needs 'params', got \['lr'\]"),
        (
            lambda: optim.SGD([{"params": parameter(), "beta": 1}]),
            TypeError,
            r"unknown options \['beta'\] in a group",
        ),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()


def saved(**changes):
    p = parameter()
    optimizer = optim.SGD([p], lr=0.1, momentum=0.9)
    p.grad = tg.ones(1)
    optimizer.step()
    return {**optimizer.state_dict(), **changes}


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"state": {}}, "keys must be 'state' and 'param_groups'"),
        (saved(param_groups=[{"params": [0, 1]}]), r"must have \[1\] parameters, got \[2\]"),
        (
            saved(param_groups=[{"params": [0], "lr": 1}]),
            r"lacks \['dampening'.*another optimizer's",
        ),
        (
            saved(param_groups=[{**saved()["param_groups"][0], "fused": 1}]),
            r"unknown options \['fused'\]",
        ),
        (saved(state={3: {}}), "no parameter has the number 3, there are 1"),
        (saved(state={0: {"exp_avg": None}}), "parameter 0 has unknown state 'exp_avg'"),
        (saved(state={0: {"momentum_buffer": np.ones(2)}}), r"must have shape \(1,\), got \(2,\)"),
    ],
)
def test_state_that_does_not_fit(state, message):
    optimizer = optim.SGD([parameter()], lr=0.2)
    with pytest.raises(ValueError, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["lr"] == 0.2
    assert optimizer.state == {}
