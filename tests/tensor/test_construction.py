"""Making tensors, and what they say about themselves."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn.backend import get_backend


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (2, "int64"),
        (True, "bool"),
        ([1, 2], "int64"),
        ([[1.0], [2.0]], "float32"),
        ((1, 2.0), "float32"),
        ([], "float32"),
        ([True, False], "bool"),
        (1j, "complex64"),
        (np.float64(2.0), "float64"),
        (np.ones(2, dtype="int8"), "int8"),
        (np.ones((2, 3)), "float64"),
    ],
    ids=repr,
)
def test_data_and_default_dtypes(backend, data, dtype):
    x = tg.Tensor(data)
    assert x.dtype.name == dtype
    assert x.backend == x.device == backend
    assert np.array_equal(x.tolist(), np.asarray(data))
    assert not x.requires_grad
    assert x.is_leaf


@pytest.mark.parametrize("dtype", ["float64", np.float64, np.dtype("float64"), tg.float64, float])
def test_a_dtype_that_is_asked_for(backend, dtype):
    assert tg.Tensor([1, 2], dtype=dtype).dtype is tg.float64


def test_shape(backend):
    x = tg.Tensor(np.ones((2, 3, 4)))
    assert (x.shape, x.ndim, x.size, len(x)) == ((2, 3, 4), 3, 24, 2)
    assert (tg.Tensor(1.0).shape, tg.Tensor(1.0).size) == ((), 1)
    assert tg.Tensor(np.ones((0, 3))).size == 0


def test_data_is_copied(backend):
    values = np.ones(3)
    x = tg.Tensor(values)
    y = tg.Tensor(x)
    values[0] = x[1] = 5.0
    assert x.tolist() == [1.0, 5.0, 1.0]
    assert y.tolist() == [1.0, 1.0, 1.0]


def test_a_tensor_of_a_tensor_keeps_dtype_and_backend_not_the_graph():
    x = tg.Tensor([1.0], dtype="float64", backend="strict", requires_grad=True)
    y = tg.Tensor(x * 2.0)
    assert (y.dtype.name, y.backend, y.requires_grad) == ("float64", "strict", False)
    assert tg.Tensor(x, backend="numpy").backend == "numpy"


def test_a_dlpack_exporter(backend):
    class Exporter:
        """Offers nothing but DLPack."""

        def __init__(self):
            self._array = np.arange(3.0)

        def __dlpack__(self, **options):
            return self._array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self._array.__dlpack_device__()

    assert tg.Tensor(Exporter()).tolist() == [0.0, 1.0, 2.0]
    assert tg.Tensor(Exporter()).dtype.name == "float64"


@pytest.mark.parametrize("data", ["text", None, object, [None], ["a"], {"a": 1}], ids=repr)
def test_data_that_is_no_array(backend, data):
    with pytest.raises(TypeError, match="cannot make an array of"):
        tg.Tensor(data() if data is object else data)


def test_ragged_data():
    with pytest.raises(ValueError, match="inhomogeneous"):
        tg.Tensor([[1.0], [2.0, 3.0]])


def test_an_unknown_dtype():
    with pytest.raises(TypeError, match="not a dtype: 'float31'; known are bool, int8"):
        tg.Tensor([1.0], dtype="float31")
    with pytest.raises(TypeError, match="dtype datetime64 is not supported"):
        tg.Tensor([1.0], dtype="datetime64")


@pytest.mark.parametrize("dtype", ["int64", "bool", "complex64"])
def test_only_real_floating_point_has_gradients(backend, dtype):
    message = f"requires_grad: only real floating-point tensors have gradients, got dtype {dtype}"
    with pytest.raises(TypeError, match=message):
        tg.Tensor([1], dtype=dtype, requires_grad=True)
    x = tg.Tensor([1], dtype=dtype)
    with pytest.raises(TypeError, match=message):
        x.requires_grad = True


def test_requires_grad_may_be_set_on_leaves(backend):
    x = tg.Tensor([1.0])
    x.requires_grad = True
    assert x.requires_grad
    y = x * 2.0
    assert (y.requires_grad, y.is_leaf) == (True, False)
    with pytest.raises(RuntimeError, match="only a leaf can stop recording; use detach"):
        y.requires_grad = False
    y.requires_grad = True
    x.requires_grad = False
    assert not (x * 2.0).requires_grad


def test_detach(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = (x * 2.0).detach()
    assert (y.requires_grad, y.is_leaf, y.grad_fn) == (False, True, None)
    z = x.detach()
    z[0] = 9.0
    assert x.tolist() == [9.0, 2.0]


# ---------------------------------------------------------------------------------------- repr


def test_repr(backend):
    x = tg.Tensor([[1.0, 2.0], [3.0, 4.0]])
    assert repr(x) == (f"Tensor([[1., 2.],\n        [3., 4.]], dtype=float32, backend='{backend}')")
    x = tg.Tensor([1.5], requires_grad=True)
    assert repr(x) == f"Tensor([1.5], dtype=float32, backend='{backend}', requires_grad=True)"
    assert repr(x * 2.0) == (
        f"Tensor([3.], dtype=float32, backend='{backend}', grad_fn=<multiply>)"
    )
    assert repr(tg.Tensor(3)) == f"Tensor(3, dtype=int64, backend='{backend}')"
    assert repr(tg.Tensor(np.ones((0, 2)))).startswith("Tensor([], ")
    assert "..." in repr(tg.Tensor(np.zeros(10_000)))


# ------------------------------------------------------------------------------------- copying


@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda x: pickle.loads(pickle.dumps(x))]
)
@pytest.mark.parametrize("requires_grad", [False, True])
def test_copies(backend, duplicate, requires_grad):
    x = tg.Tensor(normal(2, 3), requires_grad=requires_grad)
    y = duplicate(x)
    assert y.tolist() == x.tolist()
    assert (y.dtype, y.backend, y.requires_grad) == (x.dtype, backend, requires_grad)
    with tg.no_grad():
        y.assign(0.0)
    assert np.array_equal(x.tolist(), normal(2, 3))
    if requires_grad:
        tg.sum(y).backward()
        assert x.grad is None


def test_a_result_cannot_be_copied():
    y = tg.Tensor([1.0], requires_grad=True) * 2.0
    with pytest.raises(RuntimeError, match="copy: only leaves can be copied; use detach"):
        copy.deepcopy(y)
    with pytest.raises(RuntimeError, match="pickle: only leaves can be pickled; use detach"):
        pickle.dumps(y)


def test_deepcopy_keeps_what_was_shared():
    x = tg.Tensor([1.0])
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    assert pair[0] is not x


def test_tensors_are_hashed_by_identity(backend):
    x, y = tg.Tensor([1.0]), tg.Tensor([1.0])
    assert {x: 1, y: 2}[x] == 1
    assert len({x, y, x}) == 2


# ------------------------------------------------------------------------------------ transpose


def test_transposes(backend):
    x = tg.Tensor(normal(2, 3))
    assert np.array_equal(x.T.tolist(), normal(2, 3).T)
    assert np.array_equal(x.mT.tolist(), normal(2, 3).T)
    assert tg.Tensor(normal(2, 3, 4)).mT.shape == (2, 4, 3)
    for shape in ((), (3,), (2, 3, 4)):
        with pytest.raises(
            ValueError, match=r"T: needs 2 axes, got shape \(.*\); see mT and permute"
        ):
            _ = tg.Tensor(normal(*shape)).T
    with pytest.raises(ValueError, match=r"mT|matrix_transpose"):
        _ = tg.Tensor(normal(3)).mT


def test_array_is_the_backends_own(backend):
    x = tg.Tensor([1.0])
    assert type(x.array) is get_backend(backend).array_type


def test_a_list_of_tensors_keeps_their_dtype():
    assert tg.Tensor([tg.asarray(1 / 3, dtype="float64")]).tolist() == [1 / 3]
