"""Creation: values, shapes, default dtypes, backends, memory shared or not, errors."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, normal

FILLED = ["empty", "zeros", "ones"]


@pytest.mark.parametrize("name", FILLED)
def test_filled(name, backend):
    make = getattr(tg, name)
    for shape, expected in ((3, (3,)), ((2, 0), (2, 0)), ((), ()), ([2, 3], (2, 3))):
        x = make(shape)
        assert (x.shape, x.dtype, x.backend) == (expected, tg.float32, backend)
    assert make((2,), dtype=tg.int8).dtype == tg.int8
    assert make((2,), dtype="float64").dtype == tg.float64
    if name != "empty":
        np.testing.assert_array_equal(make((2, 3)).numpy(), getattr(np, name)((2, 3)))


@pytest.mark.parametrize("name", FILLED)
def test_like(name, backend):
    make = getattr(tg, f"{name}_like")
    x = tg.asarray(np.ones((2, 3), dtype=np.int16))
    assert (make(x).shape, make(x).dtype, make(x).backend) == ((2, 3), tg.int16, backend)
    assert make(x, dtype=tg.float64).dtype == tg.float64
    assert make(x, device="numpy").backend == "numpy"
    assert make([[1.0]]).shape == (1, 1)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(True, "bool"), (3, "int64"), (2.5, "float32"), (1j, "complex64"), (np.float64(2), "float32")],
)
def test_full(value, dtype, backend):
    x = tg.full((2, 2), value)
    assert x.dtype.name == dtype
    assert x.tolist() == [[value] * 2] * 2
    assert tg.full(2, 1, dtype=tg.float64).dtype == tg.float64
    assert tg.full_like(tg.asarray([1, 2]), 7).tolist() == [7, 7]
    assert tg.full(1, tg.asarray(4)).tolist() == [4]


@pytest.mark.parametrize(
    "arguments",
    [(5,), (2, 7), (0, 10, 3), (5, 0, -2), (3, 1), (0.0, 1.0, 0.25), (4.0,), (-1,), (0, 3, 0.5)],
)
def test_arange(arguments, backend):
    x = tg.arange(*arguments)
    whole = all(isinstance(a, int) for a in arguments)
    assert x.dtype == (tg.int64 if whole else tg.float32)
    np.testing.assert_allclose(x.numpy(), np.arange(*arguments))
    assert tg.arange(3, dtype=tg.float64).dtype == tg.float64


@pytest.mark.parametrize("arguments", [(0, 1, 5), (0, 1, 1), (2, -2, 4), (0, 1, 0)])
@pytest.mark.parametrize("endpoint", [True, False])
def test_linspace(arguments, endpoint, backend):
    x = tg.linspace(*arguments, endpoint=endpoint)
    assert x.dtype == tg.float32
    expected = np.linspace(*arguments, endpoint=endpoint)
    np.testing.assert_allclose(x.numpy(), expected, rtol=1e-6)
    assert tg.linspace(0, 1, 3, dtype=tg.float64).dtype == tg.float64
    assert tg.linspace(0, 1j, 3).dtype == tg.complex64


@pytest.mark.parametrize("arguments", [(3,), (2, 4), (3, 0), (0,)])
@pytest.mark.parametrize("k", [0, 1, -1, 9])
def test_eye(arguments, k, backend):
    x = tg.eye(*arguments, k=k)
    assert x.dtype == tg.float32
    np.testing.assert_array_equal(x.numpy(), np.eye(*arguments, k=k))


@pytest.mark.parametrize("k", [0, 1, -2])
@pytest.mark.parametrize("name", ["tril", "triu"])
def test_triangles(name, k, backend):
    check_op(getattr(tg, name), [normal(2, 3, 4)], getattr(np, name), backends=[backend], k=k)


def test_asarray_of_python_values(backend):
    for value, dtype in (
        (True, "bool"),
        (1, "int64"),
        (1.5, "float32"),
        (1j, "complex64"),
        ([1, 2.5], "float32"),
        ([[True], [False]], "bool"),
        ([], "float32"),
        ([np.float64(1.0)], "float64"),
    ):
        x = tg.asarray(value)
        assert (x.dtype.name, x.backend) == (dtype, backend)
        assert x.tolist() == np.asarray(value).tolist()
    assert tg.asarray([1, 2], dtype=tg.float64).dtype == tg.float64


def test_asarray_of_a_tensor(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    assert tg.asarray(x) is x
    assert tg.asarray(x, copy=False) is x
    copy = tg.asarray(x, copy=True)
    assert copy is not x
    wide = tg.asarray(x, dtype=tg.float64)
    tg.sum(copy).backward()
    tg.sum(wide * 2).backward()
    assert x.grad.tolist() == [3.0, 3.0]
    with pytest.raises(ValueError, match=r"^asarray: from float32 .* to float64 .* copy=False"):
        tg.asarray(x, dtype=tg.float64, copy=False)


def test_asarray_moves_between_backends(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    moved = tg.asarray(x, device="numpy")
    assert moved.backend == "numpy"
    tg.sum(moved * 3).backward()
    assert x.grad.tolist() == [3.0, 3.0]
    assert x.grad.backend == backend


def test_memory_is_shared_where_asked():
    source = np.arange(3.0)
    assert np.shares_memory(tg.asarray(source).array, source)
    assert np.shares_memory(tg.asarray(source, copy=False).array, source)
    assert np.shares_memory(tg.from_dlpack(source).array, source)
    assert not np.shares_memory(tg.asarray(source, copy=True).array, source)
    assert not np.shares_memory(tg.from_dlpack(source, copy=True).array, source)


def test_any_byte_order_and_subclass(backend):
    x = tg.asarray(np.array([1.5, 2.5], dtype=">f4"))
    assert x.dtype == tg.float32
    assert tg.sum(x).item() == 4.0
    masked = tg.asarray(np.ma.array([1.0, 2.0]))
    assert type(masked + masked) is tg.Tensor


def test_from_dlpack(backend):
    x = tg.from_dlpack(np.array([1.0, 2.0]))
    assert (x.dtype, x.backend) == (tg.float64, backend)
    assert tg.from_dlpack(x, device="numpy").backend == "numpy"
    with pytest.raises(TypeError, match=r"^from_dlpack: x must .* __dlpack__, got list"):
        tg.from_dlpack([1.0])


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: tg.zeros(-1), ValueError, "zeros: shape must not be negative, got -1"),
        (lambda: tg.ones((2, 1.5)), TypeError, r"ones: shape must be an int .* got \(2, 1.5\)"),
        (lambda: tg.empty("ab"), TypeError, "empty: shape must be an int .* got 'ab'"),
        (lambda: tg.full(2, "a"), TypeError, "full: fill_value must be a number, got str"),
        (lambda: tg.arange(1, 5, 0), ValueError, "arange: step must not be 0"),
        (lambda: tg.linspace(0, 1, -1), ValueError, "linspace: num must not be negative, got -1"),
        (lambda: tg.arange("a"), TypeError, "arange: start must be a number, got str"),
        (lambda: tg.arange(0, [3]), TypeError, "arange: stop must be a number, got list"),
        (lambda: tg.linspace(0, "b", 3), TypeError, "linspace: stop must be a number, got str"),
        (lambda: tg.linspace(0, 1, 2.5), TypeError, r"linspace: num must be an integer, got 2\.5"),
        (lambda: tg.full(2, 300, dtype="uint8"), OverflowError, "full: .*300"),
        (lambda: tg.eye(-1), ValueError, "eye: shape must not be negative"),
        (lambda: tg.tril(tg.zeros(3)), ValueError, r"tril: x must have .* got shape \(3,\)"),
        (lambda: tg.triu(tg.zeros(3)), ValueError, r"triu: x must have .* got shape \(3,\)"),
        (lambda: tg.asarray("abc"), TypeError, "asarray: cannot make an array of str"),
        (lambda: tg.asarray(np.array(["a"])), TypeError, "asarray: cannot make an array of ndarr"),
        (lambda: tg.asarray([[1], [2, 3]]), ValueError, "asarray: .*inhomogeneous"),
        (lambda: tg.asarray([1.0], copy=False), ValueError, "asarray: list cannot become"),
        (
            lambda: tg.asarray(np.zeros(2), dtype="float32", copy=False),
            ValueError,
            "asarray: ndarray cannot become a tensor of float32 without a copy",
        ),
        (lambda: tg.zeros(2, dtype="float99"), TypeError, "zeros: not a dtype: 'float99'"),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match="^" + message):
        call()


def test_ranges_of_numpy_scalars(backend):
    x = tg.arange(np.float64(0), np.float64(1), np.float64(0.25))
    assert x.dtype == tg.float32
    assert x.tolist() == [0.0, 0.25, 0.5, 0.75]
    assert tg.arange(np.int64(3)).dtype == tg.int64
