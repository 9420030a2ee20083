"""Exponentials, logarithms, trigonometric and hyperbolic functions."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, distinct, normal, positive, uniform
from tinygrad_bn import autograd

INSIDE = uniform(-0.9, 0.9, 3, 4)
UNARY = [
    (tg.acos, INSIDE, np.arccos),
    (tg.acosh, positive(3, 4) + 1, np.arccosh),
    (tg.asin, INSIDE, np.arcsin),
    (tg.asinh, normal(3, 4), np.arcsinh),
    (tg.atan, normal(3, 4), np.arctan),
    (tg.atanh, INSIDE, np.arctanh),
    (tg.cos, normal(3, 4), np.cos),
    (tg.cosh, normal(3, 4), np.cosh),
    (tg.exp, normal(3, 4), np.exp),
    (tg.expm1, normal(3, 4), np.expm1),
    (tg.log, positive(3, 4), np.log),
    (tg.log10, positive(3, 4), np.log10),
    (tg.log1p, positive(3, 4), np.log1p),
    (tg.log2, positive(3, 4), np.log2),
    (tg.sin, normal(3, 4), np.sin),
    (tg.sinh, normal(3, 4), np.sinh),
    (tg.tan, INSIDE, np.tan),
    (tg.tanh, normal(3, 4), np.tanh),
]


@pytest.mark.parametrize(("fn", "x", "reference"), UNARY, ids=lambda v: getattr(v, "__name__", ""))
def test_unary(backend, fn, x, reference):
    check_op(fn, [x], reference, backends=[backend], orders=(1, 2, 3))


def test_atan2(backend):
    check_op(tg.atan2, [distinct(3, 4), distinct(4)], np.arctan2, backends=[backend])


def test_logaddexp(backend):
    check_op(tg.logaddexp, [normal(3, 4), normal(3, 1)], np.logaddexp, backends=[backend])


@pytest.mark.parametrize("fn", [tg.atan2, tg.logaddexp])
def test_python_scalars_keep_the_dtype(backend, fn):
    x = tg.Tensor([0.5, 2.0], requires_grad=True)
    assert fn(x, 1.0).dtype == tg.float32
    assert fn(1.0, x).dtype == tg.float32
    assert autograd.grad(fn(1.0, x), x, tg.ones(2)).dtype == tg.float32


@pytest.mark.parametrize("fn", [f for f, *_ in UNARY if f.__name__ not in ("acosh", "atanh")])
def test_complex(backend, fn):
    z = np.array([0.3 + 0.2j, 0.5 - 0.4j])
    reference = next(r for f, _, r in UNARY if f is fn)
    np.testing.assert_allclose(fn(tg.Tensor(z)).numpy(), reference(z), rtol=1e-12)


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_logaddexp_of_large_numbers(backend, value):
    x = tg.Tensor([value], requires_grad=True)
    y = tg.logaddexp(x, tg.Tensor([0.0]))
    (d,) = autograd.grad(y, [x], create_graph=True)
    assert y.item() == max(value, 0)
    assert d.item() == (value > 0)
    assert autograd.grad(d, x).item() == 0


def test_atan2_of_large_and_small_numbers(backend):
    for size in (1e-30, 1e30):
        x = tg.Tensor([size], requires_grad=True)
        (d,) = autograd.grad(tg.atan2(x, tg.Tensor([size])), [x], tg.Tensor([size]))
        np.testing.assert_allclose(d.numpy(), [0.5], rtol=1e-6)


def test_accurate_near_zero(backend):
    x = tg.Tensor([1e-12], dtype="float64")
    assert tg.expm1(x).item() == math.expm1(1e-12)
    assert tg.log1p(x).item() == math.log1p(1e-12)


def test_tanh_of_large_numbers(backend):
    x = tg.Tensor([1e4, -1e4], requires_grad=True)
    y = tg.tanh(x)
    assert y.tolist() == [1, -1]
    assert autograd.grad(y, x, tg.ones(2)).tolist() == [0, 0]
