"""NumPy's own kernels for small batches against the reference that they replace."""

import numpy as np
import pytest

from tests.helpers import normal
from tinygrad_bn.backend import get_backend
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.backend.reference_normalization import NormalizationReference as Reference

B = get_backend("numpy")


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("shape", [(60, 100), (1, 3), (64, 8), (65, 8), (128, 8), (33, 1)])
def test_small_batches(dtype, activation, affine, shape):
    x, g = normal(*shape).astype(dtype) + 3, normal(*shape, seed=1).astype(dtype)
    gamma, beta = normal(shape[1]).astype(dtype), normal(shape[1], seed=2).astype(dtype)
    gamma, beta = (gamma, beta) if affine else (None, None)
    plan = normalization_plan(2, 1, 1e-5, activation=activation)
    before = x.copy(), g.copy()
    found = B.batch_norm(x, gamma, beta, None, None, plan=plan)
    expected = Reference.batch_norm(B, x, gamma, beta, None, None, plan=plan)
    tolerance = (
        {"rtol": 1e-4, "atol": 2e-5} if dtype == "float32" else {"rtol": 1e-11, "atol": 1e-11}
    )
    for name, a, b in zip(("y", "mean", "low", "var", "rstd"), found, expected, strict=False):
        if name != "low":
            np.testing.assert_allclose(a, b, err_msg=name, **tolerance)
        assert a.dtype == b.dtype
        assert a.shape == b.shape
    np.testing.assert_allclose(
        found[1].astype("f8") + found[2], x.mean(0, dtype="f8"), rtol=1e-9, atol=1e-6
    )
    mean, low, _, rstd = found[1:5]
    arguments = (g, x, mean, low, rstd, gamma, beta, None, None)
    grads = B.batch_norm_grad(*arguments, plan=plan)
    reference = Reference.batch_norm_grad(B, *arguments, plan=plan)
    for name, a, b in zip(("dx", "dgamma", "dbeta"), grads, reference, strict=True):
        scale = np.abs(b).max() + 1
        np.testing.assert_allclose(a / scale, b / scale, err_msg=name, **tolerance)
        assert a.dtype == b.dtype
    assert (x == before[0]).all()
    assert (g == before[1]).all()


@pytest.mark.parametrize("bad", [None, np.nan])
@pytest.mark.parametrize("usable", [None, np.array([True, False, True])])
def test_advancing_the_estimate(bad, usable):
    old = np.zeros(3), np.ones(3)
    mean, var = np.array([1.0, 2.0, 3.0]), np.array([2.0, 3.0, 4.0])
    if bad is not None:
        mean[0] = bad
    counters = np.array(9), np.array([5, 0, 1]), np.array([7, 0, 2])
    found = B.advance_estimate(*old, *counters, mean, var, 1.5, usable, 0.1)
    expected = Reference.advance_estimate(B, *old, *counters, mean, var, 1.5, usable, 0.1)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-15)
    assert found[2].tolist() == 10
    assert found[3].tolist() == [5 + (bad is not None), 0, 1]
    assert found[4].tolist() == [7 + (bad is not None), int(usable is not None), 2]
    assert [c.tolist() for c in counters] == [9, [5, 0, 1], [7, 0, 2]]


def test_a_sum_of_finite_numbers_that_overflows_is_still_finite():
    old, huge, counter = np.zeros(2), np.full(2, 1.7e308), np.zeros(2, dtype=int)
    counters = np.asarray(0), counter, counter
    found = B.advance_estimate(old, old, *counters, huge, np.zeros(2), 1.0, None, 0.1)
    np.testing.assert_allclose(found[0], 0.1 * huge)
    assert [a.tolist() for a in found[1:]] == [[0, 0], 1, [0, 0], [0, 0]]
