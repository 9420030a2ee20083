"""Folding batch norm into the Linear before it, and other frameworks' conventions."""

from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import nn


def trained(dtype=tg.float32, **options):
    model = nn.Sequential(
        nn.Linear(4, 5, dtype=dtype),
        nn.BatchNorm(5, dtype=dtype, **options),
        nn.Sigmoid(),
        nn.Sequential(nn.Linear(5, 3, bias=False, dtype=dtype), nn.BatchNorm1d(3, dtype=dtype)),
    )
    for i in range(5):
        model(tg.Tensor(normal(8, 4, seed=i), dtype=dtype))
    if model[1].weight is not None:
        model[1].weight.assign(normal(5))
    return model


SAMPLE = tg.Tensor(normal(6, 4), dtype=tg.float32)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"activation": "relu"},
        {"activation": "leaky_relu"},
        {"affine": False},
        {"shift": False},
        {"ghost_size": 4},
    ],
)
def test_the_folded_model_is_the_same_function(backend, options):
    model = trained(tg.float64, **options)
    x = tg.Tensor(normal(6, 4))
    folded = nn.fold_batch_norm(model, x)
    assert not any(isinstance(m, nn.BatchNorm) for m in folded.modules())
    assert not folded.training
    expected = model.eval()(x).tolist()
    np.testing.assert_allclose(folded(x).tolist(), expected, rtol=1e-12, atol=1e-12)
    assert isinstance(model[1], nn.BatchNorm)


def test_an_activation_of_the_linear_stands_in_the_way():
    layers = nn.Linear(4, 3, activation="relu").eval(), nn.BatchNorm(3).eval()
    with pytest.raises(ValueError, match=r"its Linear has an activation \('relu'\), which stands"):
        nn.fold_linear(*layers)


def test_float32_is_folded_in_float64():
    model = trained()
    folded = nn.fold_batch_norm(model, SAMPLE)
    layer, linear = model[1], model[0]
    scale = layer.weight.detach().numpy().astype(np.float64) / np.sqrt(
        layer.running_var.numpy().astype(np.float64) + 1e-5
    )
    exact = (linear.weight.detach().numpy() * scale[:, None]).astype(np.float32)
    assert (folded[0].weight.detach().numpy() == exact).all()
    assert folded[0].weight.dtype == tg.float32


def changed(change):
    model = trained()
    change(model)
    return model


def with_hook(model):
    model[0].register_forward_hook(lambda *_: None)


@pytest.mark.parametrize(
    ("model", "text"),
    [
        (nn.Sequential(nn.ReLU(), nn.BatchNorm(4)), r"1: it does not follow a Linear inside a Seq"),
        (nn.BatchNorm(4), r"\(model\): it does not follow a Linear"),
        (
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3, track_running_stats=False)),
            r"1: it has no population estimate",
        ),
        (
            nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3, normalize_with="batch")),
            r"1: it normalises by the batch in evaluation",
        ),
        (changed(with_hook), r"1: hooks are registered"),
        (changed(lambda m: m[1].running_var.assign(np.nan)), r"1: its population estimate is not"),
        (changed(lambda m: m[1].running_var.assign(-1.0)), r"var \+ eps is not positive"),
    ],
)
def test_refusals_give_the_reason(model, text):
    with pytest.raises(ValueError, match=r"fold_batch_norm: cannot fold exactly: .*" + text):
        nn.fold_batch_norm(model, SAMPLE)


def test_a_layer_in_two_places_is_refused():
    linear = nn.Linear(4, 4)
    model = nn.Sequential(linear, nn.BatchNorm(4), linear)
    with pytest.raises(ValueError, match=r"1: it or its Linear is used in several places"):
        nn.fold_batch_norm(model, SAMPLE)


def test_features_on_another_axis_are_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm(4, axis=1))
    with pytest.raises(ValueError, match=r"1: its features are axis 1 of 3, those of a Linear"):
        nn.fold_batch_norm(model, tg.zeros((2, 4, 4)))
    last = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm(4, axis=-1))
    assert isinstance(nn.fold_batch_norm(last, tg.zeros((2, 4, 4)))[1], nn.Identity)


