"""Losses of regression and of probabilities."""

import math
import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, distinct, integers, normal, uniform
from tinygrad_bn import autograd

REDUCTIONS = ["mean", "sum", "none"]
PAIR = [distinct(3, 4), distinct(3, 4) + 0.05 * normal(3, 4)[::-1] - 0.55]
PROBABILITIES = [uniform(0.1, 0.9, 3, 4), uniform(0.1, 0.9, 3, 4, seed=1)]


def reduced(losses, reduction):
    if losses.size == 0 and reduction == "mean":
        return np.float64(math.nan)
    return losses if reduction == "none" else getattr(np, reduction)(losses)


def smooth(d, beta):
    return np.where(np.abs(d) < beta, d**2 / (2 * beta), np.abs(d) - beta / 2)


def softplus(x):
    return np.log1p(np.exp(x))


def logit_losses(x, t, pos_weight=1.0):
    return pos_weight * t * softplus(-x) + (1 - t) * softplus(x)


REGRESSION = {
    "mse": (tg.mse_loss, lambda x, t: (x - t) ** 2, {}),
    "l1": (tg.l1_loss, lambda x, t: np.abs(x - t), {}),
    "smooth_l1": (tg.smooth_l1_loss, lambda x, t: smooth(x - t, 1.0), {}),
    "smooth_l1(0.4)": (tg.smooth_l1_loss, lambda x, t: smooth(x - t, 0.4), {"beta": 0.4}),
    "smooth_l1(0)": (tg.smooth_l1_loss, lambda x, t: np.abs(x - t), {"beta": 0.0}),
    "huber": (tg.huber_loss, lambda x, t: smooth(x - t, 1.0), {}),
    "huber(0.4)": (tg.huber_loss, lambda x, t: 0.4 * smooth(x - t, 0.4), {"delta": 0.4}),
}
WEIGHTED = ["mse", "l1", "huber"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", REGRESSION)
def test_regression(backend, name, reduction):
    fn, losses, options = REGRESSION[name]
    check_op(
        lambda x, t: fn(x, t, reduction=reduction, **options),
        PAIR,
        lambda x, t: reduced(losses(x, t), reduction),
        backends=[backend],
    )


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_regression(backend, name, reduction):
    fn, losses, _ = REGRESSION[name]

    def reference(x, t, w):
        values = losses(x, t) * w
        if name != "huber" and reduction == "mean":
            return np.sum(values) / np.sum(w)
        return reduced(values, reduction)

    check_op(
        lambda x, t, w: fn(x, t, reduction=reduction, weight=w),
        [*PAIR, uniform(0.5, 1.5, 3, 4)],
        reference,
        backends=[backend],
        zero_size=False,
    )


@pytest.mark.parametrize("fn", [tg.mse_loss, tg.l1_loss, tg.smooth_l1_loss, tg.huber_loss])
def test_equal_inputs_have_loss_and_gradient_zero(backend, fn):
    x = tg.Tensor([1.0, -2.0], requires_grad=True)
    loss = fn(x, tg.Tensor([1.0, -2.0]))
    assert loss.item() == 0
    assert autograd.grad(loss, x).tolist() == [0, 0]


@pytest.mark.parametrize("name", [*REGRESSION, "bce", "logits", "kl"])
def test_mean_over_nothing_is_nan(backend, name):
    more = {
        "bce": tg.binary_cross_entropy,
        "logits": tg.binary_cross_entropy_with_logits,
        "kl": tg.kl_div,
    }
    fn = more[name] if name in more else REGRESSION[name][0]
    x = tg.zeros((0, 3))
    assert math.isnan(fn(x, x).item())
    assert fn(x, x, reduction="sum").item() == 0


# ------------------------------------------------------------------------ binary cross-entropy


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weights", [(), (3, 4), (4,), (3, 1)])
def test_binary_cross_entropy(backend, weights, reduction):
    def reference(x, t, w=1.0):
        return reduced(-(t * np.log(x) + (1 - t) * np.log(1 - x)) * w, reduction)

    more = [uniform(0.5, 1.5, *weights)] if weights else []
    check_op(
        lambda *a: tg.binary_cross_entropy(*a, reduction=reduction),
        [*PROBABILITIES, *more],
        reference,
        backends=[backend],
        zero_size=weights != (3, 1),
    )


def test_binary_cross_entropy_at_certainty(backend):
    x = tg.Tensor([0.0, 1.0, 0.0, 1.0], requires_grad=True)
    t = tg.Tensor([0.0, 1.0, 1.0, 0.0], requires_grad=True)
    losses = tg.binary_cross_entropy(x, t, reduction="none")
    assert losses.tolist() == [0, 0, 100, 100]
    dx, dt = autograd.grad(losses, [x, t], tg.ones(4), create_graph=True)
    np.testing.assert_allclose(dx.detach().numpy(), [0, 0, -1e12, 1e12], rtol=1e-6)
    assert dt.tolist() == [100, -100, 100, -100]
    assert np.isfinite(autograd.grad(dx, x, tg.ones(4)).numpy()).all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_with_logits(backend, reduction):
    x, t = distinct(3, 4), PROBABILITIES[1]
    fn = tg.binary_cross_entropy_with_logits
    check_op(
        lambda x, t: fn(x, t, reduction=reduction),
        [x, t],
        lambda x, t: reduced(logit_losses(x, t), reduction),
        backends=[backend],
        orders=(1, 2, 3),
    )
    check_op(
        lambda x, t, w, p: fn(x, t, w, pos_weight=p, reduction=reduction),
        [x, t, uniform(0.5, 1.5, 4), uniform(0.5, 3.0, 4, seed=1)],
        lambda x, t, w, p: reduced(logit_losses(x, t, p) * w, reduction),
        backends=[backend],
    )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_large_logits(backend, dtype):
    x = tg.Tensor([1e4, -1e4, 1e4, -1e4], dtype=dtype, requires_grad=True)
    t = tg.Tensor([0.0, 1.0, 1.0, 0.0], dtype=dtype)
    for pos_weight, expected in [(None, [1e4, 1e4, 0, 0]), ([2.0] * 4, [1e4, 2e4, 0, 0])]:
        if pos_weight is not None:
            pos_weight = tg.Tensor(pos_weight, dtype=dtype)
        losses = tg.binary_cross_entropy_with_logits(x, t, pos_weight=pos_weight, reduction="none")
        assert losses.tolist() == expected
        (d,) = autograd.grad(losses.sum(), [x], create_graph=True)
        assert d.tolist() == [1, -1 if pos_weight is None else -2, 0, 0]
        assert autograd.grad((d * d).sum(), x).tolist() == [0, 0, 0, 0]


# --------------------------------------------------------------------------------- divergence


@pytest.mark.parametrize("log_target", [False, True])
@pytest.mark.parametrize("reduction", [*REDUCTIONS, "batchmean"])
def test_kl_div(backend, reduction, log_target):
    x, t = np.log(PROBABILITIES[0]), PROBABILITIES[1]

    def reference(x, t):
        losses = np.exp(t) * (t - x) if log_target else t * (np.log(t) - x)
        return losses.sum() / 3 if reduction == "batchmean" else reduced(losses, reduction)

    check_op(
        lambda x, t: tg.kl_div(x, t, reduction=reduction, log_target=log_target),
        [x, np.log(t) if log_target else t],
        reference,
        backends=[backend],
        zero_size=reduction != "batchmean",
        layouts=("contiguous", "transposed", "reversed", "broadcast"),
    )


def test_kl_div_where_the_target_is_zero(backend):
    x = tg.Tensor([-1.0, -2.0], requires_grad=True)
    t = tg.Tensor([0.0, 1.0], requires_grad=True)
    losses = tg.kl_div(x, t, reduction="none")
    dx, dt = autograd.grad(losses, [x, t], tg.ones(2))
    assert losses.tolist() == [0, 2]
    assert dx.tolist() == [0, -1]
    assert dt.tolist() == [0, 3]
    assert math.isnan(tg.kl_div(tg.zeros((0, 2)), tg.zeros((0, 2)), reduction="batchmean").item())


def test_nan_and_infinity_come_through(backend):
    x, t = tg.Tensor([math.nan, math.inf]), tg.Tensor([0.0, 0.0])
    for fn in (tg.mse_loss, tg.l1_loss, tg.smooth_l1_loss, tg.huber_loss):
        losses = fn(x, t, reduction="none").numpy()
        np.testing.assert_array_equal(losses, [math.nan, math.inf])
    losses = tg.binary_cross_entropy_with_logits(x, t, reduction="none").numpy()
    np.testing.assert_array_equal(losses, [math.nan, math.inf])


# -------------------------------------------------------------------------------------- errors

ALL = [
    tg.mse_loss,
    tg.l1_loss,
    tg.smooth_l1_loss,
    tg.huber_loss,
    tg.binary_cross_entropy,
    tg.binary_cross_entropy_with_logits,
    tg.kl_div,
]


@pytest.mark.parametrize("fn", ALL)
def test_shapes_dtypes_and_reductions_are_checked(backend, fn):
    name = fn.__name__
    x = 0.5 * tg.ones((3, 1))

    def fails(error, text, *arguments, **options):
        with pytest.raises(error, match=re.escape(f"{name}: {text}")):
            fn(*arguments, **options)

    fails(ValueError, "target must have the shape of input, (3, 1), got (3,)", x, 0.5 * tg.ones(3))
    fails(
        TypeError,
        "target must be real floating point, got dtype int64",
        x,
        tg.Tensor(integers(0, 2, 3, 1)),
    )
    fails(
        TypeError,
        "input must be real floating point, got dtype int64",
        tg.Tensor(integers(0, 2, 3, 1)),
        x,
    )
    fails(ValueError, "reduction must be one of ('mean', 'sum', 'none'", x, x, reduction="avg")


@pytest.mark.parametrize("fn", [tg.mse_loss, tg.l1_loss, tg.huber_loss])
def test_weights_of_regression_have_the_inputs_shape(backend, fn):
    x = tg.ones((3, 4))
    text = re.escape(f"{fn.__name__}: weight must have the shape of input, (3, 4), got (4,)")
    with pytest.raises(ValueError, match=text):
        fn(x, x, weight=tg.ones(4))


def test_weights_of_binary_losses_broadcast(backend):
    x = 0.5 * tg.ones((3, 4))
    text = r"{}: {} must broadcast to shape \(3, 4\), got \(3,\)"
    name = "binary_cross_entropy"
    with pytest.raises(ValueError, match=text.format(name, "weight")):
        tg.binary_cross_entropy(x, x, tg.ones(3))
    name = "binary_cross_entropy_with_logits"
    with pytest.raises(ValueError, match=text.format(name, "weight")):
        tg.binary_cross_entropy_with_logits(x, x, tg.ones(3))
    with pytest.raises(ValueError, match=text.format(name, "pos_weight")):
        tg.binary_cross_entropy_with_logits(x, x, pos_weight=tg.ones(3))


@pytest.mark.parametrize("bad", [1.5, -0.5, math.nan])
def test_probabilities_are_checked(backend, bad):
    good, bad = tg.Tensor([0.5, 0.25]), tg.Tensor([0.5, bad])
    for argument, pair in [("input", (bad, good)), ("target", (good, bad))]:
        text = rf"binary_cross_entropy: {argument} must be in \[0, 1\] everywhere, got values from"
        with pytest.raises(ValueError, match=text):
            tg.binary_cross_entropy(*pair)


def test_parameters_are_checked(backend):
    x = tg.ones(3)
    with pytest.raises(ValueError, match=r"smooth_l1_loss: beta must be >= 0, got -1"):
        tg.smooth_l1_loss(x, x, beta=-1)
    with pytest.raises(ValueError, match=r"huber_loss: delta must be > 0, got 0"):
        tg.huber_loss(x, x, delta=0)
    with pytest.raises(ValueError, match=r"kl_div: target must be >= 0 everywhere, got -1\.0"):
        tg.kl_div(x, -x)
    with pytest.raises(ValueError, match=r"kl_div: reduction 'batchmean' needs an axis"):
        tg.kl_div(tg.Tensor(0.5), tg.Tensor(0.5), reduction="batchmean")


def test_array_likes_and_scalars(backend):
    x = tg.Tensor([1.0, 2.0])
    assert tg.mse_loss(x, np.array([1.0, 0.0], dtype="float32")).item() == 2
    assert tg.mse_loss(x, [1.0, 0.0], weight=[1.0, 3.0]).item() == 3
    with pytest.raises(TypeError, match=r"mse_loss: target must be a tensor, got 0\.5"):
        tg.mse_loss(x, 0.5)
