"""Indexing with all that NumPy takes, reading and writing, and the standard's `take`."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, normal
from tinygrad_bn.backend import BackendMismatchError

X = normal(4, 5, 6)
MASK = booleans(4, 5, 6)
ROWS = np.array([True, False, True, True])
PLANE = booleans(4, 5)

KEYS = {
    "int": 2,
    "negative int": -1,
    "ints": (1, -2, 3),
    "numpy int": np.int64(1),
    "slice": slice(1, 3),
    "slices": (slice(None, -1), slice(1, None, 2)),
    "negative step": (slice(None, None, -1), slice(4, 0, -2)),
    "empty slice": (slice(3, 1), slice(9, 20)),
    "slice out of bounds": (slice(-9, 99), slice(9, None, -1)),
    "none": (None, 1, None, slice(2, 4)),
    "ellipsis": (..., 1),
    "ellipsis in the middle": (1, ..., 2),
    "ellipsis only": ...,
    "nothing": (),
    "mask": MASK,
    "mask of rows": ROWS,
    "mask of a plane": PLANE,
    "mask after a slice": (slice(1, 3), np.array([True, False, True, True, False])),
    "mask with an int": (ROWS, 2),
    "mask with an array": (ROWS, np.array([0, 1, 4])),
    "true": True,
    "true in a tuple": (True,),
    "mask in a tuple": (MASK,),
    "array in a tuple": (np.array([1, 1, -4]),),
    "false": (False, slice(1, 2)),
    "nothing selected": np.zeros((4, 5), dtype=bool),
    "list": [0, 2, 2],
    "empty list": [],
    "list of bools": [True, False, False, True],
    "array": np.array([[0, -1], [2, 2]]),
    "array of no axes": np.array(2),
    "unsigned": np.array([1, 3], dtype=np.uint8),
    "two arrays": (np.array([0, 1, 1]), np.array([4, 0, 0])),
    "three arrays": (np.array([0, 1]), [1, 1], np.array([-1, 2])),
    "broadcast arrays": (np.array([[0], [3]]), np.array([1, 2, 2])),
    "array and slice": (np.array([3, 0, 3]), slice(1, 4)),
    "slice and array": (slice(None, None, 2), np.array([1, 1])),
    "separated arrays": (np.array([0, 1, 1]), slice(None), np.array([2, 2, 0])),
    "array, int": (slice(None), np.array([1, 2]), 0),
    "array, none": (None, np.array([1, 2]), None),
    "ellipsis, array": (..., np.array([5, 0])),
    "array, ellipsis, array": (np.array([1, 1]), ..., np.array([5, 5])),
}

keys = pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())


def on_backend(key):
    """The same index with tensors for arrays."""
    if isinstance(key, tuple):
        return tuple(on_backend(k) for k in key)
    return tg.asarray(key) if isinstance(key, np.ndarray) else key


@keys
def test_reading(key, backend):
    check_op(
        lambda x: x[key],
        [X],
        lambda x: x[key],
        backends=[backend],
        layouts=("contiguous", "transposed"),
        zero_size=False,
    )
    np.testing.assert_array_equal(tg.asarray(X)[on_backend(key)].numpy(), X[key])


@keys
def test_writing(key, backend):
    values = normal(*X[key].shape, seed=3)
    for value in (2.5, values, tg.asarray(values), tg.asarray(values.astype(np.float32))):
        expected = X.copy()
        expected[key] = np.asarray(value)
        t = tg.asarray(X, copy=True)
        t[key] = value
        if X[key].size == np.unique(np.arange(X.size).reshape(X.shape)[key]).size:
            np.testing.assert_array_equal(t.numpy(), expected)
        untouched = expected == X
        np.testing.assert_array_equal(t.numpy()[untouched], X[untouched])


@pytest.mark.parametrize("name", ["int", "negative step", "mask", "two arrays", "ellipsis, array"])
def test_recorded_writing(name, backend):
    key = KEYS[name]
    if name == "two arrays":
        key = (np.array([0, 1, 3]), np.array([4, 0, 0]))

    def put(x, values):
        x = x * 1
        x[key] = values
        return x

    def reference(x, values):
        x = x.copy()
        x[key] = values
        return x

    check_op(
        put,
        [X, normal(*X[key].shape, seed=3)],
        reference,
        backends=[backend],
        layouts=("contiguous",),
        zero_size=False,
    )


def test_written_values_are_broadcast(backend):
    x = tg.zeros((2, 3), dtype=tg.float64)
    values = tg.Tensor([1.0, 2.0, 3.0], dtype=tg.float64, requires_grad=True)
    x[[True, True]] = values
    assert x.tolist() == [[1.0, 2.0, 3.0]] * 2
    tg.sum(x * x).backward()
    assert values.grad.tolist() == [4.0, 8.0, 12.0]


def test_writing_another_dtype_converts(backend):
    x = tg.asarray([1, 2, 3])
    x[1:] = tg.asarray([4.7, 5.2])
    x[[0]] = 9
    assert x.dtype == tg.int64
    assert x.tolist() == [9, 4, 5]


def test_a_scalar_is_indexed(backend):
    x = tg.asarray(3.0)
    assert x[()].item() == x[...].item() == x[None].tolist()[0] == 3.0
    assert x[True].tolist() == [3.0]
    assert x[tg.asarray(False)].shape == (0,)


def test_repeated_positions_add_up(backend):
    x = tg.asarray(normal(5), copy=True)
    x.requires_grad = True
    positions = np.array([0, 0, 3, 0, 3, 4] * 20)
    weights = normal(120)
    tg.sum(x[positions] * tg.asarray(weights)).backward()
    expected = np.bincount(positions, weights, minlength=5)
    np.testing.assert_allclose(x.grad.numpy(), expected, atol=1e-12)


def test_a_recorded_index_does_not_change_with_the_callers_array(backend):
    x = tg.asarray(normal(4), copy=True)
    x.requires_grad = True
    positions = np.array([0, 1])
    for y in (x[positions], tg.take(x, positions)):
        positions[:] = 3
        x.grad = None
        tg.sum(y).backward()
        assert x.grad.tolist()[3] == 0.0
        positions[:] = [0, 1]


@pytest.mark.parametrize("indices", [[0, 2, 2], [-1], [], [[1, 0], [3, 3]]])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take(indices, axis, backend):
    raw = np.array(indices, dtype=np.int64)
    check_op(
        lambda x: tg.take(x, raw, axis=axis),
        [normal(4, 5)],
        lambda x: np.take(x, raw, axis=axis),
        backends=[backend],
        zero_size=False,
    )
    assert (
        tg.take(tg.zeros((4, 5)), tg.asarray(raw), axis=axis).shape
        == np.take(np.zeros((4, 5)), raw, axis=axis).shape
    )


def test_take_without_axis(backend):
    x = normal(3, 4)
    assert tg.take(tg.asarray(x), [0, -1, 5]).tolist() == np.take(x, [0, -1, 5]).tolist()
    assert tg.take(tg.asarray(x), 3).item() == x[0, 3]


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_take_along_axis(axis, backend):
    indices = np.array([[0, 2, 1], [2, 2, -1]])
    check_op(
        lambda x: tg.take_along_axis(x, indices, axis=axis),
        [normal(2, 3) if axis else normal(3, 3)],
        lambda x: np.take_along_axis(x, indices, axis=axis),
        backends=[backend],
        zero_size=False,
    )


def test_take_along_axis_broadcasts(backend):
    x = normal(3, 4)
    indices = np.array([[1, 0]])
    check_op(
        lambda x: tg.take_along_axis(x, indices),
        [x],
        lambda x: np.take_along_axis(x, indices, axis=-1),
        backends=[backend],
        zero_size=False,
    )


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x[4], IndexError, r"getitem: index 4 .*x of shape \(4, 5\), key=4"),
        (lambda x: x[0, -6], IndexError, "getitem: index -6 is out of bounds"),
        (lambda x: x[1, 2, 3], IndexError, "getitem: too many indices"),
        (lambda x: x[..., 0, ...], IndexError, "getitem: an index can only have a single ellip"),
        (lambda x: x[1.0], TypeError, "getitem: an index is an integer, .* got float"),
        (lambda x: x["a"], TypeError, "getitem: an index is an integer, .* got str"),
        (lambda x: x[[0.5]], TypeError, "getitem: an index must be of integers .* float32"),
        (lambda x: x[tg.zeros(2)], TypeError, "getitem: an index must be of .* float32"),
        (lambda x: x[[0, 4]], IndexError, "getitem: index 4 is out of bounds"),
        (lambda x: x[np.ones(3, bool)], IndexError, "getitem: boolean index did not match"),
        (lambda x: x[[0, 1], [0, 1, 2]], IndexError, "getitem: .*could not be broadcast"),
        (lambda x: tg.take(x, [7], axis=0), IndexError, "take: index 7 .* axis 0 with size 4"),
        (lambda x: tg.take(x, [0.5], axis=0), TypeError, "take: indices must be of integers"),
        (lambda x: tg.take(x, [0], axis=2), ValueError, "take: axis must be .* got 2"),
        (
            lambda x: tg.take_along_axis(x, [0]),
            ValueError,
            r"take_along_axis: indices must have as many axes as x, got shapes \(1,\) and \(4, 5\)",
        ),
        (lambda x: tg.take_along_axis(x, [[5]]), IndexError, "take_along_axis: index 5 is out"),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match="^" + message):
        call(tg.zeros((4, 5)))


def test_writing_out_of_range(backend):
    x = tg.zeros((2, 3))
    with pytest.raises(IndexError, match=r"^a tensor of shape \(2, 3\) cannot .* at 5: .*bounds"):
        x[5] = 1.0
    with pytest.raises(
        ValueError, match=r"cannot be assigned values of shape \(4,\) at 0: .*broad"
    ):
        x[0] = tg.zeros(4)
    with pytest.raises(BackendMismatchError, match=r"\.to\("):
        x[0] = tg.zeros(3, device="strict" if backend == "numpy" else "numpy")
    assert x.tolist() == [[0.0] * 3] * 2


def test_an_index_of_another_backend():
    x = tg.zeros(3)
    with pytest.raises(BackendMismatchError, match=r"^getitem: .*'numpy' .* 'strict'.*\.to\("):
        x[tg.asarray([0], device="strict")]


def parts_of_a_key(n):
    """Strategies for one entry of an index of an axis of length n."""
    bound = st.none() | st.integers(-n - 2, n + 2)
    step = st.sampled_from([None, 1, 2, 3, -1, -2])
    position = st.integers(-n, n - 1)
    return st.one_of(
        position,
        st.builds(slice, bound, bound, step),
        st.lists(position, min_size=2, max_size=2),
        st.just(None),
    )


@st.composite
def any_key(draw):
    """Entries for some axes of X, in order, with new axes and perhaps an Ellipsis among them."""
    key, axis = [], 0
    while axis < X.ndim and draw(st.booleans()):
        part = draw(parts_of_a_key(X.shape[axis]))
        key.append(part)
        axis += part is not None
    if draw(st.booleans()):
        key.append(...)
    return tuple(key)


@settings(max_examples=150, deadline=None, database=None)
@given(key=any_key())
def test_any_key_reads_and_scatters_as_in_numpy(key):
    expected = X[key]
    weights = normal(*expected.shape)
    gradient = np.zeros_like(X)
    np.add.at(gradient, key, weights)
    for name in ("numpy", "strict"):
        x = tg.Tensor(X, backend=name, requires_grad=True)
        y = x[key]
        np.testing.assert_array_equal(y.detach().numpy(), expected)
        y.backward(tg.asarray(weights, device=name))
        np.testing.assert_allclose(x.grad.numpy(), gradient, atol=1e-12)


def test_complex_values_are_not_written_to_real_tensors(backend):
    x, z = tg.zeros(2), tg.asarray([1j, 2j])
    for change in (lambda: x.assign(z), lambda: x.__setitem__(0, z[0])):
        with pytest.raises(TypeError, match=r"complex values would lose their imaginary parts in"):
            change()
    y = tg.Tensor([1.0, 2.0], requires_grad=True) * 1
    with pytest.raises(TypeError, match=r"^index_put: complex values would lose"):
        y[0] = z[0]
