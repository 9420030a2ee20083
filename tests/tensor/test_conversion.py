"""From tensors to Python, NumPy and other libraries, and their container behaviour."""

import math
import operator

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal

# --------------------------------------------------------------------------------------- Python


def test_item(backend):
    assert tg.Tensor(1.5).item() == 1.5
    assert isinstance(tg.Tensor([[2]]).item(), int)
    assert tg.Tensor([True]).item() is True
    for shape in ((2,), (0,)):
        with pytest.raises(
            ValueError, match=rf"item: needs a tensor of one element, got shape \({shape[0]},\)"
        ):
            tg.Tensor(np.ones(shape)).item()


def test_tolist(backend):
    assert tg.Tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
    assert tg.Tensor(1.5).tolist() == 1.5
    assert tg.Tensor([1.0], requires_grad=True).tolist() == [1.0]


def test_numbers(backend):
    assert float(tg.Tensor([[1.5]])) == 1.5
    assert int(tg.Tensor(2.7)) == 2
    assert complex(tg.Tensor(1.5)) == 1.5 + 0j
    assert bool(tg.Tensor([0.0])) is False
    assert bool(tg.Tensor(3)) is True
    assert operator.index(tg.Tensor(3)) == 3
    assert [10, 20, 30][tg.Tensor(1)] == 20
    assert math.sqrt(tg.Tensor(4.0)) == 2.0


@pytest.mark.parametrize("convert", [bool, int, float, complex])
@pytest.mark.parametrize("shape", [(2,), (0,)])
def test_several_elements_are_no_number(backend, convert, shape):
    message = rf"{convert.__name__}\(\): needs a tensor of one element, got shape \({shape[0]},\)"
    with pytest.raises(ValueError, match=message):
        convert(tg.Tensor(np.ones(shape)))


def test_an_index_is_an_integer():
    for data in (1.0, True):
        with pytest.raises(TypeError, match="an index must be an integer, got dtype"):
            operator.index(tg.Tensor(data))


# --------------------------------------------------------------------------------------- NumPy


def test_numpy(backend):
    x = tg.Tensor(normal(2, 3))
    assert isinstance(x.numpy(), np.ndarray)
    assert np.array_equal(x.numpy(), normal(2, 3))
    assert np.array_equal(np.asarray(x), normal(2, 3))
    assert np.asarray(x, dtype="float32").dtype == "float32"
    assert np.array_equal(np.array([x, x]), [normal(2, 3)] * 2)


