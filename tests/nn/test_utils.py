"""Clipping gradients."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn


def parameters(*gradients):
    params = []
    for g in gradients:
        p = nn.Parameter(np.zeros(np.shape(g)))
        p.grad = None if g is None else tg.asarray(np.array(g, dtype="float64"))
        params.append(p)
    return params


@pytest.mark.parametrize(("kind", "norm"), [(2.0, 5.0), (1.0, 7.0), (math.inf, 4.0)])
def test_norm_over_all_parameters(backend, kind, norm):
    a, b = parameters([3.0, 0.0], [[-4.0]])
    assert nn.utils.clip_grad_norm_([a, b], 1.0, kind) == pytest.approx(norm)
    factor = 1 / (norm + 1e-6)
    assert a.grad.tolist() == pytest.approx([3 * factor, 0])
    assert b.grad.tolist()[0] == pytest.approx([-4 * factor])


def test_small_gradients_stay_as_they_are(backend):
    (p,) = parameters([0.3, 0.4])
    before = p.grad
    assert nn.utils.clip_grad_norm_(p, 1.0) == pytest.approx(0.5)
    assert p.grad is before
    assert nn.utils.clip_grad_norm_([nn.Parameter([1.0])], 1.0) == 0


def test_nonfinite_norms():
    (p,) = parameters([math.inf])
    with pytest.raises(ValueError, match="the norm of the gradients is inf"):
        nn.utils.clip_grad_norm_([p], 1.0, error_if_nonfinite=True)
    (p,) = parameters([math.nan, 1.0])
    assert math.isnan(nn.utils.clip_grad_norm_([p], 1.0))
    assert math.isnan(p.grad.tolist()[1])


def test_value(backend):
    (p,) = parameters([-3.0, 0.5, 2.0])
    nn.utils.clip_grad_value_([p], 1.0)
    assert p.grad.tolist() == [-1, 0.5, 1]


def test_errors():
    (p,) = parameters([1.0])
    with pytest.raises(ValueError, match="max_norm must be >= 0, got -1"):
        nn.utils.clip_grad_norm_([p], -1)
    with pytest.raises(ValueError, match="norm_type must be > 0, got 0"):
        nn.utils.clip_grad_norm_([p], 1, 0)
    with pytest.raises(ValueError, match="clip_value must be >= 0, got -1"):
        nn.utils.clip_grad_value_([p], -1)
