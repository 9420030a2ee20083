"""The methods of `Backend` that the engine leans on, on each backend, against plain NumPy."""

import pickle

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import integers, normal
from tinygrad_bn import dtypes
from tinygrad_bn.backend import Backend, get_backend, rng


@pytest.fixture
def B(backend):
    return get_backend(backend)


def test_dtypes_translate(B):
    for name, dtype in dtypes.BY_NAME.items():
        if not B.has_dtype(dtype):
            continue
        native = B.native(dtype)
        assert B.native(native) == native
        assert B.native(name) == native
        assert B.dtype_of(B.from_numpy(np.ones(2, dtype))) == dtype
    assert B.native(None) is None
    with pytest.raises(TypeError, match="not a dtype"):
        B.native("float31")


def test_a_dtype_that_the_library_lacks():
    B = get_backend("strict")
    assert not B.has_dtype(dtypes.float16)
    with pytest.raises(TypeError, match="backend 'strict' has no dtype"):
        B.native("float16")


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 3), (2, 3, 4)])
def test_round_trips(B, shape):
    for values in (normal(*shape), np.asarray(normal(*shape)).T, integers(0, 9, *shape)):
        array = B.from_numpy(np.asarray(values))
        assert type(array) is B.array_type
        assert np.array_equal(B.to_numpy(array), values)


def test_asarray_chooses_dtypes(B):
    for value, dtype in (
        (1.5, "float32"),
        ([1.5, 2.0], "float32"),
        (3, "int64"),
        (True, "bool"),
        (1j, "complex64"),
        ([], "float32"),
        (np.float64(1.5), "float64"),
        ([np.float64(1.5)], "float64"),
        (np.ones(2, dtype="int16"), "int16"),
    ):
        assert B.dtype_of(B.asarray(value)).name == dtype
    assert B.dtype_of(B.asarray([1, 2], "float64")).name == "float64"


def test_copies_own_their_memory(B):
    x = B.from_numpy(normal(4), copy=True)
    y = B.copy(x)
    B.write(x, 0, 9.0)
    assert B.to_numpy(y)[0] == normal(4)[0]
    assert B.owns_memory(y)
    assert not B.owns_memory(x[1:])
    assert B.storage(x[1:]) is B.storage(x)
    assert B.storage(x) is not B.storage(y)


@pytest.mark.parametrize(
    ("before", "after"),
    [((3, 4), (4,)), ((3, 4), (3, 1)), ((3, 4), (1, 1)), ((3, 4), ()), ((4,), (3, 4)),
     ((2, 3), (2, 3)), ((0, 3), (3,)), ((2, 3, 4), (3, 1)), ((), (2, 3))],
)  # fmt: skip
def test_fit(B, before, after):
    g = np.asarray(normal(*before))
    out = B.fit(B.from_numpy(g), shape=after, dtype=B.native("float32"))
    assert B.dtype_of(out).name == "float32"
    if np.prod(before) >= np.prod(after) or 0 in before:
        x = np.ones(after)
        axes = tuple(range(len(before) - len(after)))
        expected = g.sum(axis=axes)
        small = tuple(i for i, n in enumerate(x.shape) if n == 1)
        expected = expected.sum(axis=small, keepdims=True) if small else expected
    else:
        expected = np.broadcast_to(g, after)
    assert B.to_numpy(out).shape == after
    assert np.allclose(B.to_numpy(out), expected, rtol=1e-5)


def test_fit_refuses_shapes_that_are_not_related(B):
    with pytest.raises(ValueError, match=r"."):
        B.fit(B.from_numpy(normal(3)), shape=(2,), dtype=B.native("float64"))


@pytest.mark.parametrize(
    "key",
    [
        1,
        -1,
        slice(1, None),
        slice(None, None, -2),
        (slice(1, 3), 2),
        (..., None, 1),
        (None, slice(0, 2)),
        np.array([0, 0, 3, -1]),
        (np.array([0, 0, 1]), np.array([2, 2, -1])),
        (np.array([[0], [3]]), np.array([1, 1])),
        (slice(None), np.array([1, 1, 0])),
        (np.array([1, 1]), slice(None, 2)),
        np.array([True, False, True, True]),
        np.array([[True, False, True]] * 4),
    ],
    ids=str,
)
def test_indexing_and_its_transpose(B, key):
    """getitem and scatter_add are transposes of each other; both agree with NumPy."""
    shape = (4, 3)
    x = normal(*shape)
    raw = tg.ops.raw_key(tg.Tensor(x), key)
    picked = B.getitem(B.from_numpy(x), key=raw)
    assert np.array_equal(B.to_numpy(picked), x[key])
    values = np.asarray(normal(*x[key].shape))
    expected = np.zeros(shape)
    np.add.at(expected, key, values)
    added = B.scatter_add(B.from_numpy(values), key=raw, shape=shape)
    assert np.allclose(B.to_numpy(added), expected, rtol=1e-12, atol=1e-14)


def test_index_put_leaves_its_argument_alone(B):
    x = B.from_numpy(normal(4, 3), copy=True)
    out = B.index_put(x, B.from_numpy(normal(3)), key=2)
    expected = normal(4, 3)
    assert np.array_equal(B.to_numpy(x), expected)
    expected[2] = normal(3)
    assert np.array_equal(B.to_numpy(out), expected)


def test_functions_of_the_standard_are_found(B):
    assert B.tanh(B.from_numpy(np.zeros(1)))[0] == 0.0
    with pytest.raises(AttributeError, match="no_such_function"):
        _ = B.no_such_function


def test_pickling_keeps_identity(B):
    assert pickle.loads(pickle.dumps(B)) is B


def test_repr(B):
    assert repr(B) == f"<backend {B.name}>"


def test_a_subclass_needs_no_override():
    plain = Backend(np, np.ndarray, "plain")
    x = tg.Tensor([1.0, 2.0], backend=plain, requires_grad=True)
    tg.sum(x[np.array([0, 0, 1])] * 2.0).backward()
    assert x.grad.tolist() == [4.0, 2.0]


# ------------------------------------------------------------------------------------- random


def test_host_backends_share_a_stream():
    draws = []
    for order in (("numpy", "strict"), ("strict", "numpy")):
        rng.manual_seed(3)
        draws.append([rng.stream(get_backend(n)).uniform((2,), np.float64).tolist() for n in order])
    assert draws[0] == draws[1]


def test_state_of_the_streams(B):
    rng.manual_seed(3)
    stream = rng.stream(B)
    stream.normal((3,), np.float64)
    state = pickle.loads(pickle.dumps(rng.get_state()))
    first = stream.normal((3,), np.float64).tolist()
    rng.manual_seed(4)
    assert rng.initial_seed() == 4
    rng.set_state(state)
    assert rng.initial_seed() == 3
    assert rng.stream(B).normal((3,), np.float64).tolist() == first


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, None])
def test_seeds_are_natural_numbers(seed):
    with pytest.raises(ValueError, match="manual_seed: seed must be a non-negative integer, got"):
        rng.manual_seed(seed)
