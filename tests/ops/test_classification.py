"""Cross-entropy, negative log-likelihood, one-hot encoding."""

import math
import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, integers, normal, uniform
from tinygrad_bn import autograd
from tinygrad_bn.backend import Backend, get_backend

REDUCTIONS = ["mean", "sum", "none"]
CLASSES = 5
SHAPES = [(CLASSES,), (6, CLASSES), (3, CLASSES, 4), (2, CLASSES, 3, 2)]


def axis_of(x):
    return 1 if x.ndim > 1 else 0


def without_classes(shape):
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


def targets(shape):
    return integers(0, CLASSES, *without_classes(shape)).reshape(without_classes(shape))


def log_softmax(x):
    shifted = x - x.max(axis=axis_of(x), keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=axis_of(x), keepdims=True))


def class_losses(logp, target, weight=None, ignore_index=-100, smoothing=0.0):
    """Losses and weights, one target after the other, in plain Python."""
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    weight = np.ones(CLASSES) if weight is None else weight
    rows = np.moveaxis(logp, axis_of(logp), -1)
    for place in np.ndindex(target.shape):
        t = target[place]
        if t != ignore_index:
            uniform = sum(-weight[c] * rows[place][c] for c in range(CLASSES)) / CLASSES
            losses[place] = -(1 - smoothing) * weight[t] * rows[place][t] + smoothing * uniform
            weights[place] = weight[t]
    return losses, weights


def reduced(losses, weights, reduction):
    if reduction == "mean":
        return losses.sum() / weights.sum() if weights.size else np.float64(math.nan)
    return losses if reduction == "none" else losses.sum()


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_class_numbers(backend, shape, reduction):
    target = targets(shape)
    check_op(
        lambda x: (
            tg.cross_entropy(x, tg.Tensor(target[: len(x)]), reduction=reduction)
            if x.ndim > 1
            else tg.cross_entropy(x, tg.Tensor(target), reduction=reduction)
        ),
        [normal(*shape)],
        lambda x: reduced(
            *class_losses(log_softmax(x), target[: len(x)] if x.ndim > 1 else target), reduction
        ),
        backends=[backend],
        orders=(1, 2, 3),
        zero_size=len(shape) > 1,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("ignore_index", [-100, 2])
def test_weights_smoothing_and_ignored(backend, ignore_index, smoothing, weighted, reduction):
    shape = (3, CLASSES, 4)
    target = targets(shape)
    target[0, :2] = ignore_index
    weight = [uniform(0.5, 2.0, CLASSES)] if weighted else []

    def loss(x, w=None):
        options = {"ignore_index": ignore_index, "label_smoothing": smoothing}
        return tg.cross_entropy(x, tg.Tensor(target), w, reduction=reduction, **options)

    check_op(
        loss,
        [normal(*shape), *weight],
        lambda x, w=None: reduced(
            *class_losses(log_softmax(x), target, w, ignore_index, smoothing), reduction
        ),
        backends=[backend],
        layouts=("contiguous", "reversed"),
        zero_size=False,
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
def test_class_probabilities(backend, shape, smoothing, weighted, reduction):
    weight = [uniform(0.5, 2.0, CLASSES)] if weighted else []

    def reference(x, p, w=None):
        p = (1 - smoothing) * p + smoothing / CLASSES
        w = 1 if w is None else w.reshape((-1,) + (1,) * (x.ndim - 1 - axis_of(x)))
        losses = -(log_softmax(x) * p * w).sum(axis=axis_of(x))
        return reduced(losses, np.ones_like(losses), reduction)

    def loss(x, p, w=None):
        return tg.cross_entropy(x, p, w, reduction=reduction, label_smoothing=smoothing)

    inputs = [normal(*shape), uniform(0.1, 1.0, *shape), *weight]
    zero_size = not weighted and len(shape) > 1
    check_op(loss, inputs, reference, backends=[backend], zero_size=zero_size)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_nll_loss(backend, shape, weighted, reduction):
    target = targets(shape)
    weight = [uniform(0.5, 2.0, CLASSES)] if weighted else []
    check_op(
        lambda x, w=None: tg.nll_loss(x, tg.Tensor(target), w, reduction=reduction),
        [normal(*shape), *weight],
        lambda x, w=None: reduced(*class_losses(x, target, w), reduction),
        backends=[backend],
        layouts=("contiguous", "reversed"),
        zero_size=False,
    )


# --------------------------------------------------------------------------------------- edges


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"ignore_index": 2}])
def test_large_logits(backend, options, dtype):
    x = tg.Tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 1e4]], dtype=dtype, requires_grad=True)
    target = tg.Tensor([1, 1])
    losses = tg.cross_entropy(x, target, reduction="none", **options)
    s = options.get("label_smoothing", 0.0)
    log2 = math.log(2)
    expected = [(1 - s) * 2e4 + s * 1e4, log2 + s * 2e4 / 3]
    np.testing.assert_allclose(losses.detach().numpy(), expected, rtol=1e-6)
    (d,) = autograd.grad(losses.sum(), [x], create_graph=True)
    q = s / 3
    slopes = [[1 - q, -1 + s - q, -q], [-q, -0.5 + s - q, 0.5 - q]]
    np.testing.assert_allclose(d.detach().numpy(), slopes, rtol=1e-6, atol=1e-6)
    second = autograd.grad((d * d).sum(), x).numpy()
    assert np.isfinite(second).all()


