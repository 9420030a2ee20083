"""Cross-entropy, epilogue, dropout and optimizer kernels against the reference."""

import functools

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.backends.cupy.devices import OLD, SMALL
from tests.backends.cupy.simt.backend import SimtBackend
from tests.backends.cupy.simt.library import has_compiler
from tests.helpers import normal
from tinygrad_bn.backend.reference_activation import ActivationReference
from tinygrad_bn.backend.reference_optim import OptimReference
from tinygrad_bn.nn import functional as F

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to run kernels with")

TOLERANCE = {"float16": 2e-3, "float32": 2e-6, "float64": 1e-14}


@pytest.fixture
def B():
    return SimtBackend()


def close(found, expected, dtype):
    scale = np.abs(expected).max(initial=1.0)
    np.testing.assert_allclose(found / scale, expected / scale, atol=TOLERANCE[dtype], rtol=0)


# --------------------------------------------------------------------------------- cross-entropy


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    "shape", [(7, 10), (3, 40), (5,), (2, 4097), (4, 5, 3, 2), (3, 4, 1), (9, 1)]
)
def test_cross_entropy(B, shape, reduction, dtype):
    x = (4 * normal(*shape)).astype(dtype)
    classes = shape[1] if len(shape) > 1 else shape[0]
    spread = (shape[0], *shape[2:]) if len(shape) > 1 else ()
    target = np.random.default_rng(0).integers(0, classes, spread)
    target = np.asarray(target, "int64")
    found = B.class_cross_entropy(x, target, reduction=reduction)
    exact = ActivationReference.class_cross_entropy(B, x.astype("f8"), target, reduction=reduction)
    for a, e in zip(found, exact, strict=True):
        assert a.dtype == dtype
        assert a.shape == e.shape
        close(a.astype("f8"), e, dtype)
    assert B.launches


def test_long_rows_are_worked_on_by_a_whole_block(B):
    x = normal(2, 4097).astype("f4")
    B.class_cross_entropy(x, np.array([0, 4096]), reduction="sum")
    assert (B.launches[0].grid, B.launches[0].block) == ((2, 1, 1), 64)


@pytest.mark.parametrize(
    "row",
    [[np.inf, 0, 1], [-np.inf, 0, 1], [-np.inf] * 3, [np.nan, 0, 1], [1e30, -1e30, 0]],
    ids=str,
)
@pytest.mark.parametrize("inner", [1, 2])
def test_extreme_logits(B, row, inner):
    x = np.stack([np.array(row), np.array([0.5, 1.0, 2.0])]).astype("f4")
    target = np.array([1, 2])
    if inner == 2:
        x, target = np.stack([x, x + 1], axis=2), np.stack([target, target], axis=1)
    found = B.class_cross_entropy(x, target, reduction="none")
    expected = ActivationReference.class_cross_entropy(B, x, target, reduction="none")
    for a, e in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, e, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(3, 4), (3, 4, 2), (3, 5000)])
@pytest.mark.parametrize("label", [-1, 1 << 32, 5000])
def test_a_label_of_no_class_has_no_loss(B, shape, label):
    """Labels are checked beforehand, but not in a captured step: nothing outside may be read."""
    x, target = normal(*shape).astype("f4"), np.zeros((3, *shape[2:]), "i8")
    target[1] = label
    losses, slope = B.class_cross_entropy(x, target, reduction="none")
    assert np.isnan(losses[1]).all()
    assert np.isfinite(losses[[0, 2]]).all()
    assert np.isfinite(slope).all()


# ------------------------------------------------------------------------------------- epilogue


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("shape", [(5, 8), (3, 7), (1000,), ()])
def test_relu(B, shape, dtype):
    x = np.asarray(normal(*shape)).astype(dtype)
    if x.ndim:
        x[..., 0] = np.nan
    before = x.copy()
    np.testing.assert_array_equal(B.relu(x), np.maximum(x, 0))
    np.testing.assert_array_equal(x, before)
    assert B.relu(x).shape == shape
    assert len(B.launches) == 2


