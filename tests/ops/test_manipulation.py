"""Shapes and arrangement against NumPy: every one is linear, so values prove most."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, check_op, integers, normal


@pytest.mark.parametrize("shape", [(12,), (2, -1), (4, 3, 1), (2, 2, 3)])
def test_reshape(shape, backend):
    check_op(
        lambda x: tg.reshape(x, shape),
        [normal(3, 4)],
        lambda x: np.reshape(x, shape),
        backends=[backend],
        zero_size=False,
    )


def test_reshape_of_nothing(backend):
    assert tg.reshape(tg.zeros((0, 3)), (3, 0, 2)).shape == (3, 0, 2)
    assert tg.reshape(tg.asarray(3.0), ()).shape == ()
    assert tg.zeros((2, 3)).reshape(3, 2).shape == tg.zeros((2, 3)).reshape((3, 2)).shape


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1), (-1, 0, 1)])
def test_permute_dims(axes, backend):
    check_op(
        lambda x: tg.permute_dims(x, axes),
        [normal(2, 3, 4)],
        lambda x: np.permute_dims(x, axes),
        backends=[backend],
    )


@pytest.mark.parametrize(("source", "destination"), [(0, 2), (-1, 0), ((0, 1), (2, 0)), ((), ())])
def test_moveaxis(source, destination, backend):
    check_op(
        lambda x: tg.moveaxis(x, source, destination),
        [normal(2, 3, 4)],
        lambda x: np.moveaxis(x, source, destination),
        backends=[backend],
    )


@pytest.mark.parametrize("axis", [0, 2, -1, (0, 1), (0, -1)])
def test_expand_dims(axis, backend):
    check_op(
        lambda x: tg.expand_dims(x, axis),
        [normal(2, 3)],
        lambda x: np.expand_dims(x, axis),
        backends=[backend],
    )


@pytest.mark.parametrize("axis", [1, -1, (1, 3), ()])
def test_squeeze(axis, backend):
    check_op(
        lambda x: tg.squeeze(x, axis),
        [normal(2, 1, 3, 1)],
        lambda x: np.squeeze(x, axis),
        backends=[backend],
    )


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (5, 1, 3, 4)])
def test_broadcast_to(shape, backend):
    check_op(
        lambda x: tg.broadcast_to(x, shape),
        [normal(3, 1)],
        lambda x: np.broadcast_to(x, shape),
        backends=[backend],
        zero_size=False,
    )


def test_broadcast_arrays(backend):
    check_op(
        tg.broadcast_arrays,
        [normal(3, 1), normal(4), normal(2, 1, 1)],
        np.broadcast_arrays,
        backends=[backend],
        zero_size=[(0, 1), (4,), (2, 1, 1)],
    )
    assert tg.broadcast_arrays() == ()


@pytest.mark.parametrize("indexing", ["xy", "ij"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_meshgrid(n, indexing, backend):
    check_op(
        tg.meshgrid,
        [normal(2), normal(3), normal(4)][:n],
        np.meshgrid,
        backends=[backend],
        zero_size=False,
        indexing=indexing,
    )


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2)])
def test_flip(axis, backend):
    check_op(tg.flip, [normal(2, 3, 4)], np.flip, backends=[backend], axis=axis)


@pytest.mark.parametrize(("shift", "axis"), [(1, None), (-2, 1), (7, 0), ((1, -1), (0, 1))])
def test_roll(shift, axis, backend):
    check_op(
        lambda x: tg.roll(x, shift, axis=axis),
        [normal(3, 4)],
        lambda x: np.roll(x, shift, axis=axis),
        backends=[backend],
    )


@pytest.mark.parametrize("axis", [0, -2, None])
def test_concat(axis, backend):
    check_op(
        lambda *xs: tg.concat(xs, axis=axis),
        [normal(2, 3), normal(1, 3), normal(4, 3)],
        lambda *xs: np.concat(xs, axis=axis),
        backends=[backend],
        zero_size=[(0, 3), (1, 3), (0, 3)],
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_stack(axis, backend):
    check_op(
        lambda *xs: tg.stack(xs, axis=axis),
        [normal(2, 3, seed=i) for i in range(3)],
        lambda *xs: np.stack(xs, axis=axis),
        backends=[backend],
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_unstack(axis, backend):
    check_op(
        tg.unstack,
        [normal(3, 4)],
        np.unstack,
        backends=[backend],
        axis=axis,
        zero_size=[(3, 0)] if axis == 0 else [(0, 4)],
    )


def test_unstack_into_many_and_into_none(backend):
    x = tg.asarray(normal(40, 2), copy=True)
    x.requires_grad = True
    rows = tg.unstack(x)
    assert len(rows) == 40
    tg.sum(rows[39] * 2 + rows[0]).backward()
    expected = np.zeros((40, 2))
    expected[39], expected[0] = 2, 1
    np.testing.assert_array_equal(x.grad.numpy(), expected)
    assert tg.unstack(x[:0]) == ()


@pytest.mark.parametrize(
    ("parts", "axis"), [(2, 0), (3, 1), ([1, 3], 0), ([], 1), ([0, 0, 9], 0), ([-1], 1)]
)
def test_split(parts, axis, backend):
    check_op(
        lambda x: tg.split(x, parts, axis=axis),
        [normal(4, 6)],
        lambda x: np.split(x, parts, axis=axis),
        backends=[backend],
        zero_size=[(0, 6)] if axis else False,
    )


@pytest.mark.parametrize(
    "dtypes", [("float32", "float64"), ("int32", "int64"), ("int64", "float32")]
)
def test_joined_dtypes_are_promoted(dtypes, backend):
    arrays = [np.ones(2, dtype=d) for d in dtypes]
    xs = [tg.asarray(a) for a in arrays]
    assert tg.concat(xs).dtype == np.concat(arrays).dtype
    assert tg.stack(xs).dtype == np.stack(arrays).dtype


def test_every_dtype_passes(backend):
    for x in (booleans(2, 3), integers(0, 9, 2, 3, dtype="uint8"), normal(2, 3) * 1j):
        t = tg.asarray(x)
        np.testing.assert_array_equal(tg.flip(tg.permute_dims(t, (1, 0))).numpy(), np.flip(x.T))
        np.testing.assert_array_equal(tg.concat([t, t]).numpy(), np.concat([x, x]))


def test_methods(backend):
    x = tg.asarray(normal(2, 1, 3))
    assert x.squeeze().shape == (2, 3)
    assert x.squeeze(1).shape == (2, 3)
    assert x.flatten().shape == (6,)
    assert x.permute_dims(2, 0, 1).shape == x.permute_dims((2, 0, 1)).shape == (3, 2, 1)
    assert x.expand_dims(0).shape == (1, 2, 1, 3)
    assert x.broadcast_to(2, 5, 3).shape == (2, 5, 3)
    assert x.flip(0).tolist() == tg.flip(x, axis=0).tolist()
    assert x.roll(1, 0).tolist() == tg.roll(x, 1, axis=0).tolist()
    assert x.repeat(2).shape == (12,)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: tg.reshape(x, (4,)), ValueError, r"reshape: .*size 6.*x of shape \(2, 3\)"),
        (lambda x: tg.permute_dims(x, (0, 0)), ValueError, r"permute_dims: .*axes=\(0, 0\)"),
        (lambda x: tg.moveaxis(x, 3, 0), ValueError, "moveaxis: source .* got 3"),
        (lambda x: tg.moveaxis(x, (0, 1), 0), ValueError, "moveaxis: source and destination"),
        (lambda x: tg.expand_dims(x, 4), ValueError, "expand_dims: axis must be .* got 4"),
        (lambda x: tg.squeeze(x, 0), ValueError, r"squeeze: axis 0 must have length 1, got 2"),
        (lambda x: tg.squeeze(x, 5), ValueError, "squeeze: axis must be .* got 5"),
        (lambda x: tg.broadcast_to(x, (4, 3)), ValueError, r"broadcast_to: .*shape=\(4, 3\)"),
        (
            lambda x: tg.broadcast_arrays(x, tg.zeros(2)),
            ValueError,
            r"broadcast_arrays: shapes \(2, 3\), \(2,\) do not broadcast",
        ),
        (lambda x: tg.meshgrid(x), ValueError, r"meshgrid: .* one axis, got shape \(2, 3\) at 0"),
        (lambda x: tg.meshgrid(indexing="yx"), ValueError, "meshgrid: indexing .* got 'yx'"),
        (lambda x: tg.flip(x, axis=2), ValueError, r"flip: .*x of shape \(2, 3\), axis=2"),
        (lambda x: tg.roll(x, 1, axis=2), ValueError, r"roll: .*shift=1, axis=2"),
        (lambda x: tg.concat([x, tg.zeros((2, 4))]), ValueError, r"concat: .*\(2, 3\).*\(2, 4\)"),
        (lambda x: tg.concat(x), TypeError, "concat: needs a tuple or list of tensors, got Tensor"),
        (lambda x: tg.stack([]), ValueError, "stack: needs at least one tensor, got none"),
        (lambda x: tg.stack([x, tg.zeros(3)]), ValueError, r"stack: .*\(2, 3\).*\(3,\)"),
        (lambda x: tg.unstack(x, axis=2), ValueError, r"unstack: .*axis=2"),
        (lambda x: tg.split(x, 4), ValueError, "split: axis 0 of length 2 .* 4 equal parts"),
        (lambda x: tg.split(x, [2, 1]), ValueError, r"split: .*ascending, got \[2, 1\]"),
        (lambda x: tg.split(x, 1.5), TypeError, r"split: indices_or_sections must be .*got 1\.5"),
        (lambda x: tg.split(x, [1.5]), TypeError, r"split: indices_or_sections .* got \[1\.5\]"),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match="^" + message):
        call(tg.zeros((2, 3)))


def test_lists_of_axes_and_shifts(backend):
    x = tg.Tensor([[1.0, 2.0]], requires_grad=True)
    assert tg.expand_dims(x, [0, 2]).shape == (1, 1, 1, 2)
    tg.sum(tg.roll(x, [0, 1], axis=(0, 1)) * tg.asarray([[3.0, 5.0]])).backward()
    assert x.grad.tolist() == [[5.0, 3.0]]
