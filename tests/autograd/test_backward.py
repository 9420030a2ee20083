"""`backward` and `grad`: values, accumulation, aliasing, freed graphs, higher orders."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import autograd
from tinygrad_bn.autograd import backward, grad


def leaf(values, dtype="float64"):
    return tg.Tensor(values, dtype=dtype, requires_grad=True)


def storage(x):
    return x._backend.storage(x._data)


def distinct_memory(*tensors):
    return len({id(storage(t)) for t in tensors}) == len(tensors)


# ------------------------------------------------------------------------------------ backward


def test_backward_of_a_scalar(backend):
    x = leaf([1.0, 2.0])
    tg.sum(x * x).backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert x.grad.backend == backend
    assert not x.grad.requires_grad


def test_backward_with_a_cotangent(backend):
    x = leaf([1.0, 2.0])
    for g in (tg.Tensor([1.0, 10.0]), [1.0, 10.0], np.array([1.0, 10.0])):
        x.grad = None
        (x * x).backward(g)
        assert x.grad.tolist() == [2.0, 40.0]


def test_one_element_is_enough_whatever_its_shape():
    x = leaf([[3.0]])
    (x * x).backward()
    assert x.grad.tolist() == [[6.0]]


def test_gradients_accumulate(backend):
    x = leaf([1.0, 2.0])
    tg.sum(x * x).backward()
    first = x.grad
    tg.sum(3.0 * x).backward()
    assert x.grad.tolist() == [5.0, 7.0]
    assert first.tolist() == [2.0, 4.0]
    x.grad = None
    tg.sum(x).backward()
    assert x.grad.tolist() == [1.0, 1.0]


def test_a_leaf_used_many_times(backend):
    x = leaf([2.0])
    (x * x * x + x + x / x).backward()
    assert x.grad.tolist() == [13.0]


def test_several_outputs_with_and_without_cotangents(backend):
    x = leaf([1.0, 2.0])
    backward([tg.sum(x), x * x], [None, [1.0, 1.0]])
    assert x.grad.tolist() == [3.0, 5.0]


def test_an_output_given_twice(backend):
    x = leaf([1.0, 2.0])
    y = tg.sum(x * x)
    backward([y, y])
    assert x.grad.tolist() == [4.0, 8.0]


def test_an_output_that_is_a_leaf():
    x = leaf([1.0])
    x.backward()
    assert x.grad.tolist() == [1.0]
    g = tg.Tensor([5.0], dtype="float64")
    x.backward(g)
    assert x.grad.tolist() == [6.0]
    assert distinct_memory(x.grad, g, x)


def test_an_output_that_another_output_depends_on(backend):
    x = leaf([2.0])
    y = x * x
    z = y * y
    (gx, gy) = grad([y, z], [x, y])
    assert gy.tolist() == [1.0 + 8.0]
    assert gx.tolist() == [36.0]


# ---------------------------------------------------------------------------------------- grad


def test_grad_leaves_the_leaves_alone(backend):
    x, y = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    gx, gy = grad(tg.sum(x * y), (x, y))
    assert (gx.tolist(), gy.tolist()) == ([3.0, 4.0], [1.0, 2.0])
    assert x.grad is None
    assert y.grad is None


def test_grad_of_one_input_is_a_tensor_of_a_sequence_a_tuple():
    x = leaf([1.0])
    assert isinstance(grad(x * x, x), tg.Tensor)
    assert isinstance(grad(x * x, [x]), tuple)


def test_grad_with_respect_to_an_intermediate_result(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    z = tg.sum(y * y)
    gy, gx = grad(z, [y, x])
    assert gy.tolist() == [2.0, 8.0]
    assert gx.tolist() == [4.0, 32.0]


def test_grad_walks_only_what_leads_to_the_inputs():
    """A freed branch beside the way does not matter."""
    x, w = leaf([2.0]), leaf([3.0])
    side = tg.exp(w)
    side.backward()
    (g,) = grad(x * x * side, [x])
    assert g.tolist() == pytest.approx([4.0 * np.exp(3.0)])


def test_nothing_beyond_the_inputs_is_evaluated():
    """Neither below an input that is a result itself, nor below an output that does not matter."""
    x, w = leaf([2.0]), leaf([3.0])
    y, z = tg.exp(x), tg.exp(w)
    (y * z).backward()
    assert grad(y * y, y).tolist() == pytest.approx([2 * np.exp(2.0)])
    assert grad(y * y, y, create_graph=True).tolist() == pytest.approx([2 * np.exp(2.0)])
    fresh = leaf([5.0])
    assert grad([fresh * fresh, z], fresh).tolist() == [10.0]


def test_unused_inputs():
    x, w = leaf([2.0]), leaf([3.0])
    with pytest.raises(
        RuntimeError, match=r"grad: the outputs do not depend on input 1; pass allo"
    ):
        grad(x * x, [x, w])
    g, none = grad(x * x, [x, w], allow_unused=True)
    assert g.tolist() == [4.0]
    assert none is None
    g, none = grad(x * x, [x, tg.Tensor([1.0])], allow_unused=True)
    assert none is None


def test_an_input_that_requires_no_gradient():
    x = leaf([2.0])
    with pytest.raises(RuntimeError, match="grad: input 1 does not require a gradient"):
        grad(x * x, [x, tg.Tensor([1.0])])


# -------------------------------------------------------------------------------------- errors


def test_an_output_of_several_elements_needs_a_cotangent():
    x = leaf([1.0, 2.0])
    message = (
        r"backward: an output of shape \(2,\) needs a cotangent of that shape; only an output of "
        "one element has the default cotangent 1"
    )
    with pytest.raises(RuntimeError, match=message):
        (x * x).backward()
    with pytest.raises(RuntimeError, match="grad: an output of shape"):
        grad(x * x, x)


def test_a_cotangent_of_the_wrong_shape():
    x = leaf([1.0, 2.0])
    message = (
        r"backward: the cotangent of an output of shape \(2,\) must have that shape, got \(3,\)"
    )
    with pytest.raises(ValueError, match=message):
        (x * x).backward([1.0, 2.0, 3.0])


def test_the_wrong_number_of_cotangents():
    x = leaf([1.0])
    with pytest.raises(ValueError, match="backward: 2 outputs need as many cotangents, got 1"):
        backward([x * x, x], [[1.0]])


def test_a_cotangent_on_another_backend():
    x = tg.Tensor([1.0], backend="strict", requires_grad=True)
    g = tg.Tensor([1.0], backend="numpy")
    message = (
        r"backward: the output is on backend 'strict' and its cotangent on 'numpy'; "
        r"move it with \.to\('strict'\)"
    )
    with pytest.raises(ValueError, match=message):
        (x * x).backward(g)


def test_outputs_outside_of_any_graph():
    x = tg.Tensor([1.0])
    message = "backward: the output does not depend on any tensor with requires_grad=True"
    with pytest.raises(RuntimeError, match=message):
        x.backward()
    with tg.no_grad():
        y = leaf([1.0]) * 2.0
    with pytest.raises(RuntimeError, match=message):
        y.backward()
    with pytest.raises(TypeError, match="backward: outputs must be tensors, got float"):
        backward(1.0)
    with pytest.raises(TypeError, match="grad: inputs must be tensors, got float at 0"):
        grad(leaf([1.0]), [1.0])


# ------------------------------------------------------------------------- freed and kept graphs


def test_a_second_backward():
    x = leaf([1.0, 2.0])
    y = tg.sum(x * x)
    y.backward()
    message = (
        "sum: backward a second time through a graph whose saved values were freed; "
        "pass retain_graph=True to the first backward"
    )
    with pytest.raises(RuntimeError, match=message):
        y.backward()
    with pytest.raises(RuntimeError, match=message):
        grad(y, x, create_graph=True)


def test_retain_graph(backend):
    x = leaf([1.0, 2.0])
    y = tg.sum(x * x)
    y.backward(retain_graph=True)
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [6.0, 12.0]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_create_graph_keeps_the_graph_unless_told_otherwise():
    x = leaf([2.0])
    y = x * x
    grad(y, x, create_graph=True)
    (g,) = grad(y, [x], create_graph=True, retain_graph=False)
    assert g.tolist() == [4.0]
    with pytest.raises(RuntimeError, match="second time"):
        grad(y, x)


def test_a_graph_without_saved_values_can_be_walked_again():
    x = leaf([1.0])
    y = x + x
    y.backward()
    y.backward()
    assert x.grad.tolist() == [4.0]


def test_two_graphs_that_share_a_freed_part():
    x = leaf([2.0])
    shared = tg.exp(x)
    (shared * 2.0).backward()
    with pytest.raises(RuntimeError, match="exp: backward a second time"):
        (shared * 3.0).backward()


# ------------------------------------------------------------------------------------- aliasing


def test_gradients_share_no_memory(backend):
    x, y = leaf(normal(3)), leaf(normal(3))
    g = tg.Tensor(normal(3))
    (x + y).backward(g)
    assert distinct_memory(x, y, g, x.grad, y.grad)
    gx, gy = grad(x + y, [x, y], g)
    assert distinct_memory(x, y, g, gx, gy)


def test_the_gradient_of_a_view_shares_no_memory(backend):
    x, g = leaf(normal(2, 3)), tg.Tensor(normal(3, 2))
    tg.permute_dims(x, (1, 0)).backward(g)
    assert distinct_memory(x, g, x.grad)
    before = g.tolist()
    x.grad.assign(0.0)
    assert g.tolist() == before


def test_a_saved_value_does_not_become_the_gradient(backend):
    """d(x·y)/dx = 1·y: multiplication by ones makes a new array, a broadcast of y would not."""
    x, y = leaf(normal(3)), leaf(normal(3))
    grads = grad(tg.sum(x * y), [x, y])
    assert distinct_memory(x, y, *grads)


def test_sums_do_not_write_into_given_cotangents(backend):
    x = leaf(normal(3))
    g = tg.Tensor(normal(3))
    before = g.tolist()
    y = x + x + x + x
    y.backward(g)
    assert g.tolist() == before
    assert np.allclose(x.grad.tolist(), 4 * normal(3))


def test_a_gradient_that_is_kept_stays_what_it_was(backend):
    x = leaf(normal(3))
    y = x + 0.0
    z = y + y + y
    gy, gx = grad(z, [y, x], tg.Tensor(normal(3)))
    before = gy.tolist()
    gx.assign(0.0)
    assert gy.tolist() == before


@pytest.mark.parametrize("create_graph", [False, True])
def test_one_input_twice_and_a_cotangent_passed_through(backend, create_graph):
    x, y = leaf(normal(3)), leaf(normal(3))
    g = leaf(normal(3))
    results = grad(x + y, [x, y, x], g, create_graph=create_graph)
    assert distinct_memory(x, y, g, *results)


# ---------------------------------------------------------------------------------- higher order


def test_three_orders_by_hand(backend):
    x = leaf([2.0])
    y = x**4
    (first,) = grad(y, [x], create_graph=True)
    (second,) = grad(first, [x], create_graph=True)
    (third,) = grad(second, [x], create_graph=True)
    (fourth,) = grad(third, [x])
    values = [t.item() for t in (first, second, third, fourth)]
    assert values == pytest.approx([32.0, 48.0, 48.0, 24.0])


def test_backward_with_create_graph_gives_a_gradient_on_the_graph(backend):
    x = leaf([2.0])
    (x**3).backward(create_graph=True)
    g = x.grad
    x.grad = None
    assert g.requires_grad
    (g * g).backward()
    assert g.tolist() == [12.0]
    assert x.grad.tolist() == [2 * 12.0 * 12.0]


def test_the_second_derivative_reaches_the_cotangent(backend):
    x, v = leaf(normal(3)), leaf(normal(3))
    (g,) = grad(x * x, [x], v, create_graph=True)
    (dv,) = grad(tg.sum(g), [v])
    assert np.allclose(dv.tolist(), 2 * normal(3))


def test_a_gradient_penalty(backend):
    """‖dy/dx‖² differentiated with respect to a weight."""
    x, w = leaf(normal(4)), leaf(normal(4, seed=1))
    (g,) = grad(tg.sum(tg.exp(x * w)), [x], create_graph=True)
    tg.sum(g * g).backward()
    a, b = normal(4), normal(4, seed=1)
    assert np.allclose(w.grad.tolist(), 2 * b * np.exp(2 * a * b) * (1 + a * b))


def test_create_graph_under_no_grad_is_recorded():
    x = leaf([2.0])
    y = x * x * x
    with tg.no_grad():
        (g,) = grad(y, [x], create_graph=True)
    assert g.requires_grad
    assert grad(g, x).item() == pytest.approx(12.0)


def test_the_mode_is_restored_after_an_error():
    x = leaf([1.0, 2.0])
    y = tg.sum(x * x)
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()
    assert autograd.is_grad_enabled()
    assert (x * x).requires_grad