def test_relu_of_others_is_the_references(B):
    assert B.relu(np.array([-1, 2])).tolist() == [0, 2]
    x = normal(4, 6).T
    np.testing.assert_array_equal(B.relu(x), np.maximum(x, 0))
    assert B.relu(normal(0, 3)).shape == (0, 3)
    assert B.launches == []


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("width", [8, 5])
def test_linear(B, width, dtype):
    x, w, b = (
        normal(6, 4).astype(dtype),
        normal(width, 4).astype(dtype),
        normal(width).astype(dtype),
    )
    close(B.linear(x, w, b).astype("f8"), x.astype("f8") @ w.T.astype("f8") + b, dtype)
    assert len(B.launches) == 1
    close(B.linear(x, w, b[::-1]).astype("f8"), x.astype("f8") @ w.T.astype("f8") + b[::-1], dtype)
    assert len(B.launches) == 1


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("width", [8, 5])
@pytest.mark.parametrize("biased", [True, False])
def test_linear_with_relu(B, width, dtype, biased):
    x, w, b = [normal(*s).astype(dtype) for s in ((6, 4), (width, 4), (width,))]
    exact = np.maximum(x.astype("f8") @ w.T.astype("f8") + (b if biased else 0), 0)
    found = B.linear(x, w, b if biased else None, activation="relu")
    close(found.astype("f8"), exact, dtype)
    assert len(B.launches) == 1


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_linear_with_other_activations(B, activation):
    x, w, b = [normal(*s).astype("f4") for s in ((6, 4), (5, 4), (5,))]
    found = B.linear(x, w, b, activation=activation)
    close(found, getattr(B, activation)(x @ w.T + b), "float32")
    assert len(B.launches) == 1
    close(B.linear(x, w, b[::-1], activation="relu"), np.maximum(x @ w.T + b[::-1], 0), "float32")
    close(B.linear(x, w, None, activation=activation), getattr(B, activation)(x @ w.T), "float32")


# -------------------------------------------------------------------------------------- dropout


class Key:
    def __init__(self, key):
        self.key = lambda: key


def philox(key, counter):
    """NumPy's Philox has 64-bit words; this is the one of 32-bit words, in plain Python."""
    words, k = [counter & 0xFFFFFFFF, counter >> 32, 0, 0], [key & 0xFFFFFFFF, key >> 32]
    for _ in range(10):
        a, b = 0xD2511F53 * words[0], 0xCD9E8D57 * words[2]
        words = [
            (b >> 32) ^ words[1] ^ k[0], b & 0xFFFFFFFF,
            (a >> 32) ^ words[3] ^ k[1], a & 0xFFFFFFFF,
        ]  # fmt: skip
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return words


