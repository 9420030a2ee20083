"""Zeros, infinities, NaNs and numbers that overflow: results, and no warnings (here errors)."""

import math
import threading
import warnings

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.autograd import checkpoint, primitive
from tinygrad_bn.testing.cases import known_cases

CASES = known_cases(0)
NASTY = np.array([0.0, -0.0, 1e-310, 1e300, -1e300, np.inf, -np.inf, np.nan, -1.0, 2.0])
REFUSED = (ValueError, TypeError, IndexError, np.linalg.LinAlgError)
NAMES = sorted(n for n in CASES if hasattr(tg, n) or hasattr(tg.linalg, n))


def warn_of_their_own():
    """NumPy code of the caller, which warns."""
    return np.float64(1.0) / np.zeros(1)


def nasty(value, dtype):
    """The array of a case with its numbers replaced by bad ones."""
    if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
        return value
    with np.errstate(over="ignore"):
        values = np.resize(NASTY, value.shape).astype(dtype)
    return tg.Tensor(values, requires_grad=True)


def pull_back(y, leaves):
    """Both readings of the derivative, for ordinary and for bad cotangents."""
    for g in (1.0, 0.0, math.inf):
        cotangent = tg.full_like(y, g)
        options = {"retain_graph": True, "allow_unused": True, "create_graph": True}
        tg.autograd.grad(y, leaves, cotangent, **options)
        y.backward(cotangent, retain_graph=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_operations_and_their_derivatives(name, dtype, backend):
    function = getattr(tg, name, None) or getattr(tg.linalg, name)
    for args, options in CASES[name]:
        tensors = [nasty(a, dtype) for a in args]
        try:
            y = function(*tensors, **options)
            y = y if isinstance(y, tg.Tensor) else y[0]
            if y.requires_grad and y.size:
                pull_back(y, [t for t in tensors if isinstance(t, tg.Tensor)])
        except REFUSED:  # a matrix that cannot be factored, say
            continue


def test_conversions(backend):
    assert tg.Tensor(1e300).item() == math.inf
    assert tg.Tensor([1e300], dtype="float64").astype("float32").tolist() == [math.inf]
    assert (tg.Tensor([2.0]) * 1e300).tolist() == [math.inf]
    assert tg.full((1,), 1e300).tolist() == [math.inf]
    t = tg.zeros((2,))
    t.assign(1e300)
    t[0] = np.float64(-1e300)
    assert t.tolist() == [-math.inf, math.inf]
    layer = nn.Linear(1, 1)
    layer.astype("float64").weight.assign(1e300)
    assert layer.astype("float32").weight.item() == math.inf


@pytest.mark.parametrize("optimizer", [optim.SGD, optim.Adam])
def test_a_diverging_training(optimizer, backend):
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 3))
    step = optimizer(model.parameters(), lr=1e38)
    for _ in range(4):
        step.zero_grad()
        loss = tg.cross_entropy(model(tg.full((6, 4), 1e30)), tg.arange(6) % 3)
        loss.backward()
        step.step()
    assert not math.isfinite(loss.item())


def test_the_users_numpy_code_warns():
    x = tg.Tensor([0.0], requires_grad=True)
    tg.log(x)
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        warn_of_their_own()
    with np.errstate(divide="raise"):
        tg.log(x).backward()
        with pytest.raises(FloatingPointError):
            warn_of_their_own()


def test_hooks_and_checkpointed_functions_warn():
    seen = []

    def hook(_):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            warn_of_their_own()
            tg.log(tg.Tensor([0.0]))
        seen.append(len(caught))

    def f(x):
        hook(x)
        return tg.log(x)

    x = tg.Tensor([0.0], requires_grad=True)
    x.register_hook(hook)
    y = checkpoint(f, x)
    y.backward()
    assert seen == [1, 1, 1]  # the first run, the replay, the hook


def test_a_primitive_of_the_users_is_quiet():
    @primitive(x=lambda B, g, x: g / x)
    def logarithm(B, x):
        return np.log(x)

    x = tg.Tensor([0.0], requires_grad=True)
    logarithm(x).backward()
    assert x.grad.tolist() == [math.inf]


def test_what_a_backend_raises_reaches_the_caller():
    with pytest.raises(ValueError, match=r"add: .*broadcast"):
        tg.add(tg.ones((2,)), tg.ones((3,)))


def test_threads_work_at_the_same_time():
    """Long enough that NumPy lets go of the interpreter in the middle of an operation."""
    results, errors = [], []

    def work(value):
        try:
            x = tg.Tensor(np.full((200, 200), value), requires_grad=True)
            for _ in range(100):
                y = x * 2.0 / 0.0
            y.backward(tg.zeros_like(y))
            results.append(y[0, 0].item())
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(v,)) for v in (1.0, -1.0, 0.0, 1e308)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sorted(map(str, results)) == ["-inf", "inf", "inf", "nan"]


def test_the_same_in_a_context_of_an_operation():
    """A backend's function that calls an operation itself finds the quiet context taken."""
    from tinygrad_bn.backend.quiet import calmly

    x = tg.Tensor([0.0])
    assert calmly(tg.log, x).item() == -math.inf