def test_outputs_that_differ_are_an_error():
    with pytest.raises(ValueError, match=r"outputs differ by .* on the sample"):
        nn.fold_batch_norm(trained(), SAMPLE, tolerance=1e-12)


def test_fold_linear_names_what_does_not_fit():
    with pytest.raises(ValueError, match=r"cannot be folded .*: it has 3 features, the Linear 4"):
        nn.fold_linear(nn.Linear(2, 4), nn.BatchNorm(3))


# ----------------------------------------------------------------------------- conventions


def test_decays():
    assert nn.decay_from_pytorch(0.1) == 0.9
    assert nn.decay_to_pytorch(0.9) == 0.1
    assert nn.decay_from_pytorch(None) is nn.decay_to_pytorch(None) is None
    assert nn.decay_from_keras(0.99) == 0.99


def keras_weights():
    return {
        "gamma": normal(3).astype("f"),
        "beta": normal(3, seed=1).astype("f"),
        "moving_mean": normal(3, seed=2).astype("f"),
        "moving_variance": np.array([0.5, 1.0, 2.0], dtype="f"),
    }


def test_keras_values_give_kerass_output_and_come_back(backend):
    w = keras_weights()
    layer = nn.batch_norm_from_keras(w).eval()
    x = normal(2, 4, 3).astype("f")
    expected = (x - w["moving_mean"]) / np.sqrt(w["moving_variance"] + 1e-3) * w["gamma"] + w[
        "beta"
    ]
    np.testing.assert_allclose(layer(tg.Tensor(x)).tolist(), expected, rtol=1e-4, atol=1e-5)
    assert (layer.decay, layer.eps, layer.axis) == (0.99, 1e-3, -1)
    back = nn.batch_norm_to_keras(layer)
    assert {k: back[k] for k in ("momentum", "epsilon", "axis")} == {
        "momentum": 0.99,
        "epsilon": 1e-3,
        "axis": -1,
    }
    for name, value in w.items():
        assert back["weights"][name].tolist() == value.tolist()


def test_keras_variance_is_made_unbiased_if_the_count_is_known():
    layer = nn.batch_norm_from_keras(keras_weights(), count=5)
    np.testing.assert_allclose(layer.running_var.tolist(), [0.625, 1.25, 2.5])
    back = nn.batch_norm_to_keras(layer, count=5)["weights"]["moving_variance"]
    np.testing.assert_allclose(back, [0.5, 1.0, 2.0])
    partial = {k: v for k, v in keras_weights().items() if k != "gamma"}
    assert nn.batch_norm_from_keras(partial).weight is None


def test_values_of_a_pytorch_module():
    """Anything with the attributes of one."""
    values = {
        "weight": normal(3),
        "bias": normal(3, seed=1),
        "running_mean": normal(3, seed=2),
        "running_var": np.array([0.5, 1.0, 2.0]),
        "num_batches_tracked": np.array(7),
    }
    module = SimpleNamespace(
        num_features=3, eps=1e-4, momentum=0.2, training=False, state_dict=lambda: values, **values
    )
    layer = nn.batch_norm_from_pytorch(module)
    assert (layer.decay, layer.eps, layer.training) == (0.8, 1e-4, False)
    np.testing.assert_allclose(layer.running_var.tolist(), [0.5, 1.0, 2.0])
    assert layer.num_batches_tracked.item() == 7


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: nn.batch_norm_from_keras({"gamma": [1.0]}),
            r"must be moving_mean .* got \['gamma'",
        ),
        (lambda: nn.batch_norm_from_keras(keras_weights(), count=1), r"count must be >= 2, got 1"),
        (
            lambda: nn.batch_norm_to_keras(nn.BatchNorm(3, decay=None)),
            r"Keras always keeps an estimate, with a decay",
        ),
    ],
)
def test_conversions_that_are_refused(call, text):
    with pytest.raises(ValueError, match=text):
        call()
