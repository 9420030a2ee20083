"""Optimizer steps in one kernel against the reference, over several steps."""

import copy

import numpy as np
import pytest
from tinygrad_bn.backends.numba.kernels import tables

from tests.backends.numba.compared import REFERENCE, close, laid_out
from tests.helpers import normal
from tinygrad_bn.backend import get_backend

SHAPES = [(), (1,), (0,), (7,), (3, 5), (2, 3, 4), (tables.BLOCK + 1,), (130, 130)]
SGD = {"momentum": 0.0, "dampening": 0.0, "weight_decay": 0.0, "nesterov": False, "maximize": False}
ADAM = {"weight_decay": 0.0, "decoupled": False, "amsgrad": False, "maximize": False}


def _arrays(dtype, seed, layout="contiguous"):
    return [laid_out(normal(*s, seed=seed + i), dtype, layout) for i, s in enumerate(SHAPES)]


def _own(arrays):
    """Copies that keep the memory layout and may be written to."""
    return [np.array(a, order="K") for a in arrays]


def _sgd(backend, dtype, layout, options):
    """Parameters and buffers after three steps."""
    params = _own(_arrays(dtype, 1, layout))
    buffers = [None] * len(params)
    for step in range(3):
        grads = _arrays(dtype, 100 * step + 2, layout)
        before = copy.deepcopy(grads)
        params, buffers = backend.sgd_step(params, grads, buffers, lr=0.1, **options)
        assert all(np.array_equal(a, b) for a, b in zip(grads, before, strict=True))
    return params, buffers


def _adam(backend, dtype, layout, options):
    params = _own(_arrays(dtype, 1, layout))
    means, squares = ([np.zeros_like(p) for p in params] for _ in range(2))
    peaks = [np.zeros_like(p) if options["amsgrad"] else None for p in params]
    for step in range(3):
        grads = _arrays(dtype, 100 * step + 2, layout)
        steps = [step + 1 + i for i in range(len(params))]
        params, means, squares, peaks = backend.adam_step(
            params,
            grads,
            means,
            squares,
            peaks,
            steps=steps,
            lr=0.1,
            betas=(0.9, 0.99),
            eps=1e-3,  # not 0 in half precision either
            **options,
        )
    return params, means, squares, peaks


def _agree(run, dtype, layout, options):
    found = run(get_backend("numba"), dtype, layout, options)
    with np.errstate(all="ignore"):
        expected = run(REFERENCE, dtype, layout, options)
    for row, wanted in zip(found, expected, strict=True):
        for a, b in zip(row, wanted, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                close(a, b)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "maximize": True},
        {"momentum": 0.9},
        {"momentum": 0.9, "dampening": 0.5, "weight_decay": 0.1},
        {"momentum": 0.9, "nesterov": True},
        {"momentum": 0.9, "nesterov": True, "maximize": True},
    ],
    ids=str,
)
def test_sgd(dtype, layout, options):
    _agree(_sgd, dtype, layout, SGD | options)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"weight_decay": 0.1, "maximize": True},
        {"weight_decay": 0.1, "decoupled": True},
        {"amsgrad": True},
        {"amsgrad": True, "decoupled": True, "weight_decay": 0.1},
    ],
    ids=str,
)
def test_adam(dtype, layout, options):
    _agree(_adam, dtype, layout, ADAM | options)


def _step(params, grads):
    backend = get_backend("numba")
    return backend.sgd_step(params, grads, [None] * len(params), lr=0.5, **SGD)[0]


def test_arrays_are_changed_in_place():
    p, g = np.ones(3, np.float32), np.ones(3, np.float32)
    (new,) = _step([p], [g])
    assert new is p
    assert p.tolist() == [0.5] * 3


def test_dtypes_may_be_mixed():
    params = [np.ones(2, np.float32), np.ones(2)]
    assert [p.tolist() for p in _step(params, [np.ones(2, np.float32), np.ones(2)])] == [
        [0.5, 0.5]
    ] * 2


def test_what_may_not_be_written_to_is_refused():
    p = np.ones(2, np.float32)
    p.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        _step([p], [np.ones(2, np.float32)])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("options", [{}, {"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}])
def test_odd_gradients_stay_where_they_are(value, options):
    p, g = np.ones(9, np.float32), np.ones(9, np.float32)
    g[4] = value
    for backend in (get_backend("numba"), REFERENCE):
        with np.errstate(all="ignore"):
            (new,), _ = backend.sgd_step([p.copy()], [g], [None], lr=0.5, **SGD | options)
        assert np.isfinite(np.delete(new, 4)).all()
        assert not np.isfinite(new[4])
        close(new[4:5], np.array([-value], np.float32))


def test_a_table_reads_what_numpy_says():
    arrays = [np.ones((2, 3)), np.ones(()), np.ones((0, 4)), np.ones((5, 1, 2))]
    table = np.array([[id(a) for a in arrays]])
    sizes, starts = np.zeros(4, np.int64), np.zeros(5, np.int64)
    assert tables.survey(0, table, sizes, starts, 1, id(np.dtype(float))) == 17
    assert table.tolist() == [[a.ctypes.data for a in arrays]]
    assert sizes.tolist() == [a.size for a in arrays]
    assert starts.tolist() == [0, 1, 2, 2, 3]
    swapped = np.ones(3).astype(">f8" if np.little_endian else "<f8")
    for other in (np.ones(3, np.float32), np.ones(6)[::2], swapped):
        table = np.array([[id(other)]])
        assert tables.survey(0, table, sizes, starts, 1, id(np.dtype(float))) == -1
