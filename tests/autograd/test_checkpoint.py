"""`checkpoint`: the same values and gradients, less memory."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import SEED, normal
from tinygrad_bn.autograd import checkpoint, grad, is_recomputing, no_grad, primitive
from tinygrad_bn.backend import rng
from tinygrad_bn.testing import gradcheck, gradgradcheck


def leaf(values):
    return tg.Tensor(values, dtype="float64", requires_grad=True)


def block(x, w):
    return tg.exp(x * w) / (1.0 + x * x)


def run(fn, *arguments):
    """Value and gradients, as bytes."""
    leaves = [leaf(a) for a in arguments]
    y = fn(*leaves)
    tg.sum(y * y).backward()
    values = [y.detach().numpy(), *[t.grad.numpy() for t in leaves]]
    return [v.tobytes() for v in values]


def test_bitwise_the_same(backend):
    x, w = normal(5, 3), normal(3)
    assert run(lambda x, w: checkpoint(block, x, w), x, w) == run(block, x, w)


def test_several_in_a_row_and_nested(backend):
    def twice(x, w):
        return block(block(x, w), w)

    def nested(x, w):
        return checkpoint(lambda a, b: checkpoint(block, checkpoint(block, a, b), b), x, w)

    def in_a_row(x, w):
        return checkpoint(block, checkpoint(block, x, w), w)

    expected = run(twice, normal(4, 3), normal(3))
    assert run(nested, normal(4, 3), normal(3)) == expected
    assert run(in_a_row, normal(4, 3), normal(3)) == expected


def test_parameters_of_the_closure_get_gradients(backend):
    w, x = leaf(normal(3)), tg.Tensor(normal(3))
    tg.sum(checkpoint(lambda t: block(t, w), x)).backward()
    plain = leaf(normal(3))
    tg.sum(block(x, plain)).backward()
    assert w.grad.tolist() == plain.grad.tolist()


def test_derivatives_of_any_order(backend):
    inputs = [leaf(normal(3)), leaf(normal(3))]

    def fn(x, w):
        return checkpoint(block, x, w)

    assert gradcheck(fn, inputs)
    assert gradgradcheck(fn, inputs)


def test_nested_results(backend):
    x = leaf(normal(3))
    a, (b, rest) = checkpoint(lambda t: [t * t, (tg.exp(t), {"c": tg.sin(t)})], x)
    tg.sum(a + b + rest["c"]).backward()
    v = normal(3)
    assert np.allclose(x.grad.tolist(), 2 * v + np.exp(v) + np.cos(v))


@primitive(x=lambda B, g, noise: g * noise)
def scaled_by(B, x, *, noise):
    return x * noise


def noisy(x):
    draw = rng.stream(x._backend).uniform(x.shape, np.float64)
    return scaled_by(x * x, noise=x._backend.from_numpy(draw))


def test_random_numbers_are_repeated(backend):
    """The replay draws what the first run drew, and the stream goes on as if there was none."""
    results = []
    for fn in (noisy, lambda x: checkpoint(noisy, x)):
        rng.manual_seed(SEED)
        values = run(lambda x, fn=fn: fn(fn(x)), normal(4))
        after = rng.stream(leaf([1.0])._backend).uniform((3,), np.float64).tolist()
        results.append((values, after))
    assert results[0] == results[1]


def test_the_replay_says_that_it_is_one():
    seen = []

    def fn(x):
        seen.append(is_recomputing())
        return x * x

    tg.sum(checkpoint(fn, leaf([1.0]))).backward()
    assert seen == [False, True]
    assert not is_recomputing()


def test_one_replay_serves_all_nodes():
    calls = []

    def fn(x):
        calls.append(1)
        return tg.exp(tg.exp(x * x) * x)

    x = leaf([0.1])
    y = checkpoint(fn, x)
    y.backward(retain_graph=True)
    assert len(calls) == 2
    first = x.grad.tolist()
    x.grad = None
    y.backward()
    assert len(calls) == 3
    assert x.grad.tolist() == first
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_a_function_that_does_something_else_the_second_time():
    calls = []

    def fn(x):
        calls.append(1)
        return x * x if len(calls) == 1 else tg.exp(x * x)

    y = checkpoint(fn, leaf([1.0]))
    message = (
        "checkpoint: the function did not do the same operations when it was run again: 1 recorded "
        r"first, 2 in the replay; it must depend on its arguments and on tinygrad_bn's random "
        "numbers only"
    )
    with pytest.raises(RuntimeError, match=message):
        y.backward()
    assert not is_recomputing()


def test_a_function_that_fails_in_the_replay():
    calls = []

    def fn(x):
        calls.append(1)
        if len(calls) > 1:
            raise OSError("gone")
        return x * x

    y = checkpoint(fn, leaf([1.0]))
    with pytest.raises(OSError, match="gone"):
        y.backward()
    assert not is_recomputing()


def test_under_no_grad_it_is_a_call():
    x = leaf([2.0])
    with no_grad():
        assert checkpoint(lambda t: t * t, x).is_leaf


def test_arguments_that_are_no_tensors():
    x = leaf([2.0])
    checkpoint(lambda t, k, name: t * t * k, x, 3.0, "name").backward()
    assert x.grad.tolist() == [12.0]


def test_grad_with_respect_to_what_is_outside(backend):
    x = leaf(normal(3))
    y = x * 2.0
    z = tg.sum(checkpoint(tg.exp, y))
    (gy,) = grad(z, [y])
    assert np.allclose(gy.tolist(), np.exp(2 * normal(3)))


def test_memory_is_lower():
    n = 2**18

    def deep(x):
        for _ in range(10):
            x = tg.sin(x)
        return x

    peaks = {}
    for name, fn in (("plain", deep), ("checkpoint", lambda x: checkpoint(deep, x))):
        x = tg.Tensor(np.ones(n, dtype="float32"), requires_grad=True)
        tracemalloc.start()
        y = x
        for _ in range(4):
            y = fn(y)
        kept = tracemalloc.get_traced_memory()[0]
        tg.sum(y).backward()
        peaks[name] = kept, tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    megabyte = 2**20
    assert peaks["plain"][0] > 35 * megabyte
    assert peaks["checkpoint"][0] < 6 * megabyte
    assert peaks["checkpoint"][1] < 0.5 * peaks["plain"][1]
