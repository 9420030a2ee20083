"""Linear, activations, dropout, shapes, losses: what they add to the operations they call."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import nn
from tinygrad_bn.backend import rng


def test_linear(backend):
    layer = nn.Linear(3, 2)
    x = normal(4, 3).astype(np.float32)
    w, b = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    assert np.allclose(layer(tg.asarray(x)).detach().numpy(), x @ np.asarray(w).T + np.asarray(b))
    assert layer.weight.shape == (2, 3)


@pytest.mark.parametrize("activation", ["relu", "sigmoid", "tanh"])
def test_linear_with_an_activation(backend, activation):
    rng.manual_seed(3)
    layer = nn.Linear(3, 2, activation=activation)
    rng.manual_seed(3)
    plain = nn.Linear(3, 2)
    x = tg.asarray(normal(4, 3).astype(np.float32))
    np.testing.assert_allclose(
        layer(x).detach().numpy(), getattr(tg, activation)(plain(x)).detach().numpy(), rtol=1e-6
    )
    assert layer.state_dict().keys() == plain.state_dict().keys()
    assert repr(layer).endswith(f"bias=True, activation={activation!r})")
    assert "activation" not in repr(plain)


def test_linear_activations():
    with pytest.raises(ValueError, match="Linear: activation must be None, 'relu', 'sigmoid' or"):
        nn.Linear(3, 2, activation="gelu")


def test_linear_starts_uniform_on_the_right_interval():
    layer = nn.Linear(100, 400)
    for p in (layer.weight, layer.bias):
        values = p.detach().numpy()
        assert np.abs(values).max() <= 0.1
        assert np.abs(values).max() > 0.095
        assert values.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.1)


def test_the_seed_fixes_the_weights():
    rng.manual_seed(3)
    one = nn.Linear(3, 2)
    rng.manual_seed(3)
    assert nn.Linear(3, 2).weight.tolist() == one.weight.tolist()
    assert nn.Linear(3, 2).weight.tolist() != one.weight.tolist()


@pytest.mark.parametrize(
    ("args", "error", "message"),
    [
        ((0, 2), ValueError, "Linear: in_features must be >= 1, got 0"),
        ((2, 2.5), TypeError, r"Linear: out_features must be an integer, got 2\.5"),
        ((True, 2), TypeError, "Linear: in_features must be an integer, got True"),
    ],
)
def test_linear_sizes(args, error, message):
    with pytest.raises(error, match=message):
        nn.Linear(*args)


def test_linear_dtype_and_backend():
    layer = nn.Linear(2, 2, dtype="float64", backend="strict")
    assert layer.bias.dtype.name == "float64"
    assert layer.weight.backend == "strict"


ACTIVATIONS = [
    (nn.Sigmoid(), tg.sigmoid, {}),
    (nn.Tanh(), tg.tanh, {}),
    (nn.ReLU(), tg.relu, {}),
    (nn.LeakyReLU(0.2), tg.leaky_relu, {"negative_slope": 0.2}),
    (nn.ELU(0.5), tg.elu, {"alpha": 0.5}),
    (nn.SELU(), tg.selu, {}),
    (nn.GELU("tanh"), tg.gelu, {"approximate": "tanh"}),
    (nn.SiLU(), tg.silu, {}),
    (nn.Mish(), tg.mish, {}),
    (nn.Softplus(2.0, 10.0), tg.softplus, {"beta": 2.0, "threshold": 10.0}),
    (nn.Softmax(0), tg.softmax, {"axis": 0}),
    (nn.LogSoftmax(0), tg.log_softmax, {"axis": 0}),
]


@pytest.mark.parametrize(("layer", "function", "options"), ACTIVATIONS, ids=lambda v: repr(v)[:20])
def test_activations_pass_their_options_on(backend, layer, function, options):
    x = tg.asarray(normal(3, 4))
    assert layer(x).tolist() == function(x, **options).tolist()
    for value in options.values():
        assert repr(value) in repr(layer)


def test_identity():
    x = tg.ones(2)
    assert nn.Identity()(x) is x


# ------------------------------------------------------------------------------------ dropout


def test_dropout_keeps_the_mean(backend):
    x = tg.ones((100, 100))
    y = nn.Dropout(0.3)(x).numpy()
    assert set(np.unique(np.asarray(y))) == {np.float32(0), np.float32(1) / np.float32(0.7)}
    assert np.mean(np.asarray(y)) == pytest.approx(1, abs=0.02)
    assert np.mean(np.asarray(y) == 0) == pytest.approx(0.3, abs=0.02)


def test_dropout_in_evaluation_and_at_the_ends(backend):
    x = tg.ones((3, 3))
    assert nn.Dropout(0.5).eval()(x) is x
    assert nn.Dropout(0.0)(x) is x
    assert nn.Dropout(1.0)(x).tolist() == tg.zeros((3, 3)).tolist()
    with pytest.raises(ValueError, match=r"Dropout: p must be in \[0, 1\], got 1.5"):
        nn.Dropout(1.5)
    with pytest.raises(TypeError, match="Dropout: p must be a number, got 'half'"):
        nn.Dropout("half")
    with pytest.raises(ValueError, match=r"dropout: p must be in \[0, 1\], got -1"):
        nn.functional.dropout(x, -1)


def test_the_gradient_passes_the_same_mask(backend):
    x = tg.Tensor(np.ones((5, 5)), requires_grad=True)
    y = nn.Dropout()(x)
    tg.sum(y).backward()
    assert x.grad.tolist() == y.tolist()
    assert y.dtype.name == "float64"


def test_checkpoint_replays_the_mask(backend):
    layer = nn.Dropout()
    x = tg.Tensor(np.ones((5, 5)), requires_grad=True)
    w = tg.Tensor(np.ones((5, 5)), requires_grad=True)
    y = tg.checkpoint(lambda x: layer(x) * w, x)
    tg.sum(y).backward()
    assert w.grad.tolist() == y.tolist()


# ------------------------------------------------------------------------------------- shapes


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (nn.Flatten(), (2, 3, 4), (2, 12)),
        (nn.Flatten(0, 1), (2, 3, 4), (6, 4)),
        (nn.Flatten(), (2, 3), (2, 3)),
        (nn.Flatten(), (0, 3, 2), (0, 6)),
        (nn.Unflatten(1, (3, 4)), (2, 12), (2, 3, 4)),
        (nn.Unflatten(-1, (-1, 4)), (2, 12), (2, 3, 4)),
    ],
)
def test_shapes(backend, layer, shape, expected):
    x = tg.Tensor(normal(*shape), requires_grad=True)
    y = layer(x)
    assert y.shape == expected
    tg.sum(y).backward()
    assert x.grad.shape == shape


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Flatten(), (3,), r"start_dim=1 and end_dim=-1 must name axes in order, got shape \(3,"),
        (nn.Flatten(2, 1), (3, 3, 3), "must name axes in order"),
        (nn.Unflatten(2, (1,)), (3, 3), "dim=2 must name an axis, got shape"),
        (nn.Unflatten(1, (2, 2)), (3, 3), r"\(2, 2\) must multiply to the length 3 of axis 1"),
        (nn.Unflatten(1, (-1, -1)), (3, 1), "must multiply"),
    ],
)
def test_shapes_that_do_not_fit(layer, shape, message):
    with pytest.raises(ValueError, match=message):
        layer(tg.zeros(shape))


# ------------------------------------------------------------------------------------- losses

Y = np.array([0.5, 3.0, -1.0])
T = np.array([1.0, 0.0, 0.5])
P = np.array([0.2, 0.5, 0.9])

LOSSES = [
    (nn.MSELoss(), Y, T, np.mean((Y - T) ** 2)),
    (nn.MSELoss("sum"), Y, T, np.sum((Y - T) ** 2)),
    (nn.L1Loss(), Y, T, np.mean(np.abs(Y - T))),
    (nn.SmoothL1Loss(beta=2.0), Y, T, np.mean([0.25 / 4, 3 - 1, 2.25 / 4])),
    (nn.HuberLoss(delta=2.0), Y, T, np.mean([0.25 / 2, 2 * (3 - 1), 2.25 / 2])),
    (nn.BCELoss(), P, T, np.mean(-T * np.log(P) - (1 - T) * np.log(1 - P))),
    (nn.BCEWithLogitsLoss(), Y, T, np.mean(np.log1p(np.exp(-Y)) + (1 - T) * Y)),
    (nn.KLDivLoss("sum"), np.log(P), P[::-1].copy(), np.sum(P[::-1] * np.log(P[::-1] / P))),
    (
        nn.KLDivLoss("batchmean"),
        np.log(P),
        P[::-1].copy(),
        np.sum(P[::-1] * np.log(P[::-1] / P)) / 3,
    ),
]


@pytest.mark.parametrize(("loss", "y", "target", "expected"), LOSSES, ids=lambda v: repr(v)[:24])
def test_losses(backend, loss, y, target, expected):
    value = loss(tg.asarray(y), tg.asarray(target))
    assert value.item() == pytest.approx(expected, rel=1e-12)


def test_class_losses(backend):
    x = normal(4, 3)
    target = np.array([0, 2, -100, 1])
    logp = x - np.log(np.exp(x).sum(1, keepdims=True))
    weight = np.array([1.0, 2.0, 3.0])
    kept, labels = [0, 1, 3], [0, 2, 1]
    plain = -logp[kept, labels]
    weighted = (plain * weight[labels]).sum() / weight[labels].sum()
    xs, ts = tg.asarray(x), tg.asarray(target)
    assert nn.CrossEntropyLoss()(xs, ts).item() == pytest.approx(plain.mean())
    loss = nn.CrossEntropyLoss(tg.asarray(weight))
    assert loss(xs, ts).item() == pytest.approx(weighted)
    assert list(loss.state_dict()) == ["weight"]
    nll = nn.NLLLoss(tg.asarray(weight), ignore_index=-100)
    assert nll(tg.asarray(logp), ts).item() == pytest.approx(weighted)


def test_reductions_are_checked():
    with pytest.raises(ValueError, match="MSELoss: reduction must be one of mean, sum, none, got"):
        nn.MSELoss("avg")
    assert repr(nn.KLDivLoss("batchmean")) == "KLDivLoss(reduction='batchmean')"