def test_a_class_ruled_out_by_minus_infinity(backend):
    x = tg.Tensor([[0.0, -math.inf, 0.0]], requires_grad=True)
    loss = tg.cross_entropy(x, tg.Tensor([0]))
    assert loss.item() == pytest.approx(math.log(2))
    np.testing.assert_allclose(autograd.grad(loss, x).numpy(), [[-0.5, 0, 0.5]], rtol=1e-6)
    assert tg.cross_entropy(x, tg.Tensor([1])).item() == math.inf


def test_nan_stays_in_its_row(backend):
    x = tg.Tensor([[math.nan, 0.0], [0.0, 0.0]])
    losses = tg.cross_entropy(x, tg.Tensor([1, 1]), reduction="none").numpy()
    np.testing.assert_allclose(losses, [math.nan, math.log(2)], rtol=1e-6)


def test_all_targets_ignored(backend):
    x = tg.Tensor(normal(2, 3), requires_grad=True)
    target = tg.Tensor([-100, -100])
    loss = tg.cross_entropy(x, target)
    assert math.isnan(loss.item())
    assert autograd.grad(loss, x).tolist() == [[0] * 3] * 2
    assert tg.cross_entropy(x, target, reduction="sum").item() == 0


def test_no_examples(backend):
    x = tg.zeros((0, 3))
    target = tg.Tensor(np.zeros(0, dtype="int64"))
    for options in ({}, {"ignore_index": 0}, {"label_smoothing": 0.1}):
        assert math.isnan(tg.cross_entropy(x, target, **options).item())
        assert tg.cross_entropy(x, target, reduction="sum", **options).item() == 0


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", "int64"])
def test_targets_of_any_integer_dtype(backend, dtype):
    x = tg.Tensor(normal(4, 3))
    target = integers(0, 3, 4)
    expected = tg.cross_entropy(x, tg.Tensor(target)).item()
    assert tg.cross_entropy(x, tg.Tensor(target.astype(dtype))).item() == expected
    assert tg.cross_entropy(x, target.tolist()).item() == expected


def test_half_precision():
    x = normal(40, 3)
    target = integers(0, 3, 40)
    loss = tg.cross_entropy(tg.Tensor(x.astype("float16")), target)
    assert loss.dtype == tg.float16
    assert loss.item() == pytest.approx(tg.cross_entropy(tg.Tensor(x), target).item(), rel=5e-3)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5), (2, 4, 3, 2)], ids=str)
@pytest.mark.parametrize("layout", ["C", "F"])
def test_the_kernel_agrees_with_the_reference(shape, reduction, layout):
    numpy = get_backend("numpy")
    x = np.asarray(normal(*shape), order=layout)
    target = integers(0, 4, *without_classes(shape))
    expected = Backend.class_cross_entropy(numpy, x, target, reduction=reduction)
    got = numpy.class_cross_entropy(x, target, reduction=reduction)
    for a, b in zip(got, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-13)
    for bad in ([0, 4], [-1, 0], [], [3]):
        bad = np.array(bad, dtype="int64")
        assert numpy.outside(bad, 4) == Backend.outside(numpy, bad, 4)


# ------------------------------------------------------------------------------------- one-hot