def test_numpy_shares_memory_on_the_host():
    x = tg.Tensor([1.0, 2.0], backend="numpy")
    x.numpy()[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
    assert np.shares_memory(np.asarray(x), x.numpy())
    assert not np.shares_memory(np.array(x), x.numpy())
    assert np.asarray(x, copy=False) is not None
    with pytest.raises(ValueError, match="__array__: a conversion to float64 needs a copy"):
        np.asarray(x, dtype="float64", copy=False)


def test_a_copy_where_memory_is_elsewhere():
    x = tg.Tensor([1.0, 2.0], backend="strict")
    x.numpy()[0] = 5.0
    assert x.tolist() == [1.0, 2.0]


def test_numpy_of_a_tensor_that_requires_a_gradient(backend):
    x = tg.Tensor([1.0], requires_grad=True)
    for convert in (lambda: x.numpy(), lambda: np.asarray(x), lambda: (x * 2.0).numpy()):
        with pytest.raises(
            RuntimeError, match=r"numpy: the tensor requires a gradient; use t\.deta"
        ):
            convert()
    assert x.detach().numpy().tolist() == [1.0]


def test_dlpack():
    x = tg.Tensor(normal(2, 3), backend="numpy")
    y = np.from_dlpack(x)
    assert np.array_equal(y, normal(2, 3))
    assert x.__dlpack_device__() == np.ones(1).__dlpack_device__()
    x.requires_grad = True
    with pytest.raises(BufferError, match="__dlpack__: the tensor requires a gradient"):
        np.from_dlpack(x)


def test_array_namespace():
    x = tg.Tensor([1.0])
    assert x.__array_namespace__() is tg
    assert x.__array_namespace__(api_version="2024.12") is tg
    with pytest.raises(
        ValueError, match=r"__array_namespace__: api_version must be one of .*'1999"
    ):
        x.__array_namespace__(api_version="1999.12")


# ----------------------------------------------------------------------------------- containers


def test_len_and_iteration(backend):
    x = tg.Tensor(normal(3, 2))
    assert len(x) == 3
    assert [row.tolist() for row in x] == normal(3, 2).tolist()
    _, _, c = x
    assert c.tolist() == normal(3, 2)[2].tolist()
    with pytest.raises(TypeError, match=r"len\(\) of a 0-dimensional tensor"):
        len(tg.Tensor(1.0))
    with pytest.raises(TypeError, match="iteration over a 0-dimensional tensor"):
        iter(tg.Tensor(1.0))


def test_iteration_is_recorded(backend):
    x = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    total = 0.0
    for i, value in enumerate(x):
        total = total + i * value
    total.backward()
    assert x.grad.tolist() == [0.0, 1.0, 2.0]


# ------------------------------------------------------------------------------- dtype, backend


def test_to_and_astype(backend):
    x = tg.Tensor([1.5, 2.5])
    assert x.to("float64").dtype.name == "float64"
    assert x.to(tg.int32).tolist() == [1, 2]
    assert x.astype("float64").dtype.name == "float64"
    assert x.to(backend) is x
    assert x.to_device(backend) is x
    with pytest.raises(ValueError, match="to_device: streams are the backend's own affair, got 1"):
        x.to_device(backend, stream=1)


def test_conversion_between_floats_is_differentiable(backend):
    x = tg.Tensor([1.5], requires_grad=True)
    (x.to("float64") * 2.0).backward()
    assert x.grad.dtype.name == "float32"
    assert x.grad.tolist() == [2.0]
    assert not x.to("int64").requires_grad


# ------------------------------------------------------------------------------------ operators

PAIRS = [
    (operator.add, 3.0, 2.0), (operator.sub, 3.0, 2.0), (operator.mul, 3.0, 2.0),
    (operator.truediv, 3.0, 2.0), (operator.floordiv, 7.0, 2.0), (operator.mod, -7.0, 2.0),
    (operator.pow, 3.0, 2.0), (operator.lt, 1.0, 2.0), (operator.le, 2.0, 2.0),
    (operator.gt, 1.0, 2.0), (operator.ge, 2.0, 2.0), (operator.eq, 2.0, 2.0),
    (operator.ne, 2.0, 2.0), (operator.and_, 6, 3), (operator.or_, 6, 3), (operator.xor, 6, 3),
    (operator.lshift, 6, 1), (operator.rshift, 6, 1),
]  # fmt: skip


@pytest.mark.parametrize(("op", "a", "b"), PAIRS, ids=lambda v: getattr(v, "__name__", ""))
def test_binary_operators(backend, op, a, b):
    """Between tensors, and with a Python number on either side."""
    x, y = tg.Tensor([a]), tg.Tensor([b])
    for result in (op(x, y), op(x, b), op(a, y)):
        assert isinstance(result, tg.Tensor)
        assert result.tolist() == [op(a, b)]
        assert result.dtype.name in (x.dtype.name, "bool")


def test_matmul_operator(backend):
    x, y = normal(2, 3), normal(3, 2)
    expected = (x @ y).tolist()
    assert np.allclose((tg.Tensor(x) @ tg.Tensor(y)).tolist(), expected)
    assert np.allclose((tg.Tensor(x) @ y).tolist(), expected)
    assert np.allclose((x @ tg.Tensor(y)).tolist(), expected)


@pytest.mark.parametrize(
    ("op", "value"),
    [(operator.neg, -2.0), (operator.pos, -2.0), (abs, -2.0), (operator.invert, 5)],
    ids=["neg", "pos", "abs", "invert"],
)
def test_unary_operators(backend, op, value):
    assert op(tg.Tensor([value])).tolist() == [op(value)]


def test_numpy_arrays_on_the_left(backend):
    """NumPy leaves mixed expressions to the tensor."""
    for result in (np.ones(2) + tg.Tensor(normal(2)), np.float64(1.0) + tg.Tensor(normal(2))):
        assert isinstance(result, tg.Tensor)
        assert np.allclose(result.tolist(), 1.0 + normal(2))


def test_augmented_assignment_rebinds(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = x
    y += 1.0
    assert x.tolist() == [1.0, 2.0]
    assert y.tolist() == [2.0, 3.0]
    assert y.requires_grad


def test_operators_with_something_else():
    with pytest.raises(TypeError, match=r"add: argument 'x\d' must be a tensor"):
        tg.Tensor([1.0]) + "text"
    with pytest.raises(TypeError, match=r"multiply: argument 'x\d' must be a tensor"):
        object() * tg.Tensor([1.0])


def test_format(backend):
    x = tg.asarray([[2.5]])
    assert f"{x:.3f}" == "2.500"
    assert f"{x}" == str(x)
    with pytest.raises(ValueError, match=r"^format\(\): needs a tensor of one element"):
        f"{tg.zeros(2):.3f}"
