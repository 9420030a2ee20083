"""Reductions: values and derivatives against NumPy, ties, zeros, accuracy, dtypes, errors."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, distinct, integers, normal

AXES = [None, 0, -1, (0, 2), (), (2, -3, 1)]


def _numpy(function):
    """The reference with the standard's names of arguments."""

    def reference(x, *, axis=None, correction=0, keepdims=False):
        extra = {"ddof": correction} if correction else {}
        return function(x, axis=axis, keepdims=keepdims, **extra)

    return reference


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["sum", "prod", "mean"])
def test_sums(name, axis, keepdims, backend):
    zero_size = [(2, 0, 3)] if name != "mean" else False
    check_op(
        getattr(tg, name),
        [distinct(2, 3, 4)],
        _numpy(getattr(np, name)),
        backends=[backend],
        axis=axis,
        keepdims=keepdims,
        zero_size=zero_size,
        accuracy32=1e-4,
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", AXES)
@pytest.mark.parametrize("name", ["max", "min"])
def test_extremes(name, axis, keepdims, backend):
    check_op(
        getattr(tg, name),
        [distinct(2, 3, 4)],
        _numpy(getattr(np, name)),
        backends=[backend],
        axis=axis,
        keepdims=keepdims,
        layouts=("contiguous", "transposed", "reversed"),
        zero_size=False,
    )


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("name", ["var", "std"])
@pytest.mark.parametrize("correction", [0, 1, 0.5])
def test_spread(name, axis, keepdims, correction, backend):
    check_op(
        getattr(tg, name),
        [normal(2, 3, 4)],
        _numpy(getattr(np, name)),
        backends=[backend],
        layouts=("contiguous", "transposed", "reversed"),
        axis=axis,
        keepdims=keepdims,
        correction=correction,
        zero_size=False,
    )


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 1)])
@pytest.mark.parametrize("name", ["all", "any", "count_nonzero"])
def test_tests(name, axis, backend):
    for x in (booleans(3, 4), integers(0, 2, 3, 4), np.array([[0.0, np.nan], [1.0, 0.0]])):
        check_op(
            getattr(tg, name),
            [x],
            _numpy(getattr(np, name)),
            backends=[backend],
            axis=axis,
            orders=(),
            float32=False,
        )


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std", "all", "any"])
def test_a_scalar(name, backend):
    x = tg.asarray(np.array(3.0))
    result = getattr(tg, name)(x)
    assert result.shape == ()
    assert result.item() == getattr(np, name)(np.array(3.0))


def test_empty(backend):
    x = tg.zeros((0, 3))
    assert tg.sum(x, axis=0).tolist() == [0.0] * 3
    assert tg.prod(x, axis=0).tolist() == [1.0] * 3
    assert np.isnan(tg.var(x, axis=0).tolist()).all()
    assert np.isnan(tg.std(x, axis=0, keepdims=True).tolist()).all()
    assert tg.all(x).item() is True
    assert tg.any(x).item() is False
    assert tg.mean(x, axis=1).shape == (0,)
    with pytest.raises(ValueError, match=r"^max: .*x of shape \(0, 3\)"):
        tg.max(x)


@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint8", "uint32", "float32"])
@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std"])
def test_dtypes(name, dtype, backend):
    x = np.array([[1, 0, 1], [1, 1, 1]]).astype(dtype)
    expected = getattr(np, name)(x, axis=1)
    result = getattr(tg, name)(tg.asarray(x), axis=1)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("name", ["sum", "prod"])
def test_the_dtype_asked_for(name, backend):
    x = tg.asarray(np.array([1.5, 2.5], dtype=np.float32))
    assert getattr(tg, name)(x, dtype=tg.float64).dtype == tg.float64
    x.requires_grad = True
    getattr(tg, name)(x, dtype=tg.float64).backward()
    assert x.grad.dtype == tg.float32


