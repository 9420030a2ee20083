"""The affine map: values, derivatives, shapes, errors."""

import re

import numpy as np
import pytest
from tinygrad_bn.backends.numpy import NumPyBackend

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import autograd
from tinygrad_bn.testing import check_op


def reference(x, weight, bias=None):
    y = x @ weight.T
    return y if bias is None else y + bias


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,)])
def test_linear(backend, lead):
    options = {"backends": [backend], "zero_size": False}
    assert check_op(tg.linear, [normal(*lead, 5), normal(3, 5), normal(3)], reference, **options)
    assert check_op(tg.linear, [normal(*lead, 5), normal(3, 5)], reference, **options)


ACTIVATIONS = {
    "relu": lambda z: np.maximum(z, 0),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,)])
def test_linear_with_an_activation(backend, lead, activation):
    def expected(x, weight, bias=None, activation=None):
        return ACTIVATIONS[activation](reference(x, weight, bias))

    options = {"backends": [backend], "zero_size": False, "activation": activation}
    arrays = [normal(*lead, 5), normal(3, 5), normal(3)]
    if activation == "relu":
        z = np.sort(np.abs(reference(*arrays)), axis=None)
        assert z.size == 0 or z[0] > 1e-3  # no difference quotient meets the kink
    assert check_op(tg.linear, arrays, expected, **options)
    assert check_op(tg.linear, arrays[:2], expected, **options)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_activation_is_differentiated_once_for_those_that_want_it(activation):
    calls = []

    class Counting(NumPyBackend):
        def __getattribute__(self, name):
            if name.endswith("_pull"):
                calls.append(name)
            return super().__getattribute__(name)

    counting = Counting("counting")
    x, w, b = [tg.asarray(normal(*s), device=counting) for s in ((4, 5), (3, 5), (3,))]
    for wanted in ([x, w, b], [w], [b], [x]):
        for t in (x, w, b):
            t.requires_grad = any(t is other for other in wanted)
        calls.clear()
        got = autograd.grad(
            tg.linear(x, w, b, activation=activation),
            wanted,
            tg.ones((4, 3), dtype="float64", device=counting),
        )
        assert calls == [f"{activation}_pull"]
        for t in (x, w, b):
            t.requires_grad = True
        composed = getattr(tg, activation)(tg.linear(x, w, b))
        expected = autograd.grad(
            composed, wanted, tg.ones((4, 3), dtype="float64", device=counting)
        )
        for d, e in zip(got, expected, strict=True):
            np.testing.assert_allclose(d.numpy(), e.numpy(), rtol=1e-13, atol=1e-13)


@pytest.mark.parametrize("activation", ["gelu", "Relu", 1])
def test_other_activations(backend, activation):
    message = f"linear: activation must be None, 'relu', 'sigmoid' or 'tanh', got {activation!r}"
    with pytest.raises(ValueError, match=re.escape(message)):
        tg.linear(tg.ones((2, 3)), tg.ones((4, 3)), activation=activation)


def test_bias_of_another_dtype_promotes(backend):
    x, w = (tg.asarray(normal(*shape).astype(np.float32)) for shape in ((2, 5), (3, 5)))
    for activation in (None, *ACTIVATIONS):
        y = tg.linear(x, w, tg.asarray(normal(3)), activation=activation)
        assert y.dtype == np.float64


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (
            ((2, 4), (3, 5)),
            "x must be (..., in) and weight (out, in), got x (2, 4) and weight (3, 5)",
        ),
        (((), (3, 5)), "got x () and weight (3, 5)"),
        (((5,), (5,)), "got x (5,) and weight (5,)"),
        (((2, 5), (3, 5), (5,)), "linear: bias must be (3,), got (5,)"),
    ],
)
def test_shapes_that_do_not_fit(backend, shapes, message):
    for activation in (None, "relu"):
        with pytest.raises(ValueError, match=re.escape(message)):
            tg.linear(*[tg.asarray(normal(*s)) for s in shapes], activation=activation)
