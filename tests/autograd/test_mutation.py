"""Changing tensors in place: recorded, unrecorded, and caught where a derivative would be wrong."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn.autograd import checkpoint, grad, no_grad

MESSAGE = (
    r"multiply: an array of shape \(3,\) that its derivative needs was modified in place after "
    "the operation saved it; work on a copy, or run backward before the modification"
)


def leaf(values):
    return tg.Tensor(values, dtype="float64", requires_grad=True)


def test_a_saved_array_that_was_assigned_to(backend):
    x, w = leaf(normal(3)), tg.Tensor(normal(3))
    y = tg.sum(x * w)
    w.assign(0.0)
    with pytest.raises(RuntimeError, match=MESSAGE):
        y.backward()


def test_a_saved_array_that_was_written_to_by_index(backend):
    x, w = leaf(normal(3)), tg.Tensor(normal(3))
    y = tg.sum(x * w)
    w[0] = 5.0
    with pytest.raises(RuntimeError, match=MESSAGE):
        y.backward(retain_graph=True)
    with pytest.raises(RuntimeError, match=MESSAGE):
        grad(y, x, create_graph=True)


def test_a_parameter_updated_between_forward_and_backward(backend):
    x, w = leaf(normal(3)), leaf(normal(3))
    y = tg.sum(x * w)
    with no_grad():
        w.assign(w * 0.9)
    with pytest.raises(RuntimeError, match=MESSAGE):
        y.backward()


def test_a_view_and_its_base():
    """Writing through one is seen by the rule that saved the other."""
    base = tg.Tensor(normal(5), backend="numpy")
    x = tg.Tensor(normal(3), backend="numpy", requires_grad=True)
    y = tg.sum(x * base[1:4])
    base[0] = 1.0
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()
    base = tg.Tensor(normal(3), backend="numpy")
    y = tg.sum(x * base)
    base[:2][0] = 1.0
    with pytest.raises(RuntimeError, match=MESSAGE):
        y.backward()


def test_a_detached_tensor_shares_memory():
    x = tg.Tensor(normal(3), backend="numpy", requires_grad=True)
    y = tg.sum(x * x)
    x.detach().assign(0.0)
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()


def test_changes_that_do_no_harm(backend):
    x, w = leaf(normal(3)), tg.Tensor(normal(3))
    other = tg.Tensor(normal(3))
    before = tg.Tensor(normal(3))
    before.assign(1.0)
    y = tg.sum(x * w + before)
    other.assign(2.0)
    before.assign(3.0)  # an addition needs no values
    y.backward()
    assert np.allclose(x.grad.tolist(), normal(3))


def test_an_update_after_backward(backend):
    x, w = leaf(normal(3)), leaf(normal(3))
    for _ in range(3):
        tg.sum(x * w).backward()
        with no_grad():
            w.assign(w - 0.1 * w.grad)


def test_a_change_before_a_retained_graph_is_used_again():
    x, w = leaf(normal(3)), tg.Tensor(normal(3))
    y = tg.sum(x * w)
    y.backward(retain_graph=True)
    w.assign(1.0)
    with pytest.raises(RuntimeError, match=MESSAGE):
        y.backward()


def test_an_argument_of_a_checkpoint_that_was_changed(backend):
    x, w = leaf(normal(3)), tg.Tensor(normal(3))
    y = tg.sum(checkpoint(lambda a, b: a * b, x, w))
    w.assign(1.0)
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()


# ------------------------------------------------------------------------------------ setitem


def test_setitem_is_recorded(backend):
    x, v = leaf([1.0, 2.0, 3.0]), leaf([10.0])
    y = x * 2.0
    y[1:2] = v * v
    assert y.tolist() == [2.0, 100.0, 6.0]
    tg.sum(y * y).backward()
    assert x.grad.tolist() == [8.0, 0.0, 24.0]
    assert v.grad.tolist() == [2 * 100.0 * 20.0]


def test_setitem_on_an_untracked_tensor_with_a_tracked_value(backend):
    v = leaf([10.0])
    y = tg.Tensor([1.0, 2.0, 3.0], dtype="float64")
    y[0:1] = v * 3.0
    assert y.requires_grad
    tg.sum(y).backward()
    assert v.grad.tolist() == [3.0]


def test_recorded_setitem_leaves_other_holders_alone(backend):
    """The tensor gets a new array; what an operation saved before is intact."""
    x = leaf([1.0, 2.0, 3.0])
    y = x * 2.0
    z = tg.sum(y * y)
    y[0] = 0.0
    z.backward()
    assert x.grad.tolist() == [8.0, 16.0, 24.0]


def test_setitem_unrecorded(backend):
    y = tg.Tensor([1.0, 2.0, 3.0])
    array = y._data
    y[1] = 5.0
    y[tg.Tensor([True, False, True])] = 0.0
    assert y.tolist() == [0.0, 5.0, 0.0]
    assert y._data is array


def test_setitem_on_a_leaf():
    x = leaf([1.0, 2.0])
    message = (
        "__setitem__: a leaf that requires a gradient cannot be modified while operations are "
        r"recorded; use no_grad\(\) or work on a copy"
    )
    with pytest.raises(RuntimeError, match=message):
        x[0] = 5.0
    with no_grad():
        x[0] = 5.0
    assert x.tolist() == [5.0, 2.0]
    assert x.requires_grad


def test_setitem_broadcasts(backend):
    x, v = leaf(normal(2, 3)), leaf([7.0])
    y = x * 1.0
    y[0] = v
    tg.sum(y).backward()
    assert x.grad.tolist() == [[0.0] * 3, [1.0] * 3]
    assert v.grad.tolist() == [3.0]


def test_assign(backend):
    x = tg.Tensor([[1.0, 2.0]], requires_grad=True)
    array = x._data
    assert x.assign([[3.0, 4.0]]) is x
    assert x.tolist() == [[3.0, 4.0]]
    x.assign(tg.Tensor([5.0], dtype="float64"))
    assert x.tolist() == [[5.0, 5.0]]
    assert x.dtype.name == "float32"
    assert x.is_leaf
    assert x._data is array
    with pytest.raises(ValueError, match="broadcast"):
        x.assign([1.0, 2.0, 3.0])


def test_assign_from_another_backend_is_refused():
    x, y = tg.Tensor([1.0], backend="numpy"), tg.Tensor([2.0], backend="strict")
    for target, value in ((x, y), (y, x)):
        with pytest.raises(ValueError, match=r"backends? '.*'.*'.*'.*\.to\("):
            target.assign(value)


@pytest.mark.parametrize(
    "op", [tg.multiply, tg.mse_loss, tg.binary_cross_entropy_with_logits, tg.matmul]
)
def test_an_operand_does_not_change_with_the_callers_array(op):
    values = np.array([0.25, 0.75])
    x = tg.Tensor(np.array([1.0, 2.0]), requires_grad=True)
    y = op(x, values)
    expected = tg.autograd.grad(y, x, np.ones(y.shape), retain_graph=True)
    values[:] = 0.0
    assert tg.autograd.grad(y, x, np.ones(y.shape)).tolist() == expected.tolist()
