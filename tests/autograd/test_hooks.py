"""Hooks on tensors, and `retain_grad`."""

import pytest

import tinygrad_bn as tg
from tinygrad_bn.autograd import grad


def leaf(values):
    return tg.Tensor(values, dtype="float64", requires_grad=True)


def test_a_hook_on_a_leaf_sees_the_whole_gradient_once(backend):
    x = leaf([1.0, 2.0])
    seen = []
    x.register_hook(lambda g: seen.append(g.tolist()))
    tg.sum(x * x + 3.0 * x).backward()
    assert seen == [[5.0, 7.0]]
    assert x.grad.tolist() == [5.0, 7.0]


def test_a_hook_on_an_intermediate_result_sees_the_whole_gradient_once(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    seen = []
    y.register_hook(lambda g: seen.append(g.tolist()))
    tg.sum(y + 3.0 * y).backward()
    assert seen == [[4.0, 4.0]]


def test_what_a_hook_returns_replaces_the_gradient(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    y.register_hook(lambda g: 10.0 * g)
    x.register_hook(lambda g: g + 1.0)
    tg.sum(y).backward()
    assert x.grad.tolist() == [21.0, 41.0]


def test_hooks_run_in_order(backend):
    x = leaf([1.0])
    x.register_hook(lambda g: g + 1.0)
    x.register_hook(lambda g: g * 10.0)
    x.backward()
    assert x.grad.tolist() == [20.0]


def test_removal():
    x = leaf([1.0])
    handle = x.register_hook(lambda g: 5.0 * g)
    with x.register_hook(lambda g: 7.0 * g):
        x.backward()
    handle.remove()
    handle.remove()
    x.backward()
    assert x.grad.tolist() == [36.0]


def test_a_hook_may_remove_itself():
    x = leaf([1.0])
    handle = x.register_hook(lambda g: handle.remove())
    x.backward()
    x.backward()
    assert x.grad.tolist() == [2.0]


@pytest.mark.parametrize(
    ("result", "shown"),
    [(tg.Tensor([1.0, 2.0]), r"\(2,\)"), (1.0, "float"), ("g", "str")],
    ids=["shape", "float", "str"],
)
def test_a_hook_that_returns_something_else(result, shown):
    x = leaf([1.0])
    x.register_hook(lambda g: result)
    message = rf"register_hook: a hook must return None or a tensor of shape \(1,\), got {shown}"
    with pytest.raises(ValueError, match=message):
        x.backward()


def test_a_hook_that_returns_a_tensor_of_another_backend():
    x = tg.Tensor([1.0], backend="numpy", requires_grad=True)
    x.register_hook(lambda g: tg.Tensor([1.0], backend="strict"))
    with pytest.raises(ValueError, match=r"tensor on backend 'numpy', got one on 'strict'"):
        (x * x).backward()


def test_a_hook_that_returns_another_dtype_is_cast(backend):
    x = tg.Tensor([1.0, 2.0], dtype="float32", requires_grad=True)
    y = x * x
    y.register_hook(lambda g: g.astype("float64") * 2.0)
    x.register_hook(lambda g: g.astype("float64"))
    tg.sum(y).backward()
    assert x.grad.dtype.name == "float32"
    assert x.grad.tolist() == [4.0, 8.0]


def test_a_tensor_without_gradient_takes_no_hook():
    message = "register_hook: the tensor does not require a gradient"
    with pytest.raises(RuntimeError, match=message):
        tg.Tensor([1.0]).register_hook(print)


def test_hooks_in_grad(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    y.register_hook(lambda g: 10.0 * g)
    gy, gx = grad(tg.sum(y), [y, x])
    assert gy.tolist() == [10.0, 10.0]
    assert gx.tolist() == [20.0, 40.0]


def test_hooks_beyond_the_inputs_of_grad_do_not_run():
    x = tg.Tensor([1.0], backend="numpy", requires_grad=True)
    seen = []
    x.register_hook(seen.append)
    for y in (x * 2.0, x.to("strict")):
        grad(y * y, [y])
    assert seen == []


def test_a_hook_in_a_recorded_backward_is_recorded(backend):
    x = leaf([3.0])
    x.register_hook(lambda g: g * g)
    (g,) = grad(x * x, [x], create_graph=True)
    assert g.tolist() == [36.0]
    (second,) = grad(g, [x], retain_graph=True)
    assert second.item() == pytest.approx(24.0**2)


def test_what_a_hook_keeps_is_not_written_to(backend):
    x = leaf([1.0, 2.0])
    y = x + 0.0
    kept = []
    y.register_hook(kept.append)
    z = y * 1.0 + x
    tg.sum(z + x).backward()
    tg.sum(x).backward()
    assert kept[0].tolist() == [1.0, 1.0]
    assert x.grad.tolist() == [4.0, 4.0]


def test_retain_grad(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    y.retain_grad()
    y.retain_grad()
    tg.sum(3.0 * y).backward(retain_graph=True)
    assert y.grad.tolist() == [3.0, 3.0]
    assert x.grad.tolist() == [6.0, 12.0]


def test_retained_gradients_accumulate(backend):
    x = leaf([1.0, 2.0])
    y = x * x
    y.retain_grad()
    z = tg.sum(3.0 * y)
    z.backward(retain_graph=True)
    z.backward()
    assert y.grad.tolist() == [6.0, 6.0]


def test_without_retain_grad_there_is_none():
    x = leaf([1.0])
    y = x * x
    y.backward()
    assert y.grad is None


def test_retain_grad_of_a_leaf_changes_nothing():
    x = leaf([1.0])
    x.retain_grad()
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_retain_grad_of_an_untracked_tensor_is_refused():
    with pytest.raises(RuntimeError, match="retain_grad: the tensor does not require a gradient"):
        tg.Tensor([1.0]).retain_grad()


def test_grad_may_be_set_on_leaves_only():
    x = leaf([1.0, 2.0])
    x.grad = tg.Tensor([5.0, 5.0], dtype="float64")
    tg.sum(x).backward()
    assert x.grad.tolist() == [6.0, 6.0]
    message = r"grad: must be None or a tensor of shape \(2,\), got \(3,\)"
    with pytest.raises(ValueError, match=message):
        x.grad = tg.Tensor([1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="got float"):
        x.grad = 1.0
    with pytest.raises(RuntimeError, match="grad: can be set on a leaf"):
        (x * x).grad = None