@pytest.mark.parametrize("zeros", [[], [1], [0, 2], [0, 1, 2, 3]])
def test_prod_with_zeros(zeros, backend):
    x = np.array([2.0, -3.0, 0.5, 4.0])
    x[zeros] = 0.0
    t = tg.asarray(x, copy=True)
    t.requires_grad = True
    (first,) = tg.autograd.grad(tg.prod(t), [t], create_graph=True)
    others = np.array([np.prod(np.delete(x, i)) for i in range(4)])
    np.testing.assert_allclose(first.detach().numpy(), others)
    for i in range(4):
        second = tg.autograd.grad(first[i], t, retain_graph=True, create_graph=True)
        rest = [0.0 if i == j else np.prod(np.delete(x, [i, j])) for j in range(4)]
        np.testing.assert_allclose(second.detach().numpy(), rest)
        third = tg.autograd.grad(tg.sum(second), t, retain_graph=True)
        expected = [
            sum(np.prod(np.delete(x, [i, j, k])) for j in range(4) if len({i, j, k}) == 3)
            for k in range(4)
        ]
        np.testing.assert_allclose(third.numpy(), expected)


def test_ties_share_evenly(backend):
    x = tg.Tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    tg.max(x, axis=1).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)
    x.grad = None
    tg.min(x).backward()
    assert x.grad.tolist() == [[1.0, 0.0, 0.0], [0.0, 0.0, 0.0]]


def test_a_nan_is_the_extreme(backend):
    x = tg.Tensor([[1.0, np.nan], [2.0, 5.0]], requires_grad=True)
    top = tg.max(x, axis=1)
    assert np.isnan(top.tolist()).tolist() == [True, False]
    top.backward(tg.ones(2))
    assert x.grad.tolist() == [[0.5, 0.5], [0.0, 1.0]]


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e6])
def test_variance_of_far_away_data(shift, backend):
    x = (np.random.default_rng(0).standard_normal((3, 1000)) + shift).astype(np.float32)
    expected = np.var(x.astype(np.float64), axis=1)
    np.testing.assert_allclose(tg.var(tg.asarray(x), axis=1).numpy(), expected, rtol=2e-6)


def test_complex_statistics(backend):
    x = normal(3, 4) + 1j * normal(3, 4, seed=1)
    t = tg.asarray(x)
    np.testing.assert_allclose(tg.mean(t, axis=0).numpy(), x.mean(axis=0))
    np.testing.assert_allclose(tg.var(t, axis=0, correction=1).numpy(), x.var(axis=0, ddof=1))
    np.testing.assert_allclose(tg.std(t).item(), x.std())


def test_variance_of_equal_values_is_zero(backend):
    x = tg.full((1000,), 0.1, dtype=tg.float32)
    assert tg.var(x).item() <= 1e-16
    assert tg.std(x).item() >= 0.0


def test_std_is_flat_where_all_are_equal(backend):
    x = tg.Tensor([2.0, 2.0, 2.0], requires_grad=True)
    (first,) = tg.autograd.grad(tg.std(x), [x], create_graph=True)
    assert first.tolist() == [0.0] * 3
    assert tg.autograd.grad(tg.sum(first * first), x).tolist() == [0.0] * 3


def test_more_correction_than_values(backend):
    x = tg.Tensor([[1.0], [2.0]])
    assert np.isnan(tg.var(x, axis=1, correction=1).tolist()).all()


def test_float16_statistics_are_gathered_in_float32():
    x = tg.asarray(np.linspace(-6e4, 6e4, 2000, dtype=np.float16))
    assert tg.std(x / 1000).dtype == tg.float16
    np.testing.assert_allclose(tg.std(x).item(), np.std(x.numpy().astype(float)), rtol=1e-3)


def test_methods(backend):
    x = tg.asarray(distinct(2, 3))
    for name in ("sum", "prod", "mean", "max", "min", "var", "std", "all", "any"):
        expected = getattr(tg, name)(x, axis=1, keepdims=True).tolist()
        assert getattr(x, name)(1, keepdims=True).tolist() == expected


@pytest.mark.parametrize("name", ["sum", "prod", "mean", "max", "min", "var", "std", "all", "any"])
def test_errors_name_function_axis_and_shape(name, backend):
    x = tg.zeros((2, 3))
    with pytest.raises(ValueError, match=rf"^{name}: .*x of shape \(2, 3\), axis=5"):
        getattr(tg, name)(x, axis=5)


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "prod",
        "mean",
        "max",
        "min",
        "var",
        "std",
        "all",
        "any",
        "count_nonzero",
        "argmax",
        "argmin",
        "sort",
        "argsort",
    ],
)
def test_a_scalar_has_no_axis(name, axis, backend):
    message = f"^{name}: axis {axis} does not exist in a tensor of shape \\(\\)"
    with pytest.raises(ValueError, match=message):
        getattr(tg, name)(tg.asarray(1.0), axis=axis)
