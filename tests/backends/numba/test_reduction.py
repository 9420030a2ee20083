"""Reductions in kernels against the reference."""

import itertools

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


NARROW = [
    (1 << 11,),
    (2051,),
    (300, 7),
    (7, 300),
    (1024, 2),
    (2, 1024),
    (64, 63),
    (129, 200),
    (700, 255),
    (30, 3, 31),
    (3, 30, 31),
    (6, 1, 400, 5),
    (4, 5, 12, 12),
    (2, 3, 4, 5, 40),
]


def axes_of(shape):
    """Every choice of axes, as a tuple."""
    n = len(shape)
    return [axes for k in range(n + 1) for axes in itertools.combinations(range(n), k)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", NARROW, ids=str)
def test_every_choice_of_axes(shape, dtype):
    x = np.abs(normal(*shape)).astype(dtype)
    signed = normal(*shape).astype(dtype)
    for axes in axes_of(shape):
        for keepdims in (False, True):
            options = {"axis": axes, "keepdims": keepdims}
            for name in ("sum", "mean"):
                same(name, x, **options)
            for name in ("max", "min", "var", "std"):
                same(name, signed, **options)
        same("var", signed, axis=axes, correction=1)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32"])
@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (3, 0), (5,), (3000, 7), (7, 3000)], ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_extremes_and_variances(shape, dtype, layout):
    x = laid_out(100 * normal(*shape), dtype, layout)
    for axis in (None, *range(-len(shape), len(shape))):
        if 0 not in shape:
            same("max", x, axis=axis)
            same("min", x, axis=axis, keepdims=True)
        if dtype != "float16" and axis is not None:
            for correction in (0, 1, 2.5):
                same("var", x / 100, axis=axis, correction=correction)
                same("std", x / 100, axis=axis, correction=correction, keepdims=True)


@pytest.mark.parametrize("axis", [0, 1, None])
@pytest.mark.parametrize("shape", [(400, 9), (9, 400), (300, 300)], ids=str)
@pytest.mark.parametrize("value", [np.nan, -np.nan, np.inf, -np.inf])
def test_odd_numbers_among_extremes(shape, axis, value):
    x = normal(*shape).astype("float32")
    x[shape[0] // 2, 5] = value
    for name in ("max", "min", "var", "std"):
        same(name, x, axis=axis)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_nan_of_either_sign_is_the_extreme(sign, axis):
    x = normal(90, 60).astype("float32")
    x[40, 30] = np.copysign(np.nan, sign)
    for name in ("max", "min"):
        found = np.isnan(getattr(get_backend("numba"), name)(x, axis=axis))
        assert found.sum() == 1
        assert found[(30, 40)[axis]]


@pytest.mark.parametrize("axis", [0, 1, (0, 2)])
@pytest.mark.parametrize("mean", [0, 1e3, 1e6])
def test_variances_are_accurate(axis, mean):
    x = (mean + normal(60, 70, 80)).astype("float32")
    exact = np.var(x.astype("float64"), axis=axis)
    assert np.abs(get_backend("numba").var(x, axis=axis) / exact - 1).max() < 1e-6


def test_a_variance_never_is_negative():
    x = np.full((500, 8), 0.1, "float32")
    assert (get_backend("numba").var(x, axis=0) == 0).all()


@pytest.mark.parametrize("axis", [3, -4, (0, 0), (1, -2)])
@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "var"])
def test_axes_that_make_no_sense(name, axis):
    with pytest.raises(ValueError, match=r"out of bounds|duplicate"):
        getattr(get_backend("numba"), name)(np.ones((40, 3, 30), np.float32), axis=axis)


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
