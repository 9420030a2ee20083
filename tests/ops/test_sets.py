"""Distinct elements against NumPy."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, integers

DATA = {
    "floats": np.array([[2.0, 1.0, 2.0], [0.5, 1.0, 1.0]]),
    "ints": integers(-3, 3, 4, 5),
    "bools": booleans(5),
    "empty": np.zeros((0, 2)),
    "scalar": np.array(4),
}


@pytest.mark.parametrize("x", DATA.values(), ids=DATA.keys())
@pytest.mark.parametrize("name", ["unique_all", "unique_counts", "unique_inverse", "unique_values"])
def test_unique(name, x, backend):
    result = getattr(tg, name)(tg.asarray(x))
    expected = getattr(np, name)(x)
    if name == "unique_values":
        result, expected = (tg.sort(result),), (np.sort(expected),)
    else:
        assert result._fields == expected._fields
    for got, value in zip(result, expected, strict=True):
        assert isinstance(got, tg.Tensor)
        assert got.dtype == value.dtype
        np.testing.assert_array_equal(got.numpy(), value)


def test_every_nan_is_distinct(backend):
    counts = tg.unique_counts(tg.asarray([np.nan, 1.0, np.nan])).counts
    assert counts.tolist() == [1, 1, 1]


def test_elements_at_their_first_positions_are_differentiable(backend):
    x = tg.Tensor([3.0, 1.0, 3.0], requires_grad=True)
    values, indices, inverse, _ = tg.unique_all(x)
    assert not values.requires_grad
    tg.sum(tg.take(x, indices) * tg.asarray([10.0, 1.0])).backward()
    assert x.grad.tolist() == [1.0, 10.0, 0.0]
    assert tg.take(values, inverse).tolist() == x.tolist()