def test_the_generator_is_philox():
    """The known answer of its authors for counter and key of zeros."""
    assert philox(0, 0) == [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("size", [1, 4, 1003])
def test_a_mask_is_what_its_key_says(B, size, dtype):
    key, p = 0x1234_5678_9ABC_DEF0, 0.3
    mask = B.dropout_mask(Key(key), (size,), p, np.dtype(dtype))
    words = [word for i in range(-(-size // 4)) for word in philox(key, i)][:size]
    kept = [(word >> 8) / (1 << 24) >= p for word in words]
    assert mask.dtype == dtype
    np.testing.assert_array_equal(mask, np.where(kept, 1 / (1 - p), 0).astype(dtype))


def test_dropout_draws_from_the_streams_generator():
    with tg.use_backend("simt"):
        x = tg.ones((40, 50))
        tg.random.manual_seed(3)
        a, b = F.dropout(x, 0.25).numpy(), F.dropout(x, 0.25).numpy()
        tg.random.manual_seed(3)
        again = F.dropout(x, 0.25).numpy()
        assert (a == again).all()
        assert (a != b).any()
        assert set(np.unique(a)) == {0.0, np.float32(4 / 3)}
        assert abs((a == 0).mean() - 0.25) < 0.05
        assert F.dropout(tg.ones((0, 3)), 0.5).shape == (0, 3)


# ------------------------------------------------------------------------------------ optimizers

COUNT = 75
"""More than a table has rows."""


def draw(dtype, seed, count=COUNT):
    shapes = [(3, 5), (7,), (), (0, 2), (1, 9000)]
    return [np.asarray(normal(*shapes[i % 5], seed=seed + i)).astype(dtype) for i in range(count)]


def compare_steps(B, method, dtype, arrays, **options):
    """In place, as the reference steps in float64."""
    exact = [[None if a is None else a.astype("f8") for a in column] for column in arrays]
    before = [g.copy() for g in arrays[1]]
    found = getattr(B, method)(*arrays, **options)
    expected = getattr(OptimReference, method)(B, *exact, **options)
    assert B.launches
    for column, wanted in zip(found, expected, strict=True):
        for a, e in zip(column, wanted, strict=True):
            assert (a is None) == (e is None)
            if a is not None:
                assert a.dtype == dtype
                close(a.astype("f8"), e, dtype)
    for p, q in zip(found[0], arrays[0], strict=True):
        assert p is q
    for g, b in zip(arrays[1], before, strict=True):
        np.testing.assert_array_equal(g, b)


SGD = {"lr": 0.1, "momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0}
SGD |= {"nesterov": False, "maximize": False}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"maximize": True, "weight_decay": 0.2},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True},
    ],
    ids=str,
)
def test_sgd(B, dtype, options):
    step = functools.partial(compare_steps, B, "sgd_step", dtype, **SGD | options)
    params, grads, buffers = draw(dtype, 0), draw(dtype, 100), draw(dtype, 200)
    step([params, grads, [None] * COUNT])
    step([params, grads, [None if i % 3 else b for i, b in enumerate(buffers)]])
    assert {launch.grid[0] for launch in B.launches} == {60, 15}


ADAM = {"lr": 0.1, "betas": (0.9, 0.99), "eps": 1e-3, "weight_decay": 0.0}
ADAM |= {"decoupled": False, "amsgrad": False, "maximize": False}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.2, "maximize": True},
        {"weight_decay": 0.2, "decoupled": True},
        {"amsgrad": True},
    ],
    ids=str,
)
def test_adam(B, dtype, options):
    options = ADAM | options | {"steps": [1 + i % 4 for i in range(COUNT)]}
    squares, peaks = [[np.abs(a, out=a) for a in draw(dtype, seed)] for seed in (300, 400)]
    arrays = [draw(dtype, 0), draw(dtype, 100), draw(dtype, 200), squares]
    peaks = peaks if options["amsgrad"] else [None] * COUNT
    compare_steps(B, "adam_step", dtype, [*arrays, peaks], **options)


def test_mixed_dtypes_take_a_launch_each_and_odd_ones_the_reference(B):
    params = [normal(3).astype("f4"), normal(4), normal(5).astype("f4")]
    grads = [p[::-1] for p in params]
    expected = [p - 0.1 * p[::-1] for p in params]
    B.sgd_step(params, grads, [None] * 3, **SGD)
    for p, e in zip(params, expected, strict=True):
        np.testing.assert_allclose(p, e, rtol=1e-6)
    assert [launch.instance for launch in B.launches] == ["sgd<float>", "sgd<double>"]
    turned = normal(4, 6).T
    expected = turned - 0.1 * np.ones((6, 4))
    B.sgd_step([turned], [np.ones((6, 4))], [None], **SGD)
    np.testing.assert_allclose(turned, expected, rtol=1e-12)
    assert len(B.launches) == 2


@pytest.mark.parametrize("limits", [SMALL, OLD])
def test_grids_of_a_small_device(B, limits):
    B.limits = limits
    B.relu(normal(300))
    assert B.launches[0].grid[0] * B.launches[0].block >= 150
