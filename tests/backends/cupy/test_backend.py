"""CuPyBackend on a pretend device: conversion, memory, what CuPy lacks, and a whole training."""

import gc
import inspect

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.backends.cupy.fake_names import LINALG, SIGNATURES, UFUNCS, signature
from tests.gpu import PRETEND
from tests.helpers import integers, normal
from tinygrad_bn.backend import get_backend
from tinygrad_bn.testing import check_backend


@pytest.fixture
def B(cupy):
    return get_backend("cupy:1")


def test_it_conforms(cupy):
    report = check_backend("cupy:1")
    assert report.failures == []
    assert {"multiply", "matmul", "sum", "scatter_add", "batch_norm"} <= set(report.proven)


def test_what_is_pretended_is_cupys():
    """Parameters and names in fake_names.py are those of the real package."""
    if PRETEND:
        pytest.skip("the package cupy is pretended, so it cannot be compared with itself")
    real = pytest.importorskip(
        "cupy", reason="the package cupy is not installed", exc_type=ImportError
    )
    for name in UFUNCS:
        assert callable(getattr(real, name)), name
    for namespace, table in ((real, SIGNATURES), (real.linalg, LINALG)):
        for name, parameters in table.items():
            found = inspect.signature(getattr(namespace, name)).parameters.values()
            expected = signature(parameters).parameters.values()
            assert [(p.name, p.kind) for p in found] == [(p.name, p.kind) for p in expected], name
    assert not hasattr(real, "unstack")
    assert not hasattr(real, "vecdot")
    assert not hasattr(real.linalg, "svdvals")
    assert not hasattr(real.linalg, "vector_norm")


# --------------------------------------------------------------------------------- conversion


def test_nothing_is_shared_with_the_host(B):
    host = np.arange(3.0)
    array = B.from_numpy(host)
    host[0] = 9.0
    assert B.to_numpy(array)[0] == 0.0
    back = B.to_numpy(array)
    back[1] = 9.0
    assert B.to_numpy(array)[1] == 1.0
    with pytest.raises(ValueError, match="from_numpy: data on the host must be copied to a dev"):
        B.from_numpy(host, copy=False)


def test_storage(B):
    x = B.from_numpy(normal(4, 3))
    assert B.storage(x[1:][:, 0]) is x
    assert B.storage(B.permute_dims(x, (1, 0))) is x
    assert B.owns_memory(x)
    assert not B.owns_memory(B.reshape(x, (12,)))


def test_an_in_place_change_is_noticed(cupy):
    x = tg.Tensor([1.0, 2.0], backend="cupy", requires_grad=True)
    w = tg.Tensor([3.0, 4.0], backend="cupy")
    y = (x * w).sum()
    w[0] = 5.0
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()


def test_full_checks_its_value(B):
    with pytest.raises(OverflowError):
        tg.full((2,), 300, dtype="int8", device="cupy:1")


# ------------------------------------------------------------------------------------- memory


def test_memory_stats(cupy, B):
    before = B.memory_stats()
    assert set(before) == {
        "used", "cached", "reserved", "limit", "device_free", "device_total", "pinned_free_blocks",
    }  # fmt: skip
    x = tg.zeros((1000,), device="cupy:1")
    assert B.memory_stats()["used"] == before["used"] + 4000
    del x
    gc.collect()
    assert B.memory_stats()["used"] == before["used"]
    assert B.memory_stats()["cached"] >= 4000


def test_out_of_memory_says_what_the_pool_holds(cupy, B):
    keep = tg.zeros((1000,), device="cupy:1")
    cupy.cuda.pool.set_limit(10_000)
    message = (
        r"out of memory on cuda:1: asked for 8,000 bytes; the pool holds [\d,]+ bytes "
        r"\([\d,]+ in use, [\d,]+ cached, limited to 10,000\), the device has [\d,]+ of "
        r"17,179,869,184 bytes free"
    )
    with pytest.raises(MemoryError, match=message):
        tg.zeros((2000,), device="cupy:1")
    assert keep.shape == (1000,)


def test_an_allocator_of_the_programs_own_is_kept(pretend):
    cupy = pretend()
    own = cupy.cuda.MemoryPool().malloc
    cupy.cuda.set_allocator(own)
    get_backend("cupy")
    assert cupy.cuda.get_allocator() == own


