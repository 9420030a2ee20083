"""The instruments, against closed forms; and that they leave no trace."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import diagnostics as dg
from tinygrad_bn import nn


def network():
    return nn.Sequential(nn.Linear(4, 3), nn.BatchNorm(3), nn.Sigmoid(), nn.Linear(3, 2))


def state(model):
    return {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[key], b[key]) for key in a)


class Quadratic(nn.Module):
    """½·Σ λ_i·θ_i²: gradient λ·θ, so everything along it is known."""

    def __init__(self, curvatures, start):
        super().__init__()
        self.curvatures = tg.asarray(np.array(curvatures))
        self.theta = nn.Parameter(tg.asarray(np.array(start)))

    def forward(self):
        return 0.5 * (self.curvatures * self.theta**2).sum()


# ------------------------------------------------------------------------------ distributions


def test_percentiles_of_a_known_sample():
    x = np.stack([np.arange(101.0), 2 * np.arange(101.0)], axis=1)
    assert np.allclose(dg.percentiles(x), [[15, 30], [50, 100], [85, 170]], rtol=0, atol=1e-12)
    between = dg.percentiles(np.array([0.0, 1.0]), (25,))
    assert between.tolist() == [0.25]


def test_percentiles_of_the_normal_distribution():
    x = np.random.default_rng(0).standard_normal((200_000, 1))
    assert np.allclose(dg.percentiles(x)[:, 0], [-1.0364, 0, 1.0364], atol=0.01)


def test_percentiles_refuse():
    with pytest.raises(ValueError, match=r"x must be \(N, \*C\) with samples, got shape \(0, 3\)"):
        dg.percentiles(np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"q must be in \[0, 100\], got \(50, 101\)"):
        dg.percentiles(np.zeros(3), (50, 101))
    with pytest.raises(ValueError, match="channel_moments: x must be"):
        dg.channel_moments(np.float64(1))


def test_channel_moments():
    mean, deviation = dg.channel_moments(np.array([[1.0, 0.0], [3.0, 0.0]]))
    assert mean.tolist() == [2, 0]
    assert deviation.tolist() == [1, 0]


def test_a_trace_of_a_moving_distribution():
    trace = dg.PercentileTrace()
    x = np.arange(101.0)[:, None]
    for step in (0, 10, 20):
        trace.add(step, x + step)  # moves by 20 in all; the spread stays 70
    assert trace.steps == [0, 10, 20]
    assert trace.values.shape == (3, 3, 1)
    assert trace.spread.tolist() == [[70], [70], [70]]
    assert trace.median_drift.tolist() == [20]
    assert trace.relative_drift.tolist() == [20 / 70]
    again = dg.PercentileTrace()
    for step, rows in zip(trace.steps, trace.values, strict=True):
        again.add_percentiles(step, rows)
    assert np.array_equal(again.values, trace.values)


def test_a_trace_refuses():
    with pytest.raises(ValueError, match="needs 0 <= lower < 50 < upper <= 100, got lower=60"):
        dg.PercentileTrace(60, 85)
    with pytest.raises(ValueError, match="nothing has been added yet"):
        _ = dg.PercentileTrace().values


# -------------------------------------------------------------------------------------- hooks


def test_a_recorder_sees_inputs_outputs_and_gradients(backend):
    model, x = network(), tg.random.normal((20, 4))
    seed = tg.random.normal((20, 2))
    with dg.Recorder(model, ["2", "3"], gradients=True) as seen:
        (model(x) * seed).sum().backward()
    last, middle = seen["3"], seen["2"]
    weight = model[3].weight.detach().numpy()
    assert np.allclose(middle.output, 1 / (1 + np.exp(-middle.input)), atol=1e-6)
    assert np.array_equal(last.input, middle.output)
    assert np.allclose(last.gradient, seed.numpy(), atol=1e-6)
    assert np.allclose(middle.gradient, seed.numpy() @ weight, atol=1e-5)
    kept = last.output.copy()
    model(x + 1)  # after the block nothing is recorded
    assert np.array_equal(seen["3"].output, kept)
    assert not any(m._forward_hooks for m in model.modules())


def test_a_recorder_without_a_backward_pass_has_no_gradient():
    model = network()
    with tg.no_grad(), dg.Recorder(model, [""], gradients=True) as seen:
        model(tg.random.normal((5, 4)))
    assert seen[""].gradient is None
    assert seen[""].output.shape == (5, 2)


def test_a_recorder_takes_its_hooks_out_after_an_error():
    model = network()
    with pytest.raises(ZeroDivisionError), dg.Recorder(model, ["0"]):
        raise ZeroDivisionError
    assert not model[0]._forward_hooks


def test_names_that_are_not_there():
    model = nn.Sequential({"hidden": nn.Linear(2, 2), "output": nn.Linear(2, 2)})
    with pytest.raises(
        ValueError, match=r"Recorder: Sequential has no module 'hiden'; did you mean 'hidden'\?"
    ):
        dg.Recorder(model, ["hiden"])
    with (
        pytest.raises(KeyError, match="'output' has not been called"),
        dg.Recorder(model, ["output"]) as seen,
    ):
        _ = seen["output"]
    assert dg.layers(model, nn.Linear) == ["hidden", "output"]


def test_noise_has_the_moments_that_are_said():
    model = nn.Sequential(nn.Identity())
    x = tg.ones((40_000, 3))
    with dg.ActivationNoise(model, ["0"], shift=0.5, scale=1.25, jitter=0.1):
        draws = [model(x).numpy() for _ in range(30)]
        model.eval()
        assert np.array_equal(model(x).numpy(), x.numpy())
    means = np.array([d.mean(axis=0) for d in draws])
    assert means.min() >= 1 - 0.5 - 0.01  # x = 1: a + b lies in [1 - shift, scale + shift]
    assert means.max() <= 1.25 + 0.5 + 0.01
    assert means.std() > 0.2  # it moves from call to call: √(1/12 + 0.25²/12) = 0.30
    within = np.array([d.std(axis=0) for d in draws])
    assert np.allclose(within, (0.1**2 + 0.2**2 / 12) ** 0.5, atol=0.003)
    assert not model[0]._forward_hooks


def test_noise_is_reproducible_and_lets_gradients_through():
    model = network()
    x = tg.random.normal((6, 4))
    with dg.ActivationNoise(model, ["1"]):
        tg.random.manual_seed(3)
        a = model(x)
        tg.random.manual_seed(3)
        b = model(x)
    assert np.array_equal(a.detach().numpy(), b.detach().numpy())
    a.sum().backward()
    assert model[0].weight.grad is not None


def test_noise_refuses():
    with pytest.raises(ValueError, match=r"scale >= 1 and jitter >= 0, got 0\.5, "):
        dg.ActivationNoise(network(), ["1"], scale=0.5)


def test_moving_averages_are_those_of_the_layer():
    model = nn.Sequential(nn.BatchNorm(3, decay=0.9), nn.BatchNorm(3, decay=0.9))
    with dg.MovingAverages(model, [0.9, 0.5]) as averages:
        for _ in range(5):
            model(tg.random.normal((8, 3)) * 2 + 1)
        model.eval()
        model(tg.random.normal((8, 3)))  # evaluation does not count
    wanted = state(model)
    averages.write(0.5)
    assert not same(state(model), wanted)
    averages.write(0.9)
    for key, value in state(model).items():
        assert np.allclose(value, wanted[key], atol=1e-6), key
    with pytest.raises(ValueError, match=r"decay must be one of \[0.9, 0.5\], got 0.7"):
        averages.write(0.7)
    with pytest.raises(ValueError, match="needs a model with BatchNorm layers, and decays"):
        dg.MovingAverages(nn.Linear(2, 2), [0.9])


# ---------------------------------------------------------------------------------- landscape


def test_the_landscape_of_a_quadratic():
    curvatures, start = np.array([1.0, 3.0]), np.array([2.0, -1.0])
    model = Quadratic(curvatures, start)
    g = curvatures * start
    etas = (0.1, 0.2, 0.4)
    found = dg.along_gradient(model, model, etas)
    assert found.loss == pytest.approx(0.5 * (curvatures * start**2).sum(), rel=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(g), rel=1e-12)
    losses = [0.5 * (curvatures * (start - eta * g) ** 2).sum() for eta in etas]
    assert np.allclose(found.losses, losses, rtol=1e-12)
    # ∇L(θ - η·g) - g = -η·λ·g
    assert np.allclose(found.changes, [eta * np.linalg.norm(curvatures * g) for eta in etas])
    assert found.predictiveness == pytest.approx(0.4 * np.linalg.norm(curvatures * g))
    assert found.smoothness == pytest.approx(np.linalg.norm(curvatures * g) / np.linalg.norm(g))
    assert found.loss_range == pytest.approx(max(losses) - min(losses))
    assert curvatures.min() <= found.smoothness <= curvatures.max()


def test_the_landscape_of_one_curvature_is_smooth_by_just_that():
    model = Quadratic([2.5, 2.5], [1.0, 4.0])
    assert dg.along_gradient(model, model, [0.01, 0.3]).smoothness == pytest.approx(2.5)


def test_at_a_minimum_smoothness_is_not_a_number():
    model = Quadratic([1.0], [0.0])
    found = dg.along_gradient(model, model, [0.1])
    assert found.norm == 0
    assert np.isnan(found.smoothness)
    assert found.predictiveness == 0


def test_the_gradient_is_that_of_finite_differences():
    model = network().astype("float64")
    x, y = tg.random.normal((9, 4), dtype="float64"), tg.random.integers(0, 2, (9,))

    def loss():
        return tg.cross_entropy(model(x), y)

    value, g = dg.gradient(model, loss)
    assert value == pytest.approx(float(loss()))
    weight = model[3].weight
    (index,) = [i for i, p in enumerate(model.parameters()) if p is weight]
    step, base = 1e-6, weight.detach().numpy().copy()
    for position in np.ndindex(*base.shape):
        sides = []
        for sign in (1, -1):
            moved = base.copy()
            moved[position] += sign * step
            weight.assign(moved)
            sides.append(float(loss()))
        weight.assign(base)
        assert float(g[index].numpy()[position]) == pytest.approx(
            (sides[0] - sides[1]) / (2 * step), abs=1e-8
        )


def test_looking_leaves_no_trace(backend):
    model = network()
    x, y = tg.random.normal((16, 4)), tg.random.integers(0, 2, (16,))
    model(x).sum().backward()
    grads = [p.grad.numpy().copy() for p in model.parameters() if p.grad is not None]
    before = state(model)
    dg.along_gradient(model, lambda: tg.cross_entropy(model(x), y), [0.1, 10.0])
    assert same(state(model), before)
    after = [p.grad.numpy() for p in model.parameters() if p.grad is not None]
    assert all(np.array_equal(a, b) for a, b in zip(grads, after, strict=True))


def test_everything_is_put_back_after_an_error():
    model = network()
    before = state(model)
    calls = []

    def loss():
        calls.append(1)
        if len(calls) == 2:
            raise ZeroDivisionError
        return model(tg.ones((3, 4)) * tg.asarray([[1.0], [2.0], [3.0]])).sum()

    with pytest.raises(ZeroDivisionError):
        dg.along_gradient(model, loss, [0.1])
    assert same(state(model), before)


def test_step_sizes_are_checked():
    model = Quadratic([1.0], [1.0])
    for sizes, said in (([], r"\(\)"), ([0.1, 0.0], r"\(0.1, 0.0\)")):
        with pytest.raises(ValueError, match=f"step_sizes must be positive numbers, got {said}"):
            dg.along_gradient(model, model, sizes)
