"""Activation, softmax and cross-entropy kernels against the reference."""

import numpy as np
import pytest

from tests.backends.numba.compared import LAYOUTS, laid_out, same
from tests.helpers import integers, normal
from tinygrad_bn.backend import get_backend

SHAPES = [(), (0,), (1,), (7,), (3, 5), (4, 1000), (3, 4097), (60, 100), (2, 3, 4, 5)]
UNARY = {"relu": {}, "sigmoid": {}, "silu": {}, "gelu": {"approximate": "tanh"}}
PULLS = {
    "relu_pull": {},
    "sigmoid_pull": {},
    "tanh_pull": {},
    "silu_pull": {},
    "gelu_pull": {"approximate": "tanh"},
}
ROWS = ["softmax", "log_softmax"]
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-40, 88.0, -88.0, 104.0, -104.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_elementwise(shape, dtype, layout):
    x, g = [laid_out(normal(*shape, seed=s), dtype, layout) for s in (1, 2)]
    for name, metadata in UNARY.items():
        same(name, x, **metadata)
    for name, metadata in PULLS.items():
        same(name, g, x, **metadata)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_odd_numbers_survive(dtype):
    x = np.array(ODD * 20, dtype)
    g = normal(x.size).astype(dtype)
    for name, metadata in UNARY.items():
        same(name, x, **metadata)
    for name, metadata in PULLS.items():
        same(name, g, x, **metadata)
        same(name, x, g, **metadata)


def test_a_cotangent_of_another_kind_goes_to_the_reference():
    x = normal(3, 4).astype("float32")
    for name, metadata in PULLS.items():
        same(name, normal(3, 4), x, **metadata)
        same(name, normal(1, 4).astype("float32"), x, **metadata)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1,), (7,), (3, 5), (5000, 3), (2, 5000), (4, 3, 20), (0, 3)])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("axis", [-1, 0, "all"])
def test_softmax(shape, dtype, layout, axis):
    axis = tuple(range(len(shape))) if axis == "all" else axis
    x, g = [laid_out(normal(*shape, seed=s), dtype, layout) for s in (1, 2)]
    for name in ROWS:
        out = same(name, x, axis=axis)
        same(f"{name}_pull", g, out, axis=axis)


def test_softmax_over_two_trailing_axes():
    x = normal(6, 4, 5).astype("float32")
    for name in ROWS:
        out = same(name, x, axis=(1, 2))
        same(f"{name}_pull", x, out, axis=(2, 1))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("width", [3, 40, 3000])
def test_softmax_of_odd_rows(dtype, width):
    """One odd number in a row leaves the other rows alone."""
    rows = np.repeat(normal(1, width).astype(dtype), 3 * len(ODD), axis=0)
    for i, value in enumerate(ODD):
        rows[3 * i + 1, (0, width // 2, width - 1)[i % 3]] = value
    rows[-1] = -np.inf
    for name in ROWS:
        same(name, rows, axis=1)
    target = np.zeros(len(rows), np.int64)
    same("class_cross_entropy", rows, target, reduction="none")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_nan_of_either_sign_reaches_its_row_alone(sign):
    x = normal(4, 50).astype("float32")
    x[2, 7] = np.copysign(np.nan, sign)
    for name in ROWS:
        out = getattr(get_backend("numba"), name)(x, axis=1)
        assert np.isnan(out[2]).all()
        assert np.isfinite(out[[0, 1, 3]]).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", [(1, 1), (60, 10), (5000, 3), (2, 5000), (4, 3, 5), (7,)])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_cross_entropy(shape, dtype, reduction, layout):
    axis = 1 if len(shape) > 1 else 0
    x = laid_out(5 * normal(*shape), dtype, layout)
    target = integers(0, shape[axis], *shape[:axis], *shape[axis + 1 :])
    same("class_cross_entropy", x, target, reduction=reduction)


def test_cross_entropy_of_targets_with_gaps():
    x = normal(6, 4).astype("float32")
    same("class_cross_entropy", x, integers(0, 4, 12)[::2], reduction="mean")
    same("class_cross_entropy", x, integers(0, 4, 6)[::-1], reduction="mean")


def test_long_sums_are_accurate():
    """A million equal terms: single precision alone would be off by far more."""
    x = np.zeros((1, 1 << 20), np.float32)
    out = get_backend("numba").log_softmax(x, axis=1)
    assert np.allclose(out, -20 * np.log(2), rtol=2e-7, atol=0)
