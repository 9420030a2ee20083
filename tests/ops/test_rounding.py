"""Rounding to digits, and division with remainder: Python's `round` and `divmod`."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, distinct, integers
from tinygrad_bn.ops import round_digits


@pytest.mark.parametrize("digits", [-1, 0, 2])
def test_round_to_digits(digits, backend):
    x = 7.3 * distinct(3, 4)
    reference = lambda x, digits: np.round(x, digits)  # noqa: E731
    check_op(round_digits, [x], reference, backends=[backend], orders=(1,), digits=digits)


def test_round_of_a_tensor(backend):
    x = tg.Tensor([0.5, 1.5, -2.5, 1.25], requires_grad=True)
    assert round(x).tolist() == [0.0, 2.0, -2.0, 1.0]
    assert round(x, 1).tolist() == pytest.approx([0.5, 1.5, -2.5, 1.2])
    assert round(x, 1).dtype == tg.float32
    round(x, 1).backward(tg.ones_like(x))
    assert x.grad.tolist() == [0.0] * 4


def test_round_of_numbers_too_great_for_the_scale(backend):
    x = tg.Tensor([1e300, -math.inf, math.nan, 2.0], dtype="float64")
    assert round(x, 20).tolist()[:2] == [1e300, -math.inf]
    assert round(x, 20).tolist()[3] == 2.0


@pytest.mark.parametrize("dtype", ["int8", "int64", "uint8"])
def test_round_of_integers(dtype, backend):
    values = [0, 4, 5, 6, 14, 15, 25, 96, 104]
    values += [] if dtype == "uint8" else [-5, -6, -15, -104]
    x = tg.Tensor(values, dtype=dtype)
    assert round(x, 2).tolist() == values
    assert round(x, -1).tolist() == [round(v, -1) for v in values]
    assert round(x, -1).dtype == x.dtype
    assert round(x, -30).tolist() == [0] * len(values)


def test_round_needs_whole_digits():
    with pytest.raises(TypeError, match=r"round: ndigits must be an integer, got 1\.5"):
        round(tg.Tensor([1.0]), 1.5)


def test_divmod(backend):
    x, y = distinct(3, 4), 0.7 + np.abs(distinct(4))
    for a, b in ((x, y), (x, 0.7), (9.5, y)):
        expected = divmod(a, b)
        left, right = [tg.Tensor(v) if isinstance(v, np.ndarray) else v for v in (a, b)]
        found = divmod(left, right)
        for f, e in zip(found, expected, strict=True):
            np.testing.assert_allclose(f.numpy(), e)
    quotient, rest = divmod(tg.Tensor([7, -7]), 2)
    assert (quotient.tolist(), rest.tolist()) == ([3, -4], [1, 1])


@pytest.mark.parametrize("fn", [tg.floor_divide, tg.remainder])
def test_integers_have_no_infinity(fn, backend):
    x = tg.Tensor(integers(1, 9, 3))
    message = rf"{fn.__name__}: x2 must not be 0 for integers"
    for a, b in ((x, 0), (x, tg.Tensor([1, 0, 2])), (5, tg.Tensor([0])), (x, False)):
        with pytest.raises(ZeroDivisionError, match=message):
            fn(a, b)
    assert fn(tg.zeros((0,), dtype="int64"), tg.zeros((0,), dtype="int64")).shape == (0,)
    assert fn(0, x).tolist() == [0, 0, 0]
    assert not math.isfinite(fn(tg.Tensor(1.0), 0).item())


def test_in_place_operators_rebind(backend):
    for operator in ("+", "-", "*", "/", "//", "%", "**", "@"):
        x = kept = tg.Tensor([2.0, 3.0], requires_grad=True)
        names = {"x": x, "y": tg.Tensor([4.0, 5.0])}
        exec(f"x {operator}= y\nz = y\nz {operator}= 2.0" if operator != "@" else "x @= y", names)
        expected = {"kept": np.array([2.0, 3.0]), "y": np.array([4.0, 5.0])}
        wanted = eval(f"kept {operator} y", expected)
        np.testing.assert_allclose(names["x"].detach().numpy(), wanted, rtol=1e-6)
        assert names["x"].requires_grad
        assert kept.tolist() == [2.0, 3.0]
