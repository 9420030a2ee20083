"""What the forward keeps alive: x and two numbers per channel."""

import gc
import tracemalloc

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.nn import functional as F

SHAPE = (64, 32, 16, 16)
SIZE = 64 * 32 * 16 * 16 * 4


def saved_arrays(y):
    return [a for a in y._node.saved if hasattr(a, "nbytes")]


@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
def test_the_node_saves_x_and_small_things(activation):
    layer = nn.BatchNorm2d(32, activation=activation)
    x = tg.Tensor(np.random.default_rng(0).standard_normal(SHAPE, dtype="f"), requires_grad=True)
    y = layer(x)
    large = [a for a in saved_arrays(y) if a.nbytes > 1000]
    assert len(large) == 1
    assert large[0] is x._data


def test_a_residual_without_activation_is_not_kept():
    x, r = (tg.Tensor(np.ones(SHAPE, dtype="f"), requires_grad=True) for _ in range(2))
    y = F.batch_norm(x, residual=r)[0]
    nodes = [y._node, *y._node.parents]
    arrays = [a for n in nodes for a in getattr(n, "saved", ()) if hasattr(a, "nbytes")]
    assert not any(a is r._data for a in arrays)


@pytest.mark.parametrize("activation", [None, "relu"])
def test_the_forward_leaves_the_output_and_nothing_of_its_size_besides(activation):
    layer = nn.BatchNorm2d(32, activation=activation)
    x = tg.Tensor(np.random.default_rng(0).standard_normal(SHAPE, dtype="f"), requires_grad=True)
    layer(x)
    gc.collect()
    tracemalloc.start()
    try:
        y = layer(x)
        kept, peak = tracemalloc.get_traced_memory()
        assert SIZE <= kept < 1.05 * SIZE
        assert peak < 3 * SIZE
        del y
        assert tracemalloc.get_traced_memory()[0] < 0.05 * SIZE
    finally:
        tracemalloc.stop()


def test_evaluation_keeps_nothing_large_of_its_own():
    layer = nn.BatchNorm2d(32).eval()
    x = tg.Tensor(np.ones(SHAPE, dtype="f"), requires_grad=True)
    large = [a for a in saved_arrays(layer(x)) if a.nbytes > 1000]
    assert len(large) == 1
    assert large[0] is x._data
