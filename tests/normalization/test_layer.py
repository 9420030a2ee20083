"""Batch norm layers: whose statistics normalise, when the estimate moves, what is refused."""

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


def test_starts_with_mean_zero_and_variance_one(backend):
    layer = nn.BatchNorm(3)
    assert state(layer) == {
        "running_mean": [0.0] * 3,
        "running_var": [1.0] * 3,
        "num_batches_tracked": 0,
        "num_batches_skipped": [0] * 3,
        "num_updates_missed": [0] * 3,
    }
    assert list(layer.state_dict()) == [
        "weight",
        "bias",
        "running_mean",
        "running_var",
        "num_batches_tracked",
    ]


@pytest.mark.parametrize("decay", [0.9, 0.5, 0.0, None])
def test_the_estimate_follows_its_definition(backend, decay):
    layer = nn.BatchNorm(3, decay=decay, **DOUBLE)
    mean, var = np.zeros(3), np.ones(3)
    for i, x in enumerate(batches()):
        y = layer(tg.Tensor(x))
        expected = (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5)
        np.testing.assert_allclose(y.tolist(), expected, rtol=1e-12, atol=1e-12)
        keep = decay if decay is not None else i / (i + 1)
        mean = keep * mean + (1 - keep) * x.mean(0)
        var = keep * var + (1 - keep) * x.var(0, ddof=1)
    np.testing.assert_allclose(layer.running_mean.tolist(), mean, rtol=1e-13)
    np.testing.assert_allclose(layer.running_var.tolist(), var, rtol=1e-13)
    assert layer.num_batches_tracked.item() == 4


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
        r"got x of shape \(1, 3\) in training",
    ):
        layer(tg.ones((1, 3)))
    assert layer.eval()(tg.ones((1, 3))).shape == (1, 3)
    layer = nn.BatchNorm1d(3, single_value="population")
    before = state(layer)
    np.testing.assert_allclose(layer(tg.ones((1, 3))).tolist(), [[1 / np.sqrt(1 + 1e-5)] * 3], 1e-6)
    assert state(layer) == before


def test_the_error_for_one_value_names_the_layer_in_the_model():
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3, name="after the first"))
    with pytest.raises(ValueError, match=r"BatchNorm1d\(3, .*name='after the first'\): one value"):
        model(tg.ones((1, 2)))


@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 4), (2, 3, 0)])
def test_an_empty_batch(backend, shape):
    layer = nn.BatchNorm(3)
    before = state(layer)
    x = tg.zeros(shape)
    x.requires_grad = True
    y = layer(x)
    assert y.shape == shape
    y.sum().backward()
    assert x.grad.shape == shape
    assert layer.weight.grad.tolist() == [0.0] * 3
    assert layer.bias.grad.tolist() == [0.0] * 3
    assert state(layer) == before


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("m", [6, 700])
def test_a_bad_value_shows_in_its_channel_and_stays_out_of_the_estimate(backend, bad, m):
    layer = nn.BatchNorm(3, **DOUBLE)
    good = nn.BatchNorm(3, **DOUBLE)
    x = normal(m, 3)
    good(tg.Tensor(x))
    x[2, 1] = bad
    with np.errstate(invalid="ignore"):
        y = layer(tg.Tensor(x)).detach().numpy()
    assert np.isnan(y[:, 1]).any()
    assert np.isfinite(y[:, [0, 2]]).all()
    assert layer.num_batches_skipped.tolist() == [0, 1, 0]
    for name, start in (("running_mean", 0.0), ("running_var", 1.0)):
        found, expected = (getattr(a, name).detach().numpy() for a in (layer, good))
        assert found[1] == start
        np.testing.assert_allclose(found[[0, 2]], expected[[0, 2]], rtol=1e-14)


def test_the_cumulative_average_counts_what_each_channel_has_seen(backend):
    layer = nn.BatchNorm(2, decay=None, **DOUBLE)
    xs = batches(3, (5, 2))
    xs[1][0, 1] = np.nan
    for x in xs:
        layer(tg.Tensor(x))
    expected = [np.mean([x.mean(0)[0] for x in xs]), np.mean([xs[i].mean(0)[1] for i in (0, 2)])]
    np.testing.assert_allclose(layer.running_mean.tolist(), expected, rtol=1e-13)
    assert layer.num_updates_missed.tolist() == [0, 1]


def test_checkpoint_updates_once(backend):
    outcomes = []
    for use in (False, True):
        layer = nn.BatchNorm(3)
        x = tg.Tensor(normal(5, 3).astype("f"), requires_grad=True)
        h = tg.checkpoint(layer, x) if use else layer(x)
        (h * h * h).sum().backward()
        outcomes.append((state(layer), x.grad.tolist(), layer.weight.grad.tolist()))
    assert outcomes[0] == outcomes[1]


def test_no_grad_still_updates():
    layer = nn.BatchNorm(3)
    with tg.no_grad():
        layer(tg.Tensor(normal(5, 3)))
    assert layer.num_batches_tracked.item() == 1


