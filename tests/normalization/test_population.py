"""Population statistics from data, and how the moving average compares."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import nn

DOUBLE = {"dtype": tg.float64}


def network():
    return nn.Sequential(
        nn.Linear(4, 3, **DOUBLE),
        nn.BatchNorm(3, **DOUBLE),
        nn.Sigmoid(),
        nn.Dropout(0.5),
        nn.Linear(3, 2, **DOUBLE),
        nn.BatchNorm(2, **DOUBLE),
    )


def batches(sizes=(8, 8, 5)):
    return [tg.Tensor(normal(n, 4, seed=i) + i) for i, n in enumerate(sizes)]


def by_hand(model, xs, method):
    """Statistics of the first layer's input."""
    inputs = [model[0](x).detach().numpy() for x in xs]
    if method == "moments":
        whole = np.concatenate(inputs)
        return whole.mean(0), whole.var(0, ddof=1)
    return (
        np.mean([a.mean(0) for a in inputs], axis=0),
        np.mean([a.var(0, ddof=1) for a in inputs], axis=0),
    )


@pytest.mark.parametrize("method", ["average", "moments"])
@pytest.mark.parametrize("layerwise", [False, True])
def test_the_estimate_is_its_definition(backend, method, layerwise):
    model, xs = network(), batches()
    mean, var = by_hand(model, xs, method)
    found = nn.estimate_population(model, xs, method=method, layerwise=layerwise)
    assert list(found) == ["1", "5"]
    np.testing.assert_allclose(found["1"].mean.tolist(), mean, rtol=1e-12)
    np.testing.assert_allclose(found["1"].var.tolist(), var, rtol=1e-12)
    assert found["1"].count == (3 if method == "average" else 21)
    for name, layer in (("1", model[1]), ("5", model[5])):
        assert layer.running_mean.tolist() == found[name].mean.tolist()
        assert layer.running_var.tolist() == found[name].var.tolist()
        assert layer.num_batches_tracked.item() == 3
        assert layer.normalize_with == "auto"
    assert all(m.training for m in model.modules())


def test_layer_by_layer_sees_what_evaluation_will_see(backend):
    model, xs = network(), batches()
    found = nn.estimate_population(model, xs, method="moments", layerwise=True)
    model.eval()
    seen = np.concatenate([model[:5](x).detach().numpy() for x in xs])
    np.testing.assert_allclose(found["5"].mean.tolist(), seen.mean(0), rtol=1e-11)
    np.testing.assert_allclose(found["5"].var.tolist(), seen.var(0, ddof=1), rtol=1e-11)
    one_pass = nn.estimate_population(model, xs, method="moments")
    assert abs(one_pass["5"].mean.numpy() - seen.mean(0)).max() > 1e-3


def test_the_whole_data_in_evaluation_then_has_mean_zero_and_variance_one():
    model = nn.Sequential(nn.BatchNorm(3, eps=0.0, **DOUBLE))
    xs = [tg.Tensor(normal(n, 3, seed=n) * 3 + n) for n in (7, 9, 20)]
    nn.estimate_population(model, xs, method="moments")
    model.eval()
    y = np.concatenate([model(x).detach().numpy() for x in xs])
    np.testing.assert_allclose(y.mean(0), 0, atol=1e-13)
    np.testing.assert_allclose(y.var(0, ddof=1), 1, rtol=1e-12)


def test_without_update_everything_stays():
    model = network()
    model[1].freeze()
    before = {k: v.tolist() for k, v in model.state_dict().items()}
    nn.estimate_population(model, batches(), update=False, layerwise=True)
    assert {k: v.tolist() for k, v in model.state_dict().items()} == before
    assert model[1].frozen
    assert model[1]._collect is None


def test_loader_batches_and_chosen_inputs():
    pairs = [(x, "label") for x in batches()]
    a = nn.estimate_population(network(), pairs, update=False)
    model = network()
    b = nn.estimate_population(
        model, [{"x": x} for x in batches()], inputs=lambda batch: (batch["x"],)
    )
    assert list(a) == list(b)
    counted = nn.estimate_population(model, iter(batches()))
    assert counted["1"].count == 3


def test_comparison_tells_how_far_the_average_is(backend):
    model, xs = network(), batches()
    nn.estimate_population(model, xs)
    rows = nn.compare_population(model, xs)
    assert [r.name for r in rows] == ["1", "5"]
    for row in rows:
        assert row.mean_shift < 1e-12
        assert abs(row.smallest_ratio - 1) < 1e-12
        assert abs(row.largest_ratio - 1) < 1e-12
    layer = model[1]
    sigma = np.sqrt(layer.running_var.numpy() + layer.eps)
    layer.running_mean.assign(layer.running_mean.numpy() + np.array([0.1, 2.0, -0.3]) * sigma)
    layer.running_var.assign((layer.running_var.numpy() + 1e-5) * [0.5, 1, 4] - 1e-5)
    row = nn.compare_population(model, xs)[0]
    np.testing.assert_allclose(row[1:4], [2.0, 0.5, 4.0], rtol=1e-9)
    assert row.worst_channel == 1
    assert str(row) == (
        "1: mean off by up to 2 σ (channel 1), variance 0.5 to 4 times the population's"
    )


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: nn.estimate_population(nn.Linear(2, 2), []), r"Linear holds no BatchNorm"),
        (lambda: nn.estimate_population(network(), []), r"there is no batch"),
        (
            lambda: nn.estimate_population(network(), batches(), method="mean"),
            r"method must be one of \('average', 'moments'\), got 'mean'",
        ),
        (
            lambda: nn.estimate_population(network(), iter(batches()), layerwise=True),
            r"pass a list or a loader, not the iterator list_iterator",
        ),
        (
            lambda: nn.estimate_population(network(), batches((1,))),
            r"'1' got a batch with one value",
        ),
        (
            lambda: nn.estimate_population(network(), [tg.Tensor(np.full((4, 4), np.nan))]),
            r"NaN or Inf in the input of '1'",
        ),
    ],
)
def test_refusals(call, text):
    with pytest.raises(ValueError, match=text):
        call()


def test_an_error_leaves_the_model_as_it_was():
    model = network()
    with pytest.raises(ValueError, match="one value"):
        nn.estimate_population(model, batches((8, 1)))
    assert model.training
    assert model[1].normalize_with == "auto"
    assert model[1]._collect is None
    assert model[1].num_batches_tracked.item() == 0
