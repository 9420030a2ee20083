"""Running sums and products, differences, and linear recurrences."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, distinct, normal


@pytest.mark.parametrize("include_initial", [False, True])
@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("name", ["cumulative_sum", "cumulative_prod"])
def test_running(name, axis, include_initial, backend):
    check_op(
        getattr(tg, name),
        [distinct(3, 4)],
        getattr(np, name),
        backends=[backend],
        axis=axis,
        include_initial=include_initial,
    )


def test_a_vector_needs_no_axis(backend):
    check_op(tg.cumulative_sum, [normal(5)], np.cumulative_sum, backends=[backend])
    check_op(tg.cumulative_prod, [normal(5)], np.cumulative_prod, backends=[backend])


@pytest.mark.parametrize("zeros", [[0], [2], [1, 3], [4], [0, 1, 2, 3, 4]])
def test_cumulative_prod_with_zeros(zeros, backend):
    x = np.array([2.0, -3.0, 0.5, 4.0, -1.5])
    x[zeros] = 0.0
    check_op(tg.cumulative_prod, [x], np.cumulative_prod, backends=[backend], zero_size=False)


def test_booleans_are_counted(backend):
    result = tg.cumulative_sum(tg.asarray([True, False, True]))
    assert result.dtype == tg.int64
    assert result.tolist() == [1, 1, 2]


def _recurrence(a, b, *, axis):
    a, b = np.moveaxis(a, axis, 0), np.moveaxis(b, axis, 0)
    y = [b[0]] if len(b) else []
    for i in range(1, len(b)):
        y.append(a[i] * y[-1] + b[i])
    return np.moveaxis(np.array(y).reshape(b.shape), 0, axis)


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("n", [1, 2, 7])
def test_linear_scan(axis, n, backend):
    inputs = [normal(n, 3, seed=1), normal(n, 3, seed=2)]
    check_op(tg.linear_scan, inputs, _recurrence, backends=[backend], axis=axis)


@pytest.mark.parametrize(
    "options", [{}, {"axis": 0}, {"n": 0}, {"n": 2}, {"n": 3, "axis": 1}, {"n": 9}]
)
def test_diff(options, backend):
    check_op(tg.diff, [normal(3, 4)], np.diff, backends=[backend], zero_size=False, **options)


def test_diff_with_ends(backend):
    check_op(
        lambda x, a, b: tg.diff(x, prepend=a, append=b),
        [normal(3, 4), normal(3, 2, seed=1), normal(3, 1, seed=2)],
        lambda x, a, b: np.diff(x, prepend=a, append=b),
        backends=[backend],
        layouts=("contiguous", "transposed"),
    )
    x = tg.Tensor([1.0, 4.0])
    assert tg.diff(x, prepend=0, append=tg.asarray(2.0)).tolist() == [1.0, 3.0, -2.0]


def test_diff_of_booleans(backend):
    assert tg.diff(tg.asarray([True, True, False])).tolist() == [False, True]


def test_errors(backend):
    x = tg.zeros((2, 3))
    with pytest.raises(ValueError, match=r"^cumulative_sum: axis must be given for an array of 2"):
        tg.cumulative_sum(x)
    with pytest.raises(ValueError, match=r"^cumulative_prod: axis must be .* below 2, got 2"):
        tg.cumulative_prod(x, axis=2)
    with pytest.raises(ValueError, match=r"^diff: n must not be negative, got -1"):
        tg.diff(x, n=-1)
    with pytest.raises(ValueError, match=r"^linear_scan: a and b .* got \(2, 3\) and \(2,\)"):
        tg.linear_scan(x, tg.zeros(2))
