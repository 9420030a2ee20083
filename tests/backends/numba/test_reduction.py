"""Sums and means in kernels against the reference."""

import numpy as np
import pytest
from tinygrad_bn.backends.numba import reduction

from tests.backends.numba.compared import LAYOUTS, laid_out, same
from tests.helpers import normal
from tinygrad_bn.backend import get_backend

SHAPES = [
    (1 << 16,),
    ((1 << 16) + 5,),
    (3, 40_000),
    (40_000, 3),
    (70, 1000),
    (2, 300, 150),
    (1, 70_000),
    (70_000, 1),
    (0, 70_000),
    (3, 5),
]
AXES = {1: [None, 0, ()], 2: [None, 0, 1, -1, (0, 1)], 3: [None, 0, 1, 2, (0, 1), (2, 1), (0, 2)]}


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "bool"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_and_means(shape, dtype, layout):
    x = laid_out(np.abs(normal(*shape)), dtype, layout)
    for axis in AXES[len(shape)]:
        for keepdims in (False, True):
            if dtype != "float16":  # NumPy adds up small numbers in its own order
                same("sum", x, axis=axis, keepdims=keepdims)
            if 0 not in shape:
                same("mean", x, axis=axis, keepdims=keepdims)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_odd_numbers_stay_in_their_sum(axis, value):
    x = np.abs(normal(400, 300)).astype("float32")  # the reference loses digits where terms cancel
    x[7, 11] = value
    same("sum", x, axis=axis)
    same("mean", x, axis=axis)


def test_another_dtype_is_the_reference_s():
    x = np.ones((300, 300), np.float32)
    assert get_backend("numba").sum(x, axis=0, dtype=np.float64).dtype == np.float64


@pytest.mark.parametrize("axis", [2, -3, (0, 2)])
def test_axes_that_do_not_exist(axis):
    with pytest.raises(ValueError, match="out of bounds"):
        get_backend("numba").sum(np.ones((300, 300), np.float32), axis=axis)


@pytest.mark.parametrize("axis", [None, 0])
def test_sums_are_accurate(axis):
    """Terms of which single precision keeps few digits beside their sum."""
    x = np.full((1 << 22, 1), 0.1, np.float32)
    total = get_backend("numba").sum(x, axis=axis)
    exact = np.float64(x[0, 0]) * x.size
    assert abs(float(np.max(total)) - exact) < 2e-7 * exact


def test_small_arrays_are_numpys():
    x = normal(reduction.LEAST - 1).astype("float32")
    assert get_backend("numba").sum(x) == np.add.reduce(x)
