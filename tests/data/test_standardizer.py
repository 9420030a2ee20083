"""Standardizer: statistics, both directions, constant features, state and errors."""

import re

import numpy as np
import pytest

from tinygrad_bn.data import Standardizer


@pytest.fixture
def rng():
    return np.random.default_rng(7)


def test_statistics_are_the_population_ones(rng):
    x = rng.normal([1.0, -300.0, 2e5], [0.1, 20.0, 3e4], size=(1000, 3))
    standardizer = Standardizer().fit(x)
    np.testing.assert_allclose(standardizer.mean, x.mean(0), rtol=1e-14)
    np.testing.assert_allclose(standardizer.scale, x.std(0), rtol=1e-13)
    z = standardizer.transform(x)
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(0), 1, rtol=1e-12)


def test_statistics_of_float32_are_taken_in_float64(rng):
    # One pass in float32 would lose every digit of this variance.
    x = (1e4 + rng.normal(size=(20_000, 1))).astype(np.float32)
    scale = Standardizer().fit(x).scale
    np.testing.assert_allclose(scale, x.astype(np.float64).std(0), rtol=1e-12)


@pytest.mark.parametrize("shape", [(50,), (50, 4), (50, 1, 3, 2)])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float64, 1e-13), (np.float32, 1e-6)])
def test_inverse_undoes_transform(rng, shape, dtype, rtol):
    x = (5 + 2 * rng.normal(size=shape)).astype(dtype)
    before = x.copy()
    standardizer = Standardizer().fit(x)
    z = standardizer.transform(x)
    back = standardizer.inverse_transform(z)
    assert z.dtype == back.dtype == dtype
    assert z.shape == back.shape == shape
    np.testing.assert_allclose(back, x, rtol=rtol, atol=10 * rtol)
    np.testing.assert_array_equal(x, before)


def test_integers_become_float32():
    z = Standardizer().fit([[1], [3]]).transform(np.array([[1], [3]]))
    assert z.dtype == np.float32
    assert z.tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("value", [0.0, 0.1, -1e300, 5e-324])
def test_a_constant_feature_becomes_exactly_zero_and_comes_back(value):
    x = np.stack([np.full(1001, value), np.arange(1001.0)], axis=1)
    standardizer = Standardizer().fit(x)
    assert standardizer.mean[0] == value
    assert standardizer.scale[0] == 1.0
    z = standardizer.transform(x)
    assert (z[:, 0] == 0).all()
    assert (standardizer.inverse_transform(z)[:, 0] == value).all()


def test_one_row_is_constant():
    assert Standardizer().fit([[3.0, 4.0]]).transform([[3.0, 4.0]]).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("magnitude", [1e-300, 1e300])
def test_squares_neither_vanish_nor_overflow(magnitude):
    standardizer = Standardizer().fit(np.array([[-1.0], [1.0]]) * magnitude)
    assert standardizer.scale[0] == magnitude


def test_a_spread_far_below_the_mean_is_kept():
    x = 1e9 + np.array([[-1e-3], [1e-3]])
    np.testing.assert_allclose(Standardizer().fit(x).scale, np.ptp(x) / 2, rtol=1e-9)


def test_state_round_trip(rng):
    x = rng.normal(size=(20, 3))
    first = Standardizer().fit(x)
    state = first.state_dict()
    second = Standardizer()
    second.load_state_dict(state)
    np.testing.assert_array_equal(second.transform(x), first.transform(x))
    state["mean"] += 1
    np.testing.assert_array_equal(second.mean, first.mean)
    np.testing.assert_array_equal(first.mean, first.state_dict()["mean"])


def test_repr():
    assert repr(Standardizer()) == "Standardizer(not fitted)"
    assert repr(Standardizer().fit([[1.0, 2.0]])) == "Standardizer(features (2,))"


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        ([], ValueError, "x must have at least one row, got (0,)"),
        (3.0, ValueError, "x must be (N, *F), got a scalar"),
        ([["a"]], TypeError, "x must hold real numbers, got <U1"),
        ([[1j]], TypeError, "x must hold real numbers, got complex128"),
        (
            [[1.0, 2.0], [3.0, np.nan]],
            ValueError,
            "x must be finite, got NaN or inf in feature=(1,)",
        ),
        ([np.inf, 0.0], ValueError, "x must be finite, got NaN or inf in feature=()"),
        (
            [[1.7e308], [-1.7e308], [1.7e308], [1.7e308]],
            ValueError,
            "x is too large: its statistics overflow float64",
        ),
    ],
)
def test_fit_refuses(x, error, message):
    with pytest.raises(error, match=f"^Standardizer.fit: {re.escape(message)}$"):
        Standardizer().fit(x)


@pytest.mark.parametrize("method", ["transform", "inverse_transform"])
def test_other_features_are_refused(method):
    standardizer = Standardizer().fit(np.eye(3))
    message = f"Standardizer.{method}: features must have the fitted shape (3,), got (2,)"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(standardizer, method)(np.ones((4, 2)))


@pytest.mark.parametrize("method", ["transform", "inverse_transform", "state_dict"])
def test_not_fitted(method):
    arguments = () if method == "state_dict" else ([[1.0]],)
    message = f"Standardizer.{method}: not fitted yet: call fit(x) first"
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        getattr(Standardizer(), method)(*arguments)


@pytest.mark.parametrize("name", ["mean", "scale"])
def test_no_statistics_before_fit(name):
    with pytest.raises(ValueError, match=f"^Standardizer.{name}: not fitted yet"):
        getattr(Standardizer(), name)


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"mean": [0.0]}, "keys must be ['mean', 'scale'], got ['mean']"),
        (
            {"mean": [0.0], "scale": [1.0], "var": [1.0]},
            "keys must be ['mean', 'scale'], got ['mean', 'scale', 'var']",
        ),
        (
            {"mean": [0.0], "scale": [1.0, 1.0]},
            "mean and scale must have equal shapes, got (1,), (2,)",
        ),
        (
            {"mean": [np.nan], "scale": [1.0]},
            "mean and scale must be finite, got [nan], [1.]",
        ),
        ({"mean": [0.0], "scale": [0.0]}, "scale must be > 0, got [0.]"),
    ],
)
def test_load_state_dict_refuses_and_changes_nothing(state, message):
    standardizer = Standardizer().fit([[1.0], [3.0]])
    with pytest.raises(
        ValueError, match=f"^{re.escape('Standardizer.load_state_dict: ' + message)}$"
    ):
        standardizer.load_state_dict(state)
    assert standardizer.mean.tolist() == [2.0]
