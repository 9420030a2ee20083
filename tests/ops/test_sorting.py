"""Sorting against NumPy, its gradient, and its order of equal elements."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, distinct, integers


def _sort(x, *, axis=-1, descending=False, stable=True):
    return -np.sort(-x, axis=axis) if descending else np.sort(x, axis=axis)


def _argsort(x, *, axis=-1, descending=False, stable=True):
    return np.argsort(-x if descending else x, axis=axis, stable=True)


@pytest.mark.parametrize("stable", [True, False])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("axis", [0, -1, 1])
def test_sort(axis, descending, stable, backend):
    options = {"axis": axis, "descending": descending, "stable": stable}
    layouts = ("contiguous", "transposed", "reversed")
    x = distinct(3, 4)
    check_op(tg.sort, [x], _sort, backends=[backend], layouts=layouts, **options)
    check_op(tg.argsort, [x], _argsort, backends=[backend], layouts=layouts, orders=(), **options)


@pytest.mark.parametrize("descending", [False, True])
def test_equal_elements_keep_their_order(descending, backend):
    x = integers(0, 4, 3, 50)
    order = tg.argsort(tg.asarray(x), descending=descending)
    np.testing.assert_array_equal(order.numpy(), _argsort(x, descending=descending))


def test_dtypes(backend):
    for x in (integers(0, 9, 7, dtype="uint8"), booleans(7)):
        result = tg.sort(tg.asarray(x))
        assert result.dtype == x.dtype
        assert result.tolist() == np.sort(x).tolist()


def test_nan_is_the_greatest(backend):
    x = tg.asarray([np.nan, 1.0, -np.inf])
    assert tg.argsort(x).tolist() == [2, 1, 0]
    assert tg.argsort(x, descending=True).tolist() == [0, 1, 2]


def test_methods_and_errors(backend):
    x = tg.asarray([3.0, 1.0, 2.0])
    assert x.sort(descending=True).tolist() == [3.0, 2.0, 1.0]
    assert x.argsort().tolist() == [1, 2, 0]
    for function in (tg.sort, tg.argsort):
        with pytest.raises(ValueError, match=r"sort: .*x of shape \(3,\), axis=1"):
            function(x, axis=1)