def test_a_graph_of_evaluation_survives_a_later_update():
    layer = nn.BatchNorm(3, **DOUBLE)
    x = tg.Tensor(normal(5, 3), requires_grad=True)
    y = layer.eval()(x)
    layer.train()(x)
    y.sum().backward()
    np.testing.assert_allclose(x.grad.tolist(), np.full((5, 3), 1 / np.sqrt(1 + 1e-5)))


@pytest.mark.parametrize("sizes", [[4, 4, 4], [5, 1, 6]])
def test_staged_micro_batches_are_one_batch(backend, sizes):
    x = normal(12, 3) + 3
    whole, parts = nn.BatchNorm(3, **DOUBLE), nn.BatchNorm(3, **DOUBLE, single_value="population")
    whole(tg.Tensor(x))
    nn.stage_statistics(nn.Sequential(parts))
    start = 0
    for n in sizes:
        if n > 1:
            parts(tg.Tensor(x[start : start + n]))
        start += n
    if 1 in sizes:
        whole.reset_running_stats()
        whole(tg.Tensor(np.delete(x, 5, axis=0)))
    assert parts.num_batches_tracked.item() == 0
    nn.commit_statistics(parts)
    nn.commit_statistics(parts)
    assert parts.num_batches_tracked.item() == 1
    for name in ("running_mean", "running_var"):
        found, expected = getattr(parts, name).tolist(), getattr(whole, name).tolist()
        np.testing.assert_allclose(found, expected, rtol=1e-12)
    parts.stage_statistics(False)
    parts(tg.Tensor(x))
    assert parts.num_batches_tracked.item() == 2


def test_staging_leaves_bad_values_out_and_counts_them():
    layer, clean = nn.BatchNorm(2, **DOUBLE), nn.BatchNorm(2, **DOUBLE)
    layer.stage_statistics()
    xs = batches(3, (5, 2))
    clean(tg.Tensor(np.concatenate([xs[0], xs[2]])))
    xs[1][0, 1] = np.nan
    for x in xs:
        layer(tg.Tensor(x))
    with pytest.raises(ValueError, match=r"statistics are staged; call commit_statistics\(\)"):
        layer.stage_statistics(False)
    layer.commit_statistics()
    np.testing.assert_allclose(
        layer.running_var.tolist()[1], clean.running_var.tolist()[1], rtol=1e-12
    )
    assert layer.num_batches_skipped.tolist() == [0, 1]


def test_masked_batches_count_exactly(backend):
    layer = nn.BatchNorm(2, **DOUBLE)
    x = normal(3, 2, 4)
    mask = np.array([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 0, 0]], dtype=bool)
    y = layer(tg.Tensor(x), mask=mask)
    valid = np.moveaxis(x, 1, 2)[mask]
    np.testing.assert_allclose(
        layer.running_var.tolist(), 0.9 + 0.1 * valid.var(0, ddof=1), rtol=1e-12
    )
    assert (np.moveaxis(y.detach().numpy(), 1, 2)[~mask] == 0).all()
    evaluated = layer.eval()(tg.Tensor(x), mask=mask).detach().numpy()
    assert (np.moveaxis(evaluated, 1, 2)[~mask] == 0).all()
    assert (np.moveaxis(evaluated, 1, 2)[mask] != 0).all()


def test_a_mask_with_one_value_leaves_the_estimate_alone(backend):
    layer = nn.BatchNorm(2)
    layer(tg.Tensor(normal(3, 2).astype("f")), mask=np.array([True, False, False]))
    assert layer.running_var.tolist() == [1.0, 1.0]
    assert layer.num_batches_skipped.tolist() == [0, 0]
    assert layer.num_updates_missed.tolist() == [1, 1]


def test_half_precision_has_float32_statistics():
    layer = nn.BatchNorm(2)
    values = np.stack([np.linspace(-6e4, 6e4, 500), np.linspace(5.9e4, 6e4, 500)], axis=1)
    x = tg.Tensor(values.astype(np.float16), requires_grad=True)
    y = layer(x)
    assert y.dtype == tg.float16
    assert layer.running_var.dtype == layer.weight.dtype == tg.float32
    exact = x.detach().detach().numpy().astype(np.float64)
    exact = (exact - exact.mean(0)) / np.sqrt(exact.var(0) + 1e-5)
    np.testing.assert_allclose(y.tolist(), exact, atol=1e-3)
    g = normal(500, 2).astype(np.float16)
    dx, dweight = tg.autograd.grad(y, [x, layer.weight], tg.Tensor(g))
    assert dx.dtype == tg.float16
    assert dweight.dtype == tg.float32
    assert np.isfinite(dx.numpy()).all()
    assert np.isfinite(layer.running_var.numpy()).all()
    assert np.isfinite(layer.eval()(x).detach().detach().numpy()).all()


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


def test_ghost_layer_keeps_the_statistics_of_the_whole(backend):
    layer, whole = nn.BatchNorm(3, ghost_size=4, **DOUBLE), nn.BatchNorm(3, **DOUBLE)
    x = normal(10, 3)
    y = layer(tg.Tensor(x)).detach().numpy()
    whole(tg.Tensor(x))
    np.testing.assert_allclose(y[:4].mean(0), 0, atol=1e-13)
    np.testing.assert_allclose(layer.running_var.tolist(), whole.running_var.tolist(), rtol=1e-13)


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