def test_upload(cupy, B):
    before = cupy.cuda.synchronisations
    host = normal(3, 4)
    array = B.upload(host)
    assert cupy.cuda.synchronisations == before
    assert np.array_equal(B.to_numpy(array), host)
    assert B.upload(np.zeros((0, 3))).shape == (0, 3)


def test_pages_are_kept_until_they_are_copied(cupy, B):
    for done, kept in ((False, 3), (True, 1)):
        cupy.cuda.Event = lambda done=done: type("E", (), {"done": done})()
        for stream in (cupy.cuda.null,):
            stream.record = lambda event=None, done=done: type("E", (), {"done": done})()
        B._memory._in_flight.clear()
        for _ in range(3):
            B.upload(normal(3))
        assert len(B._memory._in_flight) == kept


# ------------------------------------------------------------------- where CuPy is different


def on_device(B, *arrays):
    return [B.from_numpy(a) for a in arrays]


@pytest.mark.parametrize("name", ["max", "min", "argmax", "argmin"])
def test_choices_among_no_elements(B, name):
    (x,) = on_device(B, np.zeros((0, 3)))
    assert getattr(B, name)(x, axis=1).shape == (0,)
    assert getattr(B, name)(x, axis=1, keepdims=True).shape == (0, 1)
    with pytest.raises(ValueError, match="there is no element to choose along axis 0"):
        getattr(B, name)(x, axis=0)


def test_empty_arrays_are_sorted_and_scanned(B):
    (x,) = on_device(B, np.zeros((0, 3), dtype="int32"))
    assert B.sort(x).shape == B.argsort(x).shape == (0, 3)
    assert B.cumulative_sum(x, axis=0).shape == (0, 3)
    ones = B.cumulative_prod(x, axis=0, include_initial=True)
    assert B.to_numpy(ones).tolist() == [[1, 1, 1]]


def test_counting_stacking_products_and_repeats(B):
    x, y = normal(2, 3, 4), normal(2, 3, 4)
    a, b = on_device(B, x, y)
    count = B.count_nonzero(B.from_numpy(integers(0, 2, 3, 4)), axis=0, keepdims=True)
    expected = np.count_nonzero(integers(0, 2, 3, 4), axis=0, keepdims=True)
    assert np.array_equal(B.to_numpy(count), expected)
    parts = B.unstack(a, axis=1)
    assert np.array_equal(B.to_numpy(parts[2]), x[:, 2])
    assert np.allclose(B.to_numpy(B.vecdot(a, b)), (x * y).sum(-1))
    counts = np.array([2, 0, 3])
    repeated = B.repeat(a, B.from_numpy(counts), axis=1)
    assert np.array_equal(B.to_numpy(repeated), x.repeat(counts, axis=1))
    assert np.array_equal(B.to_numpy(B.repeat(a, 2)), x.repeat(2))


def test_positions_outside_an_axis(B):
    (x,) = on_device(B, normal(4, 3))
    bad = B.from_numpy(np.array([0, 5]))
    message = "index 5 is out of bounds for axis 0 with size 4"
    for call in (
        lambda: B.getitem(x, key=bad),
        lambda: B.take(x, bad, axis=0),
        lambda: B.take_along_axis(x, B.reshape(bad, (2, 1)), axis=0),
        lambda: B.index_put(x, x[0], key=bad),
        lambda: B.write(x, bad, 0.0),
        lambda: B.scatter_add(x[:2], key=bad, shape=(4, 3)),
    ):
        with pytest.raises(IndexError, match=message):
            call()


@pytest.mark.parametrize(
    "key",
    [
        (np.array([0, 2, 0]), slice(None), np.array([1, 1, 1])),
        (slice(1, 3), np.array([[0, -1], [1, 1]]), ..., 0),
        (..., np.array([3, 3, 0])),
        (np.array([1, 1]), slice(None, 2)),
        (None, np.array([1, 0, 1]), slice(None, None, -1)),
        (np.array([[True, False, True]] * 3), slice(1, None)),
        (0, np.array([True, False, True])),
        (np.array([1, 1]), None, ..., np.array([0, 0])),
        np.array(True),
        (2, np.array(1)),
    ],
    ids=str,
)
def test_indexing_with_arrays(B, key):
    x = normal(3, 3, 4)
    raw = tg.ops.raw_key(tg.Tensor(x, backend="cupy:1"), key)
    (array,) = on_device(B, x)
    assert np.array_equal(B.to_numpy(B.getitem(array, key=raw)), x[key])
    values = np.asarray(normal(*x[key].shape))
    expected = np.zeros(x.shape)
    np.add.at(expected, key, values)
    added = B.scatter_add(B.from_numpy(values), key=raw, shape=x.shape)
    assert np.allclose(B.to_numpy(added), expected, rtol=1e-12, atol=1e-14)


