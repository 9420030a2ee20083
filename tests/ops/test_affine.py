"""The affine map: values, derivatives, shapes, errors."""

import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn.testing import check_op


def reference(x, weight, bias=None):
    y = x @ weight.T
    return y if bias is None else y + bias


@pytest.mark.parametrize("lead", [(), (4,), (2, 3), (0,)])
def test_linear(backend, lead):
    options = {"backends": [backend], "zero_size": False}
    assert check_op(tg.linear, [normal(*lead, 5), normal(3, 5), normal(3)], reference, **options)
    assert check_op(tg.linear, [normal(*lead, 5), normal(3, 5)], reference, **options)


def test_bias_of_another_dtype_promotes(backend):
    x, w = (tg.asarray(normal(*shape).astype(np.float32)) for shape in ((2, 5), (3, 5)))
    assert tg.linear(x, w, tg.asarray(normal(3))).dtype == np.float64


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
    with pytest.raises(ValueError, match=re.escape(message)):
        tg.linear(*[tg.asarray(normal(*s)) for s in shapes])
