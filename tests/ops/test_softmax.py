"""softmax, log_softmax, logsumexp."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, integers, normal
from tinygrad_bn import autograd

INF, NAN = math.inf, math.nan


def softmax(x, axis=-1):
    e = np.exp(x)
    return e / e.sum(axis=axis, keepdims=True)


def log_softmax(x, axis=-1):
    with np.errstate(divide="ignore"):
        return x - np.log(np.exp(x).sum(axis=axis, keepdims=True))


def logsumexp(x, axis=None, keepdims=False):
    with np.errstate(divide="ignore"):
        return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


@pytest.mark.parametrize("axis", [0, 1, -1, (0, 2), None])
@pytest.mark.parametrize(
    ("fn", "reference"), [(tg.softmax, softmax), (tg.log_softmax, log_softmax)]
)
def test_softmax(backend, fn, reference, axis):
    check_op(fn, [normal(3, 4, 2)], reference, backends=[backend], axis=axis)


def test_third_order(backend):
    check_op(tg.softmax, [normal(3, 4)], softmax, backends=[backend], orders=(3,))
    check_op(tg.log_softmax, [normal(3, 4)], log_softmax, backends=[backend], orders=(3,))


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_logsumexp(backend, axis, keepdims):
    check_op(
        tg.logsumexp,
        [normal(3, 4, 2)],
        logsumexp,
        backends=[backend],
        orders=(1, 2, 3),
        axis=axis,
        keepdims=keepdims,
    )


def test_empty(backend):
    x = tg.zeros((2, 0))
    assert tg.softmax(x, axis=1).shape == (2, 0)
    assert tg.log_softmax(x, axis=0).shape == (2, 0)
    assert tg.logsumexp(x, axis=1).tolist() == [-INF, -INF]
    assert tg.logsumexp(x, axis=0, keepdims=True).shape == (1, 0)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits(backend, dtype):
    x = tg.Tensor([[1e4, -1e4, 0.0], [-1e4, -1e4, -1e4]], dtype=dtype, requires_grad=True)
    third = 1 / 3
    expected = {
        tg.softmax: [[1, 0, 0], [third, third, third]],
        tg.log_softmax: [[0, -2e4, -1e4], [-math.log(3)] * 3],
        tg.logsumexp: [1e4, -1e4 + math.log(3)],
    }
    for fn, values in expected.items():
        y = fn(x, axis=1)
        np.testing.assert_allclose(y.detach().numpy(), values, rtol=1e-6)
        (d,) = autograd.grad((y * y).sum(), [x], create_graph=True)
        assert np.isfinite(d.detach().numpy()).all()
        assert np.isfinite(autograd.grad((d * d).sum(), x).numpy()).all()


def test_derivative_of_logsumexp_is_exact_for_large_numbers(backend):
    x = tg.Tensor([10_000.0, 9_999.0], requires_grad=True)
    d = autograd.grad(tg.logsumexp(x), x)
    np.testing.assert_allclose(d.numpy(), softmax(np.array([1.0, 0.0])), rtol=1e-6)


@pytest.mark.parametrize(
    ("values", "expected", "total"),
    [
        ([-INF, 1.0], [0, 1], 1),
        ([-INF, -INF], [NAN, NAN], -INF),
        ([INF, 1.0], [NAN, NAN], INF),
        ([NAN, 1.0], [NAN, NAN], NAN),
    ],
)
def test_infinities_and_nan(backend, values, expected, total):
    x = tg.Tensor(values)
    np.testing.assert_array_equal(tg.softmax(x).numpy(), expected)
    with np.errstate(divide="ignore"):
        np.testing.assert_array_equal(tg.log_softmax(x).numpy(), np.log(expected))
    np.testing.assert_array_equal(tg.logsumexp(x).numpy(), total)


def test_half_precision():
    x = normal(4, 6).astype("float16")
    for fn in (tg.softmax, tg.log_softmax, tg.logsumexp):
        y = fn(tg.Tensor(x))
        assert y.dtype == tg.float16
        exact = fn(tg.Tensor(x.astype("float64"))).numpy()
        np.testing.assert_allclose(y.numpy(), exact, rtol=1e-2)


def test_methods():
    x = tg.Tensor(normal(3, 4))
    assert x.softmax(0).tolist() == tg.softmax(x, axis=0).tolist()
    assert x.log_softmax().tolist() == tg.log_softmax(x).tolist()
    assert x.logsumexp(1, keepdims=True).shape == (3, 1)


@pytest.mark.parametrize("fn", [tg.softmax, tg.log_softmax, tg.logsumexp])
def test_bad_arguments_are_named(backend, fn):
    name = fn.__name__
    x = tg.ones((2, 3))
    with pytest.raises(ValueError, match=rf"{name}: axis .*got 2"):
        fn(x, axis=2)
    with pytest.raises(ValueError, match=rf"{name}: axis must name every axis once"):
        fn(x, axis=(0, -2))
    with pytest.raises(TypeError, match=f"{name}: x must be real floating point, got dtype int64"):
        fn(tg.Tensor(integers(0, 5, 3)))