def test_sums_at_repeated_positions_have_one_order(B):
    values, places = normal(200).astype("float32"), integers(0, 5, 200)
    a, p = on_device(B, values, places)
    first = B.to_numpy(B.scatter_add(a, key=p, shape=(5,)))
    assert np.array_equal(first, B.to_numpy(B.scatter_add(a, key=p, shape=(5,))))
    expected = [values[places == i].astype("float64").sum() for i in range(5)]
    assert np.allclose(first, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["inv", "cholesky"])
def test_singular_matrices_are_reported(B, name):
    (zero,) = on_device(B, np.zeros((3, 3)))
    with pytest.raises(ValueError, match=rf"{name}: failed for shape \(3, 3\)"):
        getattr(B, name)(zero)
    with pytest.raises(ValueError, match=r"solve: failed for shape \(3, 3\) and \(3, 1\)"):
        B.solve(zero, B.from_numpy(normal(3)))


def test_solve_broadcasts(B):
    a, b = normal(2, 1, 3, 3) + 3 * np.eye(3), normal(4, 3, 2)
    x = B.solve(*on_device(B, a, b))
    assert np.allclose(B.to_numpy(x), np.linalg.solve(np.broadcast_to(a, (2, 4, 3, 3)), b))
    v = B.solve(*on_device(B, a, normal(3)))
    assert np.allclose(B.to_numpy(v), np.linalg.solve(a, normal(3)[:, None])[..., 0])
    assert B.solve(*on_device(B, a, np.zeros((3, 0)))).shape == (2, 1, 3, 0)


def test_linear_algebra_that_cupy_lacks(B):
    x = normal(2, 4, 3)
    (a,) = on_device(B, x)
    assert np.allclose(B.to_numpy(B.svdvals(a)), np.linalg.svdvals(x))
    assert np.array_equal(B.to_numpy(B.matrix_rank(a)), [3, 3])
    assert np.array_equal(B.to_numpy(B.diagonal(a, offset=1)), x.diagonal(1, 1, 2))
    for order in (1, 2, 3):
        norm = B.power_norm(a, axis=-1, ord=order, keepdims=False)
        assert np.allclose(B.to_numpy(norm), np.linalg.vector_norm(x, axis=-1, ord=order))
    spd = x @ x.mT + np.eye(4)
    upper = B.cholesky(B.from_numpy(spd), upper=True)
    assert np.allclose(B.to_numpy(upper), np.linalg.cholesky(spd, upper=True))


# ----------------------------------------------------------------------------------- training


def trained(name):
    """Losses of a small network with everything that a training step uses."""
    tg.random.manual_seed(5)
    with tg.use_backend("numpy"):
        model = tg.nn.Sequential(
            tg.nn.Linear(6, 8), tg.nn.BatchNorm(8), tg.nn.ReLU(), tg.nn.Linear(8, 3)
        )
    model.to(name)
    optimizer = tg.optim.Adam(model.parameters(), lr=0.02)
    rng = np.random.default_rng(0)
    losses = []
    for _ in range(8):
        x = tg.Tensor(rng.standard_normal((16, 6)), dtype="float32", backend=name)
        y = tg.Tensor(rng.integers(0, 3, 16), backend=name)
        optimizer.zero_grad()
        loss = tg.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    return losses


def test_training_is_that_of_numpy(cupy):
    assert np.allclose(trained("cupy:1"), trained("numpy"), rtol=1e-4)


def test_a_loader_that_pins(cupy):
    dataset = tg.data.ArrayDataset(np.arange(6.0, dtype="float32").reshape(3, 2), np.arange(3))
    before = cupy.cuda.synchronisations
    batches = list(tg.data.DataLoader(dataset, 2, backend="cupy:1", pin_memory=True))
    assert cupy.cuda.synchronisations == before
    assert [x.tolist() for x, _ in batches] == [[[0, 1], [2, 3]], [[4, 5]]]
    assert batches[0][0].array.device.id == 1
