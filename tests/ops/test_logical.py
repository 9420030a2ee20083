"""Comparison, logic, bits, classification, parts of complex numbers."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, integers, normal
from tinygrad_bn import autograd

COMPARE = [tg.equal, tg.not_equal, tg.less, tg.less_equal, tg.greater, tg.greater_equal]
LOGIC = [tg.logical_and, tg.logical_or, tg.logical_xor]
BITS = [tg.bitwise_and, tg.bitwise_or, tg.bitwise_xor]
SHIFTS = [(tg.bitwise_left_shift, np.left_shift), (tg.bitwise_right_shift, np.right_shift)]
SPECIAL = np.array([0.0, -0.0, 1.5, -math.inf, math.inf, math.nan])


def check(backend, fn, inputs, reference=None):
    reference = reference or getattr(np, fn.__name__)
    check_op(fn, inputs, reference, backends=[backend], orders=(), float32=False)


@pytest.mark.parametrize("fn", COMPARE)
def test_comparisons(backend, fn):
    x = integers(0, 3, 3, 4).astype("float64")
    check(backend, fn, [x, integers(0, 3, 4).astype("float64")])
    check(backend, fn, [integers(0, 3, 3, 4), integers(0, 3, 4)])
    t = tg.Tensor([1.0, 2.0])
    assert fn(t, 1.0).tolist() == getattr(np, fn.__name__)(t.numpy(), 1.0).tolist()


@pytest.mark.parametrize("fn", LOGIC)
def test_logic(backend, fn):
    check(backend, fn, [booleans(3, 4), booleans(4)])


@pytest.mark.parametrize("fn", BITS)
def test_bits(backend, fn):
    check(backend, fn, [integers(0, 16, 3, 4), integers(0, 16, 4)])
    check(backend, fn, [booleans(3, 4), booleans(4)])


@pytest.mark.parametrize(("fn", "reference"), SHIFTS)
def test_shifts(backend, fn, reference):
    check(backend, fn, [integers(-16, 16, 3, 4), integers(0, 4, 4)], reference)


def test_not(backend):
    check(backend, tg.logical_not, [booleans(3, 4)])
    check(backend, tg.bitwise_invert, [integers(-16, 16, 3, 4)], np.invert)


@pytest.mark.parametrize("fn", [tg.isfinite, tg.isinf, tg.isnan, tg.signbit])
def test_classification(backend, fn):
    check(backend, fn, [SPECIAL])


def test_nextafter(backend):
    check(backend, tg.nextafter, [normal(3, 4), normal(4)])


def test_parts_of_complex_numbers(backend):
    z = normal(3, 4) + 1j * normal(3, 4, seed=1)
    for fn in (tg.conj, tg.real, tg.imag):
        check(backend, fn, [z])


@pytest.mark.parametrize(("fn", "slope"), [(tg.conj, 1), (tg.real, 1), (tg.imag, 0)])
def test_parts_of_real_numbers_keep_the_graph(fn, slope):
    x = tg.Tensor([1.0, -2.0], requires_grad=True)
    assert autograd.grad(fn(x), x, tg.ones(2)).tolist() == [slope, slope]


def test_results_are_not_recorded(backend):
    x = tg.Tensor([1.0, -2.0], requires_grad=True)
    assert not (x > 0).requires_grad
    assert not tg.isnan(x).requires_grad
