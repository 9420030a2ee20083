"""Tensors that change backends, and their gradients."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn.autograd import grad
from tinygrad_bn.testing import compare_backends, gradcheck, gradgradcheck

WAYS = pytest.mark.parametrize(("here", "there"), [("numpy", "strict"), ("strict", "numpy")])


def leaf(values, backend):
    return tg.Tensor(values, dtype="float64", backend=backend, requires_grad=True)


@WAYS
def test_values_and_gradients_travel(here, there):
    x = leaf(normal(3), here)
    y = x.to(there)
    assert (y.backend, y.tolist()) == (there, x.tolist())
    tg.sum(y * y).backward()
    assert x.grad.backend == here
    assert np.allclose(x.grad.tolist(), 2 * normal(3))


@WAYS
def test_all_orders(here, there):
    def fn(x):
        y = (x * x).to(there)
        return tg.exp(y) * x.to(there)

    x = leaf(0.5 * normal(3), here)
    assert gradcheck(fn, x)
    assert gradgradcheck(fn, x)


@WAYS
def test_there_and_back(here, there):
    x = leaf(normal(3), here)
    y = tg.sum((x.to(there) * 2.0).to(here) * x)
    (g,) = grad(y, [x], create_graph=True)
    assert np.allclose(g.tolist(), 4 * normal(3))
    (h,) = grad(tg.sum(g), [x])
    assert h.tolist() == [4.0, 4.0, 4.0]


@WAYS
def test_gradient_with_respect_to_the_moved_tensor(here, there):
    x = leaf(normal(3), here)
    y = x.to(there)
    (g,) = grad(tg.sum(y * y), [y])
    assert g.backend == there
    assert x.grad is None


def test_to_the_same_backend_is_the_same_tensor(backend):
    x = tg.Tensor([1.0])
    assert x.to(backend) is x


@WAYS
def test_a_moved_tensor_shares_no_memory(here, there):
    x = tg.Tensor(normal(3), backend=here)
    y = x.to(there)
    y.assign(0.0)
    assert np.allclose(x.tolist(), normal(3))


def test_without_recording_there_is_no_graph():
    x = leaf(normal(3), "numpy")
    with tg.no_grad():
        assert x.to("strict").is_leaf
    assert tg.Tensor([1.0], backend="numpy").to("strict").is_leaf


@WAYS
def test_a_leaf_reached_by_two_ways(here, there):
    x = leaf([3.0], here)
    ((x * x).to(there) + x.to(there)).backward()
    assert x.grad.tolist() == [7.0]


def test_backends_agree():
    def fn(x, y):
        return tg.exp(x) @ y, [tg.sum(x * x, axis=0)]

    assert compare_backends(fn, [normal(2, 3), normal(3, 2)], ["numpy", "strict"])
