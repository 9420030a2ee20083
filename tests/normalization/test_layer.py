"""Batch norm layers: whose statistics normalise, when the estimate moves, what is refused."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import nn
from tinygrad_bn.nn import functional as F

DOUBLE = {"dtype": tg.float64}


def batches(n=4, shape=(6, 3)):
    return [normal(*shape, seed=i) * 2 + i for i in range(n)]


def state(layer):
    return {name: buffer.tolist() for name, buffer in layer.named_buffers()}


def test_evaluation_uses_the_estimate_and_leaves_it_alone(backend):
    layer = nn.BatchNorm(3, **DOUBLE)
    layer(tg.Tensor(batches()[0]))
    before = state(layer.eval())
    x = normal(2, 3)
    expected = (x - layer.running_mean.numpy()) / np.sqrt(layer.running_var.numpy() + 1e-5)
    np.testing.assert_allclose(layer(tg.Tensor(x)).tolist(), expected, rtol=1e-12)
    assert state(layer) == before


def test_the_controls_are_independent(backend):
    x = tg.Tensor(batches()[1])
    by_batch = F.batch_norm(x)[0].tolist()
    for source in ("auto", "batch", "population"):
        for learn in (True, False):
            for training in (True, False):
                layer = nn.BatchNorm(3, normalize_with=source, update_statistics=learn, **DOUBLE)
                layer.train(training)
                fresh = state(layer)
                y = layer(x).detach().tolist()
                batch = source == "batch" or (source == "auto" and training)
                population = (x.numpy() / np.sqrt(1 + 1e-5)).tolist()
                np.testing.assert_allclose(y, by_batch if batch else population, atol=1e-12)
                assert (state(layer) != fresh) == (learn and training)


def test_freezing_survives_train_and_is_undone_by_unfreeze():
    layer = nn.BatchNorm(3, **DOUBLE)
    x = tg.Tensor(batches()[1])
    layer(x)
    model = nn.Sequential(layer)
    assert layer.freeze() is layer
    model.eval()
    model.train()
    before = state(layer)
    frozen = model(x).tolist()
    assert state(layer) == before
    assert frozen == model.eval()(x).tolist()
    assert layer.weight.requires_grad
    layer.freeze(affine=True)
    assert not layer.weight.requires_grad
    layer.unfreeze()
    layer.bias.requires_grad = False
    layer.freeze().unfreeze()
    assert not layer.bias.requires_grad
    model.train()
    assert layer.weight.requires_grad
    np.testing.assert_allclose(model(x).tolist(), F.batch_norm(x)[0].tolist(), atol=1e-12)
    assert state(layer) != before


def test_a_layer_without_an_estimate_uses_the_batch_always():
    layer = nn.BatchNorm(3, track_running_stats=False, **DOUBLE)
    x = tg.Tensor(batches()[0])
    assert layer.eval()(x).tolist() == layer.train()(x).tolist()
    assert list(layer.state_dict()) == ["weight", "bias"]
    with pytest.raises(ValueError, match=r"BatchNorm: freeze\(\) needs a population estimate"):
        layer.freeze()


@pytest.mark.parametrize(("scale", "shift"), [(True, False), (False, True), (False, False)])
def test_scale_and_shift_are_separate(scale, shift):
    layer = nn.BatchNorm(3, scale=scale, shift=shift)
    assert (layer.weight is not None, layer.bias is not None) == (scale, shift)
    y = layer(tg.Tensor(normal(4, 3).astype("f"), requires_grad=True))
    y.sum().backward()
    assert len(list(nn.BatchNorm(3, affine=False).parameters())) == 0
    assert nn.BatchNorm(3, affine=False, shift=True).bias is not None


def test_momentum_is_refused_with_the_conversion():
    text = (
        r"BatchNorm2d: momentum means opposite things in PyTorch and Keras; pass decay, the weight "
        r"of the old estimate: decay = 1 - momentum for a value from PyTorch, decay = momentum for "
        r"one from Keras: decay=0.9 and decay=0.1 here"
    )
    with pytest.raises(TypeError, match=text):
        nn.BatchNorm2d(3, momentum=0.1)
    with pytest.raises(TypeError, match=r"PyTorch's momentum=None is decay=None"):
        nn.BatchNorm(3, momentum=None)
    with pytest.raises(TypeError, match="positional"):
        nn.BatchNorm1d(3, 1e-5, 0.1)


def test_one_value_per_channel_is_an_error_in_training(backend):
    layer = nn.BatchNorm1d(3)
    with pytest.raises(
        ValueError,
        match=r"BatchNorm1d\(3, eps=1e-05, decay=0.9\): one value per channel has no variance, "
        r"got x of shape \(1, 3\); use a larger batch",
    ):
        layer(tg.ones((1, 3)))
    assert layer.eval()(tg.ones((1, 3))).shape == (1, 3)
    layer = nn.BatchNorm1d(3, single_value="population")
    before = state(layer)
    np.testing.assert_allclose(layer(tg.ones((1, 3))).tolist(), [[1 / np.sqrt(1 + 1e-5)] * 3], 1e-6)
    assert state(layer) == before


def test_a_ghost_batch_of_one_value_is_an_error_too():
    layer = nn.BatchNorm1d(3, ghost_size=4)
    with pytest.raises(ValueError, match=r"ghost_size=4\): one value per channel .*\(9, 3\)"):
        layer(tg.ones((9, 3)))
    assert layer(tg.ones((9, 3, 2))).shape == (9, 3, 2)
    assert layer(tg.ones((8, 3))).shape == (8, 3)
    lenient = nn.BatchNorm1d(3, ghost_size=4, single_value="population")
    assert lenient(tg.ones((9, 3))).shape == (9, 3)
    assert lenient.num_batches_tracked.item() == 0


def test_the_error_for_one_value_names_the_layer_in_the_model():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, name="after the first"))
    with pytest.raises(ValueError, match=r"BatchNorm1d\(3, .*name='after the first'\): one value"):
        model(tg.ones((1, 2)))


def test_renorm_schedules(backend):
    r_max = nn.renorm_schedule(2, 4, 1.0, 3.0)
    assert [r_max(i) for i in range(6)] == [1, 1, 1, 2, 3, 3]
    d_max = nn.renorm_schedule(2, 4, 0.0, 5.0)
    layer = nn.BatchRenorm(3, r_max=r_max, d_max=d_max, **DOUBLE)
    plain = nn.BatchNorm(3, **DOUBLE)
    for i, x in enumerate(batches(6)):
        ours, theirs = layer(tg.Tensor(x)).detach().numpy(), plain(tg.Tensor(x)).detach().numpy()
        assert np.allclose(ours, theirs, atol=1e-12) == (i <= 2)
    assert layer.running_var.tolist() == plain.running_var.tolist()
    with pytest.raises(ValueError, match=r"renorm_schedule: start must be < stop, got 4 and 4"):
        nn.renorm_schedule(4, 4, 1, 3)


def test_renorm_without_limits_is_evaluation(backend):
    layer = nn.BatchRenorm(3, r_max=1e6, d_max=1e6, **DOUBLE)
    layer.running_var.assign(2.0)
    x = tg.Tensor(batches()[1])
    evaluated = layer.eval()(x).tolist()
    np.testing.assert_allclose(layer.train()(x).tolist(), evaluated, rtol=1e-10)


def test_activation_and_residual_in_training_and_evaluation(backend):
    layer = nn.BatchNorm2d(2, activation="relu")
    x, r = (tg.Tensor(normal(3, 2, 2, 2, seed=i).astype("f")) for i in (0, 1))
    assert (layer(x, residual=r).detach().numpy() >= 0).all()
    expected = np.maximum(
        (x.numpy() - layer.running_mean.numpy()[:, None, None])
        / np.sqrt(layer.running_var.numpy()[:, None, None] + 1e-5)
        + r.numpy(),
        0,
    )
    np.testing.assert_allclose(layer.eval()(x, residual=r).tolist(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("layer", "shape", "text"),
    [
        (nn.BatchNorm1d(3), (2, 3, 4, 4), r"BatchNorm1d: x must have 2 or 3 axes, got shape \(2"),
        (nn.BatchNorm2d(3), (2, 3), r"BatchNorm2d: x must have 4 axes, got shape \(2, 3\)"),
        (nn.BatchNorm3d(3), (2, 3, 1, 1), r"BatchNorm3d: x must have 5 axes"),
        (
            nn.BatchNorm(3),
            (3, 4),
            r"BatchNorm: x must have 3 features along axis 1, got .*\(3, 4\)",
        ),
        (nn.BatchNorm(3, axis=4), (3, 4), r"x must have 3 features along axis 4"),
        (nn.BatchNorm((3, 2), axis=(1, 2)), (4, 2, 3), r"\(3, 2\) features along axis \(1, 2\)"),
    ],
)
def test_wrong_shapes(layer, shape, text):
    with pytest.raises(ValueError, match=text):
        layer(tg.zeros(shape))


@pytest.mark.parametrize(
    ("make", "kind", "text"),
    [
        (lambda: nn.BatchNorm(0), ValueError, r"BatchNorm: num_features must be >= 1, got 0"),
        (lambda: nn.BatchNorm(2.5), TypeError, r"num_features must be an integer, got 2.5"),
        (lambda: nn.BatchNorm(3, decay=1.5), ValueError, r"decay must be None or lie in \[0, 1\]"),
        (lambda: nn.BatchNorm((3, 2)), ValueError, r"a length for each axis of axis=1, got \(3, 2"),
        (lambda: nn.BatchNorm(3, normalize_with="x"), ValueError, r"auto, batch, population, got"),
        (lambda: nn.BatchNorm(3, single_value="x"), ValueError, r"error, population, got 'x'"),
        (lambda: nn.BatchRenorm(3, ghost_size=2), ValueError, r"ghost_size and .* do not go"),
        (lambda: nn.GroupNorm(2, 3), ValueError, r"must divide num_channels, got 2 and 3"),
    ],
)
def test_wrong_arguments(make, kind, text):
    with pytest.raises(kind, match=text):
        make()


def test_repr_tells_what_is_special():
    assert repr(nn.BatchNorm(3)) == "BatchNorm(3, eps=1e-05, decay=0.9)"
    layer = nn.BatchNorm((3, 2), axis=(1, 2), activation="relu", shift=False)
    assert repr(layer) == (
        "BatchNorm((3, 2), eps=1e-05, decay=0.9, axis=(1, 2), activation='relu', scale=True, "
        "shift=False)"
    )


def test_several_kept_axes_keep_their_shape(backend):
    layer = nn.BatchNorm((3, 2), axis=(1, -1), **DOUBLE)
    x = normal(4, 3, 5, 2)
    y = layer(tg.Tensor(x)).detach().numpy()
    np.testing.assert_allclose(y.mean((0, 2)), np.zeros((3, 2)), atol=1e-13)
    assert layer.weight.shape == layer.running_var.shape == (3, 2)


def test_an_attribute_that_changes_counts_from_the_next_call_on(backend):
    layer, x = nn.BatchNorm(3, **DOUBLE), tg.Tensor(batches()[1])
    layer(x)
    for name, value in (("eps", 0.5), ("activation", "leaky_relu"), ("slope", 0.3)):
        setattr(layer, name, value)
        options = {"eps": 0.5, "activation": layer.activation, "slope": layer.slope}
        assert layer(x).tolist() == F.batch_norm(x, layer.weight, layer.bias, **options)[0].tolist()
    layer.activation, layer.ghost_size = None, 2
    assert (
        layer(x).tolist()
        == F.batch_norm(x, layer.weight, layer.bias, eps=0.5, ghost_size=2)[0].tolist()
    )
    square = tg.Tensor(normal(3, 3))
    layer.ghost_size, layer.axis = None, 0
    assert layer(square).tolist() == F.batch_norm(square, axis=0, eps=0.5)[0].tolist()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_a_copy_after_use_goes_on_as_the_layer_does(copied):
    layer, x = nn.BatchNorm(3, activation="relu"), tg.Tensor(batches()[1])
    layer(x)
    twin = copied(layer)
    assert twin(x).tolist() == layer(x).tolist()
    assert state(twin) == state(layer)


@pytest.mark.parametrize("decay", [0.9, None])
@pytest.mark.parametrize("bad", [None, np.nan])
def test_the_estimate_moves_alike_in_one_step_and_in_two(backend, decay, bad):
    """In the step of the normalization, or from its statistics: a staged commit, a mask of ones."""
    x = batches()[1].astype("f4")
    if bad is not None:
        x[2, 1] = bad
    together, masked = nn.BatchNorm(3, decay=decay), nn.BatchNorm(3, decay=decay)
    for _ in range(2):
        together(tg.Tensor(x))
        masked(tg.Tensor(x), mask=tg.Tensor(np.ones((6, 3), bool)))
    for name, expected in state(masked).items():
        np.testing.assert_allclose(state(together)[name], expected, rtol=1e-6, atol=1e-6)
