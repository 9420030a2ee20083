"""Arithmetic, rounding, and choice between elements."""

import inspect
import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, distinct, integers, normal, positive
from tinygrad_bn import autograd

UNARY = [
    (tg.abs, distinct(3, 4), np.abs, (1, 2)),
    (tg.ceil, distinct(3, 4), np.ceil, (1,)),
    (tg.floor, distinct(3, 4), np.floor, (1,)),
    (tg.negative, normal(3, 4), np.negative, (1, 2)),
    (tg.positive, normal(3, 4), np.positive, (1, 2)),
    (tg.reciprocal, positive(3, 4), np.reciprocal, (1, 2, 3)),
    (tg.round, distinct(3, 4), np.round, (1,)),
    (tg.sign, distinct(3, 4), np.sign, (1,)),
    (tg.sqrt, positive(3, 4), np.sqrt, (1, 2, 3)),
    (tg.square, normal(3, 4), np.square, (1, 2, 3)),
    (tg.trunc, distinct(3, 4), np.trunc, (1,)),
]
BINARY = [
    (tg.add, normal(3, 4), normal(4), np.add),
    (tg.copysign, distinct(3, 4), distinct(4), np.copysign),
    (tg.divide, normal(3, 4), positive(3, 1), np.divide),
    (tg.floor_divide, distinct(3, 4), positive(3, 4), np.floor_divide),
    (tg.hypot, distinct(3, 4), distinct(4), np.hypot),
    (tg.maximum, distinct(3, 4), distinct(4) + 0.05, np.maximum),
    (tg.minimum, distinct(3, 4), distinct(4) + 0.05, np.minimum),
    (tg.multiply, normal(3, 4), normal(3, 1), np.multiply),
    (tg.pow, positive(3, 4), normal(4), np.power),
    (tg.remainder, distinct(3, 4), positive(3, 4), np.remainder),
    (tg.subtract, normal(3, 4), normal(1, 4), np.subtract),
]


@pytest.mark.parametrize(("fn", "x", "reference", "orders"), UNARY, ids=lambda v: _name(v))
def test_unary(backend, fn, x, reference, orders):
    check_op(fn, [x], reference, backends=[backend], orders=orders)


@pytest.mark.parametrize(("fn", "x1", "x2", "reference"), BINARY, ids=lambda v: _name(v))
def test_binary(backend, fn, x1, x2, reference):
    check_op(fn, [x1, x2], reference, backends=[backend])


def _name(value):
    return getattr(value, "__name__", "")


@pytest.mark.parametrize("scalar", [2, 2.5, 1, 0, -1.5, 3])
def test_pow_of_a_scalar_exponent(backend, scalar):
    check_op(lambda x: tg.pow(x, scalar), [positive(3, 4)], lambda x: x**scalar, backends=[backend])


def test_pow_of_a_scalar_base(backend):
    check_op(lambda x: tg.pow(2.0, x), [normal(3, 4)], lambda x: 2.0**x, backends=[backend])


@pytest.mark.parametrize("scalar_first", [False, True])
@pytest.mark.parametrize("fn", [f for f, *_ in BINARY], ids=_name)
def test_python_scalars_keep_the_dtype(backend, fn, scalar_first):
    x = tg.Tensor([0.6, 1.7], dtype="float32")
    y = fn(1.25, x) if scalar_first else fn(x, 1.25)
    arrays = (np.float32(1.25), x.numpy()) if scalar_first else (x.numpy(), np.float32(1.25))
    reference = next(r for f, _, _, r in BINARY if f is fn)
    assert y.dtype == tg.float32
    np.testing.assert_allclose(y.numpy(), reference(*arrays), rtol=1e-6)


@pytest.mark.parametrize(
    "fn",
    [tg.add, tg.subtract, tg.multiply, tg.floor_divide, tg.remainder, tg.maximum, tg.minimum],
    ids=_name,
)
def test_integers(backend, fn):
    x1, x2 = integers(-5, 5, 3, 4), integers(1, 5, 3, 4)
    reference = getattr(np, fn.__name__)
    check_op(fn, [x1, x2], reference, backends=[backend], orders=(), float32=False)


@pytest.mark.parametrize(
    "fn", [tg.abs, tg.ceil, tg.floor, tg.round, tg.sign, tg.square, tg.trunc], ids=_name
)
def test_unary_of_integers(backend, fn):
    reference = getattr(np, fn.__name__)
    check_op(fn, [integers(-5, 5, 6)], reference, backends=[backend], orders=(), float32=False)


