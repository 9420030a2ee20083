"""Activation functions."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, distinct, integers, normal, uniform
from tinygrad_bn import autograd
from tinygrad_bn.backend import Backend, get_backend

INF, NAN = math.inf, math.nan
erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def softplus(x):
    return np.log1p(np.exp(x))


def selu(x):
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * np.where(x > 0, x, alpha * np.expm1(x))


def gelu_tanh(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


X = 2 * distinct(3, 5)
CASES = {
    "elu": (tg.elu, lambda x: np.where(x > 0, x, np.expm1(x))),
    "elu(1.7)": (lambda x: tg.elu(x, 1.7), lambda x: np.where(x > 0, x, 1.7 * np.expm1(x))),
    "erf": (tg.erf, erf),
    "gelu": (tg.gelu, lambda x: 0.5 * x * (1 + erf(x / math.sqrt(2)))),
    "gelu(tanh)": (lambda x: tg.gelu(x, approximate="tanh"), gelu_tanh),
    "leaky_relu": (tg.leaky_relu, lambda x: np.where(x > 0, x, 0.01 * x)),
    "leaky_relu(0.3)": (lambda x: tg.leaky_relu(x, 0.3), lambda x: np.where(x > 0, x, 0.3 * x)),
    "mish": (tg.mish, lambda x: x * np.tanh(softplus(x))),
    "selu": (tg.selu, selu),
    "sigmoid": (tg.sigmoid, sigmoid),
    "silu": (tg.silu, lambda x: x * sigmoid(x)),
    "softplus": (tg.softplus, softplus),
    "softplus(2, 3)": (
        lambda x: tg.softplus(x, beta=2.0, threshold=3.0),
        lambda x: np.where(2 * x > 3, x, softplus(2 * x) / 2),
    ),
    "softplus(-1)": (lambda x: tg.softplus(x, beta=-1.0), lambda x: -softplus(-x)),
}
PIECEWISE = ("relu", "leaky_relu", "leaky_relu(0.3)")


@pytest.mark.parametrize("name", CASES)
def test_values_and_derivatives(backend, name):
    fn, reference = CASES[name]
    orders = (1,) if name in PIECEWISE else (1, 2, 3)
    check_op(fn, [X], reference, backends=[backend], orders=orders)


def test_relu(backend):
    check_op(tg.relu, [X], lambda x: np.maximum(x, 0), backends=[backend], orders=(1, 2))


# Value and derivative at -10000, -0, 0 and 10000.
AT = {
    "relu": ([0, 0, 0, 1e4], [0, 0, 0, 1]),
    "leaky_relu": ([-100, 0, 0, 1e4], [0.01, 0.01, 0.01, 1]),
    "elu": ([-1, 0, 0, 1e4], [0, 1, 1, 1]),
    "selu": ([-1.7580993, 0, 0, 1.0507010e4], [0, 1.7580993, 1.7580993, 1.0507010]),
    "sigmoid": ([0, 0.5, 0.5, 1], [0, 0.25, 0.25, 0]),
    "silu": ([0, 0, 0, 1e4], [0, 0.5, 0.5, 1]),
    "mish": ([0, 0, 0, 1e4], [0, 0.6, 0.6, 1]),
    "gelu": ([0, 0, 0, 1e4], [0, 0.5, 0.5, 1]),
    "softplus": ([0, math.log(2), math.log(2), 1e4], [0, 0.5, 0.5, 1]),
    "erf": ([-1, 0, 0, 1], [0, 1.1283792, 1.1283792, 0]),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", AT)
def test_far_out_and_at_the_kink(backend, name, dtype):
    x = tg.Tensor([-1e4, -0.0, 0.0, 1e4], dtype=dtype, requires_grad=True)
    y = getattr(tg, name)(x)
    (d,) = autograd.grad(y, [x], tg.ones(4, dtype=dtype), create_graph=True)
    np.testing.assert_allclose(y.detach().numpy(), AT[name][0], rtol=1e-6, atol=1e-30)
    np.testing.assert_allclose(d.detach().numpy(), AT[name][1], rtol=1e-6, atol=1e-30)
    if d.requires_grad:
        second = autograd.grad(d, x, tg.ones(4, dtype=dtype), allow_unused=True)
        assert second is None or np.isfinite(second.numpy()).all()


LIMITS = {
    "relu": [0, INF, NAN],
    "leaky_relu": [-INF, INF, NAN],
    "elu": [-1, INF, NAN],
    "sigmoid": [0, 1, NAN],
    "softplus": [0, INF, NAN],
    "silu": [NAN, INF, NAN],
    "mish": [NAN, INF, NAN],
    "gelu": [NAN, INF, NAN],
    "erf": [-1, 1, NAN],
}


@pytest.mark.parametrize("name", LIMITS)
def test_infinities_and_nan(backend, name):
    y = getattr(tg, name)(tg.Tensor([-INF, INF, NAN]))
    np.testing.assert_array_equal(y.numpy(), LIMITS[name])


@pytest.mark.parametrize("approximate", ["none", "tanh"])
def test_gelu_of_huge_numbers(backend, approximate):
    x = tg.Tensor([-1e30, 1e30], requires_grad=True)
    y = tg.gelu(x, approximate)
    np.testing.assert_allclose(y.detach().numpy(), [0, 1e30], rtol=1e-6)
    assert autograd.grad(y, x, tg.ones(2)).tolist() == [0, 1]


def test_relu_passes_nothing_where_it_is_off(backend):
    x = tg.Tensor([-1.0, -1.0, 1.0, NAN], requires_grad=True)
    d = autograd.grad(tg.relu(x), x, tg.Tensor([INF, NAN, 2.0, 3.0]))
    assert d.tolist() == [0, 0, 2, 3]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sigmoid_is_accurate_in_the_tail(backend, dtype):
    x = np.linspace(-80, 30, 1001).astype(dtype)
    exact = np.exp(np.minimum(x.astype("float64"), 0)) / (1 + np.exp(-np.abs(x.astype("float64"))))
    error = np.abs(tg.sigmoid(tg.Tensor(x)).numpy() / exact - 1)
    assert error.max() < 4 * np.finfo(dtype).eps


def _ulps(x, dtype):
    exact = erf(x.astype("float64"))
    got = tg.erf(tg.Tensor(x)).numpy()
    assert got.dtype == dtype
    return np.abs(got.astype("float64") - exact) / np.spacing(np.abs(exact.astype(dtype)))


@pytest.mark.parametrize(("dtype", "ulps"), [("float64", 1.5), ("float32", 2.0)])
def test_erf_is_accurate(backend, dtype, ulps):
    points = [
        uniform(-7, 7, 20_000),
        uniform(-1.1, 1.1, 20_000),
        10 ** uniform(-30, 0, 5_000),
        np.linspace(0.99, 1.01, 1001),
        [1.0, -1.0, 4.0, 6.0, 30.0],
    ]
    x = np.concatenate(points).astype(dtype)
    assert _ulps(x, dtype).max() <= ulps


def test_erf_is_odd_and_keeps_the_sign_of_zero(backend):
    x = uniform(0, 7, 1000)
    positive, negative = (tg.erf(tg.Tensor(v)).numpy() for v in (x, -x))
    np.testing.assert_array_equal(positive, -negative)
    assert math.copysign(1, tg.erf(tg.Tensor([-0.0])).item()) == -1


@pytest.mark.parametrize("name", [*AT, "gelu"])
def test_half_precision(name):
    x = normal(50).astype("float16")
    y = getattr(tg, name)(tg.Tensor(x))
    exact = getattr(tg, name)(tg.Tensor(x.astype("float64"))).numpy()
    assert y.dtype == tg.float16
    np.testing.assert_allclose(y.numpy(), exact, rtol=4e-3, atol=2e-3)


@pytest.mark.parametrize("name", AT)
def test_scalars_and_zero_dimensional_tensors(backend, name):
    fn = getattr(tg, name)
    x = tg.Tensor(0.75, requires_grad=True)
    y = fn(x)
    assert y.shape == ()
    assert autograd.grad(y, x).shape == ()
    assert fn(0.75).item() == pytest.approx(y.item())


@pytest.mark.parametrize("name", ["relu", "sigmoid", "clip", "masked"])
def test_overrides_agree_with_the_reference(name):
    numpy = get_backend("numpy")
    x = distinct(6, 5).astype("float32")
    extra = {"clip": (-0.5, 0.7), "masked": (x > 0,)}.get(name, ())
    reference = getattr(Backend, name)(numpy, x, *extra)
    np.testing.assert_allclose(getattr(numpy, name)(x, *extra), reference, rtol=1e-6)


def test_methods():
    x = tg.Tensor([-1.0, 0.5])
    for name in ("relu", "sigmoid", "erf", "gelu"):
        assert getattr(x, name)().tolist() == getattr(tg, name)(x).tolist()


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("name", AT)
def test_integers_are_refused(backend, name):
    with pytest.raises(TypeError, match=f"{name}: x must be real floating point, got dtype int64"):
        getattr(tg, name)(tg.Tensor(integers(0, 5, 3)))


def test_options_are_checked(backend):
    x = tg.ones(2)
    with pytest.raises(ValueError, match="softplus: beta must not be 0, got 0"):
        tg.softplus(x, beta=0)
    with pytest.raises(ValueError, match="gelu: approximate must be 'none' or 'tanh', got 'erf'"):
        tg.gelu(x, approximate="erf")
