"""The population estimate of a layer: how it moves, what it leaves alone, what is counted."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import nn

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


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.BatchRenorm(3, r_max=nn.renorm_schedule(0, 2, 1, 1.5), d_max=0.2, **DOUBLE),
        lambda: nn.BatchNorm(3, normalize_with="population", **DOUBLE),
    ],
)
def test_a_replay_sees_the_estimate_that_the_first_pass_saw(make):
    gradients = []
    for use in (False, True):
        layer = make()
        layer(tg.Tensor(normal(5, 3) + 2))
        x = tg.Tensor(normal(5, 3, seed=1), requires_grad=True)
        h = tg.checkpoint(layer, x) if use else layer(x)
        (h * h * h).sum().backward()
        gradients.append((x.grad.tolist(), state(layer)))
    assert gradients[0] == gradients[1]


def test_unbiased_variance_of_too_few_values_is_nan():
    x = tg.Tensor(normal(3, 2))
    assert np.isnan(nn.functional.batch_statistics(x[:1]).unbiased().numpy()).all()
    weighted = nn.functional.batch_statistics(x, weights=np.array([0.0, 1.0, 0.0]))
    assert np.isnan(weighted.unbiased().numpy()).all()


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


def test_ghost_layer_keeps_the_statistics_of_the_whole(backend):
    layer, whole = nn.BatchNorm(3, ghost_size=4, **DOUBLE), nn.BatchNorm(3, **DOUBLE)
    x = normal(10, 3)
    y = layer(tg.Tensor(x)).detach().numpy()
    whole(tg.Tensor(x))
    np.testing.assert_allclose(y[:4].mean(0), 0, atol=1e-13)
    np.testing.assert_allclose(layer.running_var.tolist(), whole.running_var.tolist(), rtol=1e-13)
