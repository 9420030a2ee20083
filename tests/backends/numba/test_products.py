"""What follows a matrix product in a kernel against the reference."""

import numpy as np
import pytest

from tests.backends.numba.compared import LAYOUTS, laid_out, same
from tests.helpers import normal
from tinygrad_bn.backend import get_backend

ACTIVATIONS = [None, "relu", "sigmoid", "tanh"]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("lead", [(), (0,), (1,), (7,), (2, 3), (700,)], ids=str)
@pytest.mark.parametrize("width", [1, 3, 64])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_linear(lead, width, dtype, activation):
    x, weight, bias = [normal(*s).astype(dtype) for s in ((*lead, 4), (width, 4), (width,))]
    same("linear", x, weight, bias, activation=activation)
    same("linear", x, weight, None, activation=activation)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_layouts(layout, activation):
    arrays = [laid_out(normal(*s), "float64", layout) for s in ((300, 40), (50, 40), (50,))]
    same("linear", *arrays, activation=activation)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_half_precision_and_mixed(activation):
    x, weight = normal(300, 4).astype("float32"), normal(50, 4).astype("float32")
    same("linear", x.astype("float16"), weight.astype("float16"), None, activation=activation)
    same("linear", x, weight, normal(50).astype("float16"), activation=activation)
    found = get_backend("numba").linear(x, weight, normal(50), activation=activation)
    assert found.dtype == np.float64


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_odd_numbers_survive(dtype, activation):
    """Each in its own row and column."""
    bias = np.zeros(50, dtype)
    bias[[3, 7, 11]] = np.nan, np.inf, -np.inf
    x = np.ones((300, 1), dtype)
    x[5] = np.nan
    same("linear", x, np.ones((50, 1), dtype), bias, activation=activation)
