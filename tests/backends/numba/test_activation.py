"""Activation, softmax and cross-entropy kernels against the reference."""

import numpy as np
import pytest

from tests.backends.numba.compared import LAYOUTS, laid_out, same
from tests.helpers import integers, normal, uniform
from tinygrad_bn.backend import get_backend

SHAPES = [(), (0,), (1,), (7,), (3, 5), (4, 1000), (3, 4097), (60, 100), (2, 3, 4, 5)]
UNARY = [
    ("relu", {}),
    ("sigmoid", {}),
    ("silu", {}),
    ("gelu", {"approximate": "tanh"}),
    ("gelu", {"approximate": "none"}),
    ("erf", {}),
    ("mish", {}),
    ("leaky_relu", {"negative_slope": 0.3}),
    ("leaky_relu", {"negative_slope": -2}),
    ("elu", {"alpha": 1.7}),
    ("elu", {"alpha": -1}),
    ("selu", {}),
    ("softplus", {"beta": 1.0, "threshold": 20.0}),
    ("softplus", {"beta": -2, "threshold": 3}),
]
PULLS = [
    *[(f"{name}_pull", metadata) for name, metadata in UNARY if name != "elu"],
    ("tanh_pull", {}),
]
ROWS = ["softmax", "log_softmax"]
ODD = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e30, 1e-40, 88.0, -88.0, 104.0, -104.0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_elementwise(shape, dtype, layout):
    x, g = [laid_out(normal(*shape, seed=s), dtype, layout) for s in (1, 2)]
    for name, metadata in UNARY:
        same(name, x, **metadata)
    for name, metadata in PULLS:
        same(name, g, x, **metadata)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_odd_numbers_survive(dtype):
    x = np.array(ODD * 400, dtype)  # enough for every kernel to take it
    g = uniform(0.1, 0.9, x.size).astype(dtype)  # no derivative cancels there
    for name, metadata in UNARY:
        same(name, x, **metadata)
    for name, metadata in PULLS:
        same(name, g, x, **metadata)
        same(name, x, g, **metadata)


def test_a_cotangent_of_another_kind_goes_to_the_reference():
    x = normal(3, 4)
    for name, metadata in PULLS:
        same(name, normal(3, 4).astype("float32"), x, **metadata)
        same(name, normal(1, 4), x, **metadata)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_elu_pull(shape, dtype, layout):
    g, x, out = [laid_out(normal(*shape, seed=s), dtype, layout) for s in (1, 2, 3)]
    same("elu_pull", g, x, out, alpha=-0.7)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_exponential_units_lose_no_digits_near_zero(dtype):
    x = -(10 ** uniform(-30, 1, 5000)).astype(dtype)
    exact, eps = np.expm1(x.astype("float64")), np.finfo(dtype).eps
    assert np.abs(get_backend("numba").elu(x, alpha=1.0) / exact - 1).max() < 3 * eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_softplus_is_accurate_in_the_tail(dtype):
    x = uniform(-80, 19, 5000).astype(dtype)
    exact, eps = np.log1p(np.exp(x.astype("float64"))), np.finfo(dtype).eps
    out = get_backend("numba").softplus(x, beta=1.0, threshold=20.0)
    assert np.abs(out / exact - 1).max() < 4 * eps


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_mish_is_accurate_in_the_tail(dtype):
    x = uniform(-80, 30, 5000).astype(dtype)
    wide = x.astype("float64")
    w = np.exp(np.minimum(wide, 20))
    exact, eps = wide * (w * (w + 2) / (w * (w + 2) + 2)), np.finfo(dtype).eps
    out = get_backend("numba").mish(x)
    assert np.abs(out / exact - 1).max() < 6 * eps


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


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    "shape", [(), (1,), (7,), (5000, 3), (2, 5000), (4, 3, 20), (0, 3), (3, 0)]
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logsumexp(shape, dtype, layout):
    x = laid_out(3 * normal(*shape), dtype, layout)
    n = len(shape)
    for axis in {None, *range(-n, n), tuple(range(n)), tuple(range(n))[1:]}:
        for keepdims in (False, True):
            same("logsumexp", x, axis=axis, keepdims=keepdims)


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
    same("logsumexp", rows, axis=1, keepdims=False)
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