@pytest.mark.parametrize("fn", [tg.add, tg.multiply, tg.divide, tg.pow, tg.subtract], ids=_name)
def test_complex(backend, fn):
    z = tg.Tensor([1 + 2j, -0.5j], dtype="complex128")
    reference = {"pow": np.power}.get(fn.__name__) or getattr(np, fn.__name__)
    np.testing.assert_allclose(fn(z, z + 1).numpy(), reference(z.numpy(), z.numpy() + 1))


@pytest.mark.parametrize("fn", [tg.abs, tg.sign, tg.sqrt, tg.square, tg.reciprocal], ids=_name)
def test_unary_of_complex(backend, fn):
    z = np.array([1 + 2j, -0.5j])
    np.testing.assert_allclose(fn(tg.Tensor(z)).numpy(), getattr(np, fn.__name__)(z))


# -------------------------------------------------------------------------------------- choice


def test_clip(backend):
    x = distinct(3, 4)
    for low, high in [(-0.5, 0.9), (None, 0.9), (-0.5, None), (None, None)]:
        reference = np.clip(x, -np.inf if low is None else low, np.inf if high is None else high)
        check_op(
            lambda x, a=low, b=high: tg.clip(x, a, b),
            [x],
            (lambda x: x) if reference is x else None,
            backends=[backend],
        )
        got = tg.clip(tg.Tensor(x), min=low, max=high).numpy()
        np.testing.assert_array_equal(got, reference)


def test_clip_to_arrays(backend):
    bounds = [distinct(4) - 0.6, distinct(3, 1) + 0.8]
    check_op(tg.clip, [distinct(3, 4), *bounds], np.clip, backends=[backend])


def test_clip_sends_the_gradient_to_what_was_taken(backend):
    x = tg.Tensor([0.0, 3.0, 5.0, 2.0, math.nan], requires_grad=True)
    low = tg.Tensor([1.0, 3.0, 7.0, 1.0, 1.0], requires_grad=True)
    high = tg.Tensor([2.0, 4.0, 3.0, 2.0, 2.0], requires_grad=True)
    y = tg.clip(x, low, high)
    dx, dlow, dhigh = autograd.grad(y, [x, low, high], tg.ones(5))
    assert y.tolist()[:4] == [1, 3, 3, 2]
    assert dx.tolist() == [0, 1, 0, 1, 0]
    assert dlow.tolist() == [1, 0, 0, 0, 0]
    assert dhigh.tolist() == [0, 0, 1, 0, 0]
    (d,) = autograd.grad(tg.clip(x, 8.0, high), [high], tg.ones(5))
    assert d.tolist() == [1, 1, 1, 1, 1]
    (d,) = autograd.grad(tg.clip(x, low, 6.0), [low], tg.ones(5))
    assert d.tolist() == [1, 0, 0, 0, 0]


def test_where(backend):
    condition = booleans(3, 4)
    check_op(tg.where, [condition, normal(3, 4), normal(4)], np.where, backends=[backend])


def test_where_of_scalars(backend):
    condition = tg.Tensor([True, False])
    x = tg.Tensor([1.0, 2.0])
    assert tg.where(condition, x, 0.0).tolist() == [1, 0]
    assert tg.where(condition, 1.0, 0.0).dtype == tg.float32
    assert tg.where(condition, 1, 0).dtype == tg.int64
    assert tg.where(condition, True, False).tolist() == [True, False]
    assert tg.where(True, x, 0.0).tolist() == [1, 2]


def test_where_refuses_a_condition_of_numbers(backend):
    x = tg.Tensor([1.0, 0.0])
    with pytest.raises(TypeError, match="where: condition must be boolean, got dtype float32"):
        tg.where(x, x, x)


@pytest.mark.parametrize("fn", [tg.maximum, tg.minimum], ids=_name)
def test_ties_share_the_gradient_and_nan_passes_it(backend, fn):
    x1 = tg.Tensor([1.0, 1.0, math.nan], requires_grad=True)
    x2 = tg.Tensor([1.0, 2.0, 0.0], requires_grad=True)
    y = fn(x1, x2)
    d1, d2 = autograd.grad(y, [x1, x2], tg.Tensor([1.0, 3.0, 1.0]))
    first_wins = 3.0 if fn is tg.minimum else 0.0
    assert math.isnan(y.tolist()[2])
    assert d1.tolist() == [0.5, first_wins, 1]
    assert d2.tolist() == [0.5, 3 - first_wins, 1]


