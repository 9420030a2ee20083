"""Initial values: distributions, exact forms, errors."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.nn import init


def drawn(fn, *args, shape=(200, 50), dtype="float32", **kwargs):
    """What an initialiser wrote, as NumPy."""
    t = tg.zeros(shape, dtype=dtype)
    assert fn(t, *args, **kwargs) is t
    assert t.dtype.name == dtype
    return np.array(t.tolist())


def test_constants(backend):
    assert (drawn(init.constant_, 2.5, shape=(2, 3)) == 2.5).all()
    assert (drawn(init.ones_, shape=(2, 3)) == 1).all()
    assert (drawn(init.zeros_, shape=(2, 3)) == 0).all()
    assert (drawn(init.eye_, shape=(2, 3)) == np.eye(2, 3)).all()


def test_half_precision():
    assert drawn(init.normal_, dtype="float16").std() == pytest.approx(1, rel=0.03)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_uniform_and_normal(backend, dtype):
    u = drawn(init.uniform_, -1.0, 3.0, dtype=dtype)
    assert u.min() >= -1
    assert u.max() <= 3
    assert u.mean() == pytest.approx(1, abs=0.05)
    z = drawn(init.normal_, 2.0, 0.5, dtype=dtype)
    assert z.mean() == pytest.approx(2, abs=0.02)
    assert z.std() == pytest.approx(0.5, rel=0.03)


def test_truncated_normal(backend):
    z = drawn(init.trunc_normal_, 1.0, 2.0, 0.0, 3.0)
    assert z.min() >= 0
    assert z.max() <= 3
    a, b = -0.5, 1.0
    density = [math.exp(-t * t / 2) / math.sqrt(2 * math.pi) for t in (a, b)]
    mass = (math.erf(b / math.sqrt(2)) - math.erf(a / math.sqrt(2))) / 2
    assert z.mean() == pytest.approx(1 + 2 * (density[0] - density[1]) / mass, abs=0.05)


FANS = [
    (init.xavier_uniform_, {}, math.sqrt(2 / 250)),
    (init.xavier_normal_, {"gain": 2.0}, 2 * math.sqrt(2 / 250)),
    (init.kaiming_uniform_, {"a": 1.0}, math.sqrt(1 / 50)),
    (init.kaiming_normal_, {"mode": "fan_out", "nonlinearity": "relu"}, math.sqrt(2 / 200)),
]


@pytest.mark.parametrize(("fn", "options", "std"), FANS, ids=[f[0].__name__ for f in FANS])
def test_scaled_by_fans(fn, options, std):
    assert drawn(fn, **options).std() == pytest.approx(std, rel=0.04)


def test_kernels_count_in_the_fans():
    values = drawn(init.kaiming_normal_, shape=(40, 10, 3, 3), nonlinearity="linear")
    assert values.std() == pytest.approx(1 / math.sqrt(90), rel=0.05)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (2, 3, 2)])
def test_orthogonal(backend, shape):
    q = drawn(init.orthogonal_, 2.0, shape=shape, dtype="float64").reshape(shape[0], -1)
    gram = q @ q.T if q.shape[0] <= q.shape[1] else q.T @ q
    assert np.allclose(gram, 4 * np.eye(len(gram)), atol=1e-12)


def test_gains():
    assert init.calculate_gain("relu") == math.sqrt(2)
    assert init.calculate_gain("tanh") == 5 / 3
    assert init.calculate_gain("leaky_relu", 0.2) == math.sqrt(2 / 1.04)
    assert init.calculate_gain("leaky_relu") == math.sqrt(2 / 1.0001)
    with pytest.raises(ValueError, match=r"nonlinearity must be one of .*, got 'swish'"):
        init.calculate_gain("swish")


def test_no_elements_are_no_error():
    for fill in (
        init.xavier_uniform_,
        init.xavier_normal_,
        init.kaiming_uniform_,
        init.orthogonal_,
    ):
        assert fill(tg.zeros((0, 0))).shape == (0, 0)


def test_a_change_is_noticed_by_a_recorded_graph():
    layer = nn.Linear(2, 1)
    y = layer(tg.Tensor([[1.0, 2.0]], requires_grad=True))
    init.normal_(layer.weight)
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda: init.uniform_(tg.zeros(2), 1, 0), ValueError, "a must be <= b, got 1 and 0"),
        (lambda: init.normal_(tg.zeros(2), 0, -1), ValueError, "std must be >= 0, got -1"),
        (lambda: init.normal_(tg.asarray([1, 2])), TypeError, "floating-point tensor, got dtype"),
        (lambda: init.normal_(np.zeros(2)), TypeError, "normal_: needs a Tensor, got ndarray"),
        (lambda: init.trunc_normal_(tg.zeros(2), std=0), ValueError, "std must be > 0, got 0"),
        (lambda: init.trunc_normal_(tg.zeros(2), a=9, b=10), ValueError, "hold at least 1 %"),
        (lambda: init.xavier_normal_(tg.zeros(2)), ValueError, r"two or more axes, got shape \(2,"),
        (lambda: init.orthogonal_(tg.zeros(2)), ValueError, "orthogonal_: needs two or more axes"),
        (lambda: init.ones_(3), TypeError, "ones_: needs a Tensor, got int"),
        (lambda: init.eye_(tg.zeros(2)), ValueError, "eye_: needs two axes"),
        (lambda: init.kaiming_normal_(tg.zeros((2, 2)), mode="in"), ValueError, "got 'in'"),
    ],
)
def test_errors(act, error, message):
    with pytest.raises(error, match=message):
        act()
