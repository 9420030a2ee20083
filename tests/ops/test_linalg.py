"""Products, diagonals and norms."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, integers, normal

MATMUL_SHAPES = [
    ((3, 4), (4, 2)),
    ((4,), (4,)),
    ((4,), (4, 2)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 3, 4), (2, 4, 2)),
    ((2, 3, 4), (4, 2)),
    ((3, 4), (2, 4, 2)),
    ((2, 1, 3, 4), (5, 4, 2)),
]


@pytest.mark.parametrize(("left", "right"), MATMUL_SHAPES)
def test_matmul(backend, left, right):
    inputs = [normal(*left), normal(*right, seed=2)]
    check_op(tg.matmul, inputs, np.matmul, backends=[backend], zero_size=False)


@pytest.mark.parametrize(
    ("left", "right"),
    [((0, 4), (4, 2)), ((3, 0), (0, 2)), ((0, 3, 4), (4, 2)), ((0,), (0,)), ((2, 0, 3), (3,))],
)
def test_matmul_of_empty_arrays(backend, left, right):
    x = tg.Tensor(np.ones(left), requires_grad=True)
    y = tg.Tensor(np.ones(right), requires_grad=True)
    out = x @ y
    assert out.shape == np.matmul(np.ones(left), np.ones(right)).shape
    out.sum().backward()
    assert x.grad.shape == left
    assert y.grad.shape == right


@pytest.mark.parametrize(
    ("left", "right", "message"),
    [
        ((3, 4), (3, 4), r"last axis of x must match the second last.*\(3, 4\) and \(3, 4\)"),
        ((3,), (4,), r"must match the only axis of y, got shapes \(3,\) and \(4,\)"),
        ((2, 3, 4), (3, 4, 5), r"leading axes must broadcast, got shapes \(2, 3, 4\) and"),
        ((), (3,), "matmul: x must have at least one axis, got a scalar"),
        ((3,), (), "matmul: y must have at least one axis, got a scalar"),
    ],
)
def test_matmul_refuses_shapes(backend, left, right, message):
    with pytest.raises(ValueError, match=message):
        tg.matmul(tg.zeros(left), tg.zeros(right))


def test_matmul_refuses_a_number(backend):
    with pytest.raises(ValueError, match="y must have at least one axis, got a scalar; use \\*"):
        tg.matmul(tg.zeros((2, 2)), 2.0)


def test_matmul_with_a_numpy_array(backend):
    out = tg.matmul(np.eye(2, dtype=np.float32), tg.ones((2, 2)))
    assert out.backend == backend
    assert out.tolist() == [[1, 1], [1, 1]]


def test_matrix_transpose(backend):
    check_op(tg.matrix_transpose, [normal(2, 3, 4)], np.matrix_transpose, backends=[backend])
    with pytest.raises(ValueError, match=r"matrix_transpose: needs at least 2 axes, got .*\(3,\)"):
        tg.matrix_transpose(tg.zeros(3))


@pytest.mark.parametrize(
    ("left", "right", "axis"), [((3, 4), (3, 4), -1), ((3, 4), (4,), -1), ((3, 4), (3, 1), -2)]
)
def test_vecdot(backend, left, right, axis):
    inputs = [normal(*left), normal(*right, seed=2)]
    check_op(
        tg.vecdot,
        inputs,
        lambda x, y, axis: (x * y).sum(axis),
        backends=[backend],
        axis=axis,
        zero_size=False,
    )


def test_vecdot_conjugates(backend):
    assert tg.vecdot(tg.asarray([1j, 2]), tg.asarray([1j, 1])).item() == 3


def test_vecdot_refuses(backend):
    with pytest.raises(ValueError, match=r"vecdot: axis counts from the end.*got 0 for shapes"):
        tg.vecdot(tg.zeros(3), tg.zeros(3), axis=0)
    with pytest.raises(ValueError, match=r"vecdot: lengths along axis -1 must match.*\(3,\)"):
        tg.vecdot(tg.zeros(3), tg.zeros(4))


@pytest.mark.parametrize(
    ("left", "right", "axes"),
    [
        ((3, 4), (4, 2), 1),
        ((2, 3, 4), (3, 4, 2), 2),
        ((3,), (2,), 0),
        ((2, 3, 4), (4, 5, 2), ((2, 0), (0, 2))),
        ((2, 3), (3, 2), ((-1,), (0,))),
    ],
)
def test_tensordot(backend, left, right, axes):
    inputs = [normal(*left), normal(*right, seed=2)]
    check_op(tg.tensordot, inputs, np.tensordot, backends=[backend], axes=axes, zero_size=False)


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        (3, "axes=3 must be in range"),
        (((0, 1), (0,)), "axes must pair up"),
        (((5,), (0,)), r"axes \(5,\) do not all exist in shape \(2, 3\)"),
        (((0, 0), (0, 1)), "axes must not repeat"),
        (((0,), (0,)), "lengths of paired axes differ"),
    ],
)
def test_tensordot_refuses(axes, message):
    with pytest.raises(ValueError, match=f"tensordot: .*{message}|{message}"):
        tg.tensordot(tg.zeros((2, 3)), tg.zeros((3, 2)), axes=axes)


def test_outer(backend):
    check_op(tg.outer, [normal(3), normal(2)], np.outer, backends=[backend], zero_size=False)
    with pytest.raises(ValueError, match=r"outer: needs two vectors, got shapes \(2, 2\) and"):
        tg.outer(tg.zeros((2, 2)), tg.zeros(2))


@pytest.mark.parametrize(
    ("left", "right", "axis"),
    [((3,), (3,), -1), ((2, 3), (2, 3), -1), ((3, 2), (3, 1), -2), ((4, 2, 3), (3,), -1)],
)
def test_cross(backend, left, right, axis):
    inputs = [normal(*left), normal(*right, seed=2)]
    check_op(tg.linalg.cross, inputs, np.cross, backends=[backend], axis=axis, zero_size=False)


def test_cross_refuses(backend):
    with pytest.raises(ValueError, match=r"cross: length along axis -1 must be 3, got .*\(2, 4\)"):
        tg.linalg.cross(tg.zeros((2, 4)), tg.zeros((2, 4)))


@pytest.mark.parametrize("offset", [0, 1, 3, -2])
@pytest.mark.parametrize("shape", [(4, 4), (3, 5), (5, 3), (2, 3, 4)])
def test_diagonal(backend, shape, offset):
    check_op(
        tg.linalg.diagonal,
        [normal(*shape)],
        lambda x, offset: np.diagonal(x, offset, -2, -1),
        backends=[backend],
        offset=offset,
        zero_size=False,
    )


def test_diagonal_refuses_a_vector(backend):
    with pytest.raises(ValueError, match=r"diagonal: x must be a matrix or a stack.*\(3,\)"):
        tg.linalg.diagonal(tg.zeros(3))


@pytest.mark.parametrize("offset", [0, 1, -1])
def test_trace(backend, offset):
    check_op(
        tg.linalg.trace,
        [normal(2, 3, 4)],
        lambda x, offset: np.trace(x, offset, -2, -1),
        backends=[backend],
        offset=offset,
    )


def test_trace_of_small_integers_is_int64(backend):
    out = tg.linalg.trace(tg.asarray(integers(0, 100, 3, 3, dtype="int8")))
    assert out.dtype == tg.int64


# -------------------------------------------------------------------------------------- norms

ORDERS = [2, 1, 3, 1.5, -1, math.inf, -math.inf]


@pytest.mark.parametrize("ord", ORDERS)
@pytest.mark.parametrize(("axis", "keepdims"), [(None, False), (1, True), ((0, 2), False)])
def test_vector_norm(backend, ord, axis, keepdims):
    check_op(
        tg.linalg.vector_norm,
        [normal(2, 3, 2)],
        np.linalg.vector_norm,
        backends=[backend],
        layouts=("contiguous", "transposed", "reversed"),
        zero_size=False,
        axis=axis,
        keepdims=keepdims,
        ord=ord,
    )


def test_vector_norm_of_order_zero_counts(backend):
    x = tg.asarray([[1.0, 0.0, -2.0], [0.0, 0.0, 0.0]])
    out = tg.linalg.vector_norm(x, axis=1, ord=0)
    assert out.tolist() == [2.0, 0.0]
    assert out.dtype == tg.float32


@pytest.mark.parametrize("ord", [2, 1, 3, math.inf])
def test_vector_norm_of_zero_has_gradient_zero(backend, ord):
    x = tg.zeros((3,))
    x.requires_grad = True
    tg.linalg.vector_norm(x, ord=ord).backward()
    assert x.grad.tolist() == [0, 0, 0]


def test_vector_norm_of_nothing(backend):
    x = tg.zeros((0,))
    x.requires_grad = True
    out = tg.linalg.vector_norm(x)
    assert out.item() == 0
    out.backward()
    assert x.grad.shape == (0,)


def test_vector_norm_refuses(backend):
    with pytest.raises(TypeError, match="vector_norm: x must be floating-point, got dtype int64"):
        tg.linalg.vector_norm(tg.asarray([1, 2]))
    with pytest.raises(TypeError, match="vector_norm: ord must be a number, got 'fro'"):
        tg.linalg.vector_norm(tg.zeros(3), ord="fro")


@pytest.mark.parametrize("ord", ["fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf])
@pytest.mark.parametrize("keepdims", [False, True])
def test_matrix_norm(backend, ord, keepdims):
    check_op(
        tg.linalg.matrix_norm,
        [normal(2, 4, 3)],
        np.linalg.matrix_norm,
        backends=[backend],
        layouts=("contiguous", "transposed", "reversed"),
        ord=ord,
        keepdims=keepdims,
    )


def test_matrix_norm_refuses(backend):
    with pytest.raises(ValueError, match=r"matrix_norm: ord must be 'fro', .* got 3"):
        tg.linalg.matrix_norm(tg.zeros((2, 2)), ord=3)
    with pytest.raises(ValueError, match=r"matrix_norm: x must be a matrix .* got shape \(3,\)"):
        tg.linalg.matrix_norm(tg.zeros(3))