# --------------------------------------------------------------------------------------- edges


def test_subgradients_at_kinks(backend):
    x = tg.Tensor([0.0, -0.0, 2.0], requires_grad=True)
    for fn, expected in [(tg.abs, [0, 0, 1]), (tg.sign, [0] * 3), (tg.round, [0] * 3)]:
        assert autograd.grad(fn(x), x, tg.ones(3)).tolist() == expected


def test_hypot_neither_overflows_nor_divides_by_zero(backend):
    x = tg.Tensor([0.0, 3e30], requires_grad=True)
    y = tg.hypot(x, tg.Tensor([0.0, 4e30]))
    np.testing.assert_allclose(y.detach().numpy(), [0, 5e30], rtol=1e-6)
    np.testing.assert_allclose(autograd.grad(y, x, tg.ones(2)).numpy(), [0, 0.6], rtol=1e-6)


def test_pow_at_zero(backend):
    x = tg.Tensor([0.0, 0.0, 0.0], requires_grad=True)
    y = tg.Tensor([0.0, 1.0, 2.0], requires_grad=True)
    dx, dy = autograd.grad(tg.pow(x, y), [x, y], tg.ones(3))
    assert dx.tolist() == [0, 1, 0]
    assert dy.tolist() == [0, 0, 0]
    assert autograd.grad(x**0, x, tg.ones(3)).tolist() == [0, 0, 0]
    assert autograd.grad(tg.pow(0.0, y), y, tg.ones(3)).tolist() == [0, 0, 0]


def test_masked_keeps_infinities_out(backend):
    x = tg.Tensor([1.0, -1.0], requires_grad=True)
    y = tg.where(x > 0, x, 2 * x)
    g = tg.Tensor([math.inf, math.nan])
    dx1, dx2 = (autograd.grad(tg.where(x > 0, a, b), x, g) for a, b in [(x, 0.0), (0.0, x)])
    assert dx1.tolist() == [math.inf, 0]
    assert dx2.tolist()[0] == 0
    assert y.shape == (2,)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_masked_of_every_precision(dtype):
    g = np.asarray([[1.5, -2.5], [3.5, math.inf]], dtype=dtype)
    mask = np.array([[True, False], [True, False]])
    backend = tg.Tensor(0.0)._backend
    for array in (g, g.T, g[::-1]):
        expected = np.where(mask, array, 0).astype(dtype)
        got = backend.masked(array, mask)
        assert got.dtype == dtype
        np.testing.assert_array_equal(got, expected)
    np.testing.assert_array_equal(backend.masked(g, mask[0]), np.where(mask[0], g, 0))


METHODS = "abs ceil cos cosh erf exp expm1 floor gelu isfinite isinf isnan log log1p reciprocal"
METHODS += " relu round sigmoid sign sin sinh sqrt square tan tanh trunc"


@pytest.mark.parametrize("name", METHODS.split())
def test_methods_are_the_functions(name):
    x = tg.Tensor([0.5, 1.75])
    assert getattr(x, name)().tolist() == getattr(tg, name)(x).tolist()


def test_methods_of_two_arguments():
    x = tg.Tensor([0.5, 1.75])
    assert x.clip(max=1.0).tolist() == [0.5, 1]
    assert x.maximum(1.0).tolist() == [1, 1.75]
    assert x.minimum(1.0).tolist() == [0.5, 1]
    assert x.pow(2).tolist() == [0.25, 3.0625]
    assert tg.Tensor([1 + 2j]).conj().tolist() == [1 - 2j]


@pytest.mark.parametrize("fn", [f for f, *_ in BINARY], ids=_name)
def test_signatures_are_the_standards(fn):
    parameters = inspect.signature(fn).parameters
    assert list(parameters) == ["x1", "x2"]
    assert all(p.kind is p.POSITIONAL_ONLY for p in parameters.values())


def test_bad_input_is_named(backend):
    with pytest.raises(TypeError, match="maximum: argument 'x2' must be a tensor, got None"):
        tg.maximum(tg.ones(2), None)