def test_one_hot(backend):
    x = integers(0, 4, 2, 3)
    np.testing.assert_array_equal(tg.one_hot(tg.Tensor(x), 4).numpy(), np.eye(4, dtype=int)[x])
    inferred = tg.one_hot(tg.Tensor([2, 0], dtype="uint8"))
    assert inferred.dtype == tg.int64
    assert inferred.tolist() == [[0, 0, 1], [1, 0, 0]]
    assert tg.one_hot(tg.Tensor(np.zeros(0, dtype="int64")), 3).shape == (0, 3)
    assert tg.one_hot(tg.Tensor(1), 3).tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("values", "classes", "error", "text"),
    [
        ([0, 3], 3, ValueError, "x must hold classes from 0 to 2, got 3"),
        ([0, -1], -1, ValueError, "x must hold classes from 0 to 0, got -1"),
        ([0, 1], 0, ValueError, "num_classes must be >= 1"),
        ([], -1, ValueError, "num_classes must be >= 1 (or -1 where x has elements), got -1"),
        ([0.0], 2, TypeError, "x must be class numbers in an integer dtype, got float32"),
    ],
)
def test_one_hot_of_bad_input(backend, values, classes, error, text):
    x = tg.Tensor(np.array(values, dtype="float32" if values == [0.0] else "int64"))
    with pytest.raises(error, match=re.escape(f"one_hot: {text}")):
        tg.one_hot(x, classes)


# -------------------------------------------------------------------------------------- errors

X = normal(4, 3)
T = np.array([0, 1, 2, 0])
P = np.full((4, 3), 1 / 3)
BOTH = [
    (ValueError, "target must hold classes from 0 to 2 or ignore_index -100, got 3", X, T + 1, {}),
    (ValueError, "target must hold classes from 0 to 2 or ignore_index -100, got -1", X, T - 1, {}),
    (ValueError, "target must have shape (4,), that of input (4, 3)", X, T[:3], {}),
    (ValueError, "target must have shape (4,), that of input (4, 3)", X, T[:, None], {}),
    (TypeError, "target must be integer class numbers", X, T == 0, {}),
    (TypeError, "input must be real floating point, got dtype int64", T[:, None], T, {}),
    (ValueError, "input must be (C,) or (N, C, ...) with C >= 1, got (4, 0)", X[:, :0], T, {}),
    (ValueError, "input must be (C,) or (N, C, ...) with C >= 1, got ()", X[0, 0], T[0], {}),
    (ValueError, "weight must have shape (3,), one per class, got (4,)", X, T, {"weight": X[:, 0]}),
    (TypeError, "weight must be real floating point, got dtype int64", X, T, {"weight": T[:3]}),
    (ValueError, "reduction must be one of ('mean', 'sum', 'none')", X, T, {"reduction": "max"}),
]
SMOOTH = "label_smoothing must be in [0, 1], got"
CROSS_ENTROPY = [
    (ValueError, f"{SMOOTH} 1.5", X, T, {"label_smoothing": 1.5}),
    (ValueError, f"{SMOOTH} -0.1", X, T, {"label_smoothing": -0.1}),
    (ValueError, "target in a floating-point dtype must be class", X, P[:, 0], {}),
    (ValueError, "ignore_index is for class numbers", X, P, {"ignore_index": 1}),
]


@pytest.mark.parametrize(("error", "text", "x", "target", "options"), BOTH)
@pytest.mark.parametrize("fn", [tg.cross_entropy, tg.nll_loss])
def test_bad_input(backend, fn, error, text, x, target, options):
    with pytest.raises(error, match=re.escape(f"{fn.__name__}: {text}")):
        fn(tg.Tensor(x), tg.Tensor(target), **options)


@pytest.mark.parametrize(("error", "text", "x", "target", "options"), CROSS_ENTROPY)
def test_bad_input_of_cross_entropy(backend, error, text, x, target, options):
    with pytest.raises(error, match=re.escape(f"cross_entropy: {text}")):
        tg.cross_entropy(tg.Tensor(x), tg.Tensor(target), **options)


def test_nll_loss_takes_no_probabilities(backend):
    with pytest.raises(TypeError, match="nll_loss: target must be integer class numbers"):
        tg.nll_loss(tg.Tensor(X), tg.Tensor(P))
