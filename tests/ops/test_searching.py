"""Searching against NumPy."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, distinct, integers

TIES = np.array([[2.0, 5.0, 5.0, -1.0], [3.0, 3.0, 3.0, 3.0]])


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1])
@pytest.mark.parametrize("name", ["argmax", "argmin"])
def test_extremes(name, axis, keepdims, backend):
    for x in (distinct(3, 4), TIES, integers(0, 3, 3, 4), booleans(3, 4)):
        check_op(
            getattr(tg, name),
            [x],
            getattr(np, name),
            backends=[backend],
            orders=(),
            axis=axis,
            keepdims=keepdims,
            zero_size=False,
            float32=False,
        )


@pytest.mark.parametrize("x", [TIES, booleans(3, 4), integers(-1, 2, 5), np.zeros((2, 0))])
def test_nonzero(x, backend):
    check_op(
        tg.nonzero, [x], np.nonzero, backends=[backend], orders=(), float32=False, zero_size=False
    )


@pytest.mark.parametrize("side", ["left", "right"])
def test_searchsorted(side, backend):
    x1 = np.array([1.0, 2.0, 2.0, 5.0])
    for x2 in (np.array([[0.0, 2.0], [5.0, 9.0]]), np.array(2.0), np.array([], dtype=float)):
        check_op(
            tg.searchsorted,
            [x1, x2],
            np.searchsorted,
            backends=[backend],
            orders=(),
            layouts=("contiguous",),
            side=side,
            zero_size=False,
            float32=False,
        )


def test_searchsorted_by_order_and_numbers(backend):
    x1 = tg.asarray([5.0, 1.0, 3.0])
    assert tg.searchsorted(x1, tg.asarray([2.0, 4.0]), sorter=tg.argsort(x1)).tolist() == [1, 2]
    assert tg.searchsorted(x1, [2.0, 4.0], sorter=[1, 2, 0]).tolist() == [1, 2]
    assert tg.searchsorted(tg.asarray([1.0, 3.0]), 2.0).item() == 1
    assert tg.searchsorted(tg.asarray([1, 3]), tg.asarray([2.5])).tolist() == [1]


def test_methods(backend):
    x = tg.asarray(TIES)
    assert x.argmax(1).tolist() == [1, 0]
    assert x.argmin().item() == 3
    assert [p.tolist() for p in tg.asarray([0, 3]).nonzero()] == [[1]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: tg.argmax(x, axis=2), r"argmax: .*x of shape \(2, 3\), axis=2"),
        (lambda x: tg.argmin(x[:0]), r"argmin: .*x of shape \(0, 3\)"),
        (lambda x: tg.nonzero(x[0, 0]), r"nonzero: x must have at least one axis, got shape \(\)"),
        (lambda x: tg.searchsorted(x, x), r"searchsorted: x1 must .* got shape \(2, 3\)"),
        (lambda x: tg.searchsorted(x[0], x, side="up"), "searchsorted: side .* got 'up'"),
    ],
)
def test_errors(call, message, backend):
    with pytest.raises(ValueError, match="^" + message):
        call(tg.zeros((2, 3)))
