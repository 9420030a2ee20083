"""What a forward refuses is explained in terms of the operation and its arguments."""

import numpy as np
import pytest

import tinygrad_bn as tg


class OwnError(ValueError):
    """An error of its own class."""


@tg.primitive(x=lambda B, g: g)
def fussy(B, x, y=None, *, kind="plain", limit=3):
    """Refuses in several ways."""
    if kind == "named":
        raise ValueError(f"fussy: limit must be above 3, got {limit}")
    if kind == "own":
        raise OwnError("mine")
    if kind == "index":
        raise IndexError("too far")
    if kind == "type":
        raise TypeError("no such thing")
    raise ValueError("too plain")


def test_name_shapes_and_arguments_are_added():
    x = tg.zeros((2, 3))
    with pytest.raises(ValueError, match=r"^fussy: too plain \(x of shape \(2, 3\)\)$") as info:
        fussy(x)
    assert str(info.value.__cause__) == "too plain"
    with pytest.raises(IndexError, match=r"^fussy: too far \(x of shape .*, kind='index'\)$"):
        fussy(x, kind="index")
    with pytest.raises(TypeError, match=r"^fussy: no such thing \(x .*, y=2, kind='type'\)$"):
        fussy(x, 2, kind="type")


def test_errors_that_say_it_already_are_left_alone():
    with pytest.raises(ValueError, match=r"^fussy: limit must be above 3, got 3$") as info:
        fussy(tg.zeros(2), kind="named")
    assert info.value.__cause__ is None
    with pytest.raises(OwnError, match=r"^mine$"):
        fussy(tg.zeros(2), kind="own")


def test_long_arguments_are_cut():
    with pytest.raises(ValueError, match=r"limit='x{70,}\.\.\.\)$"):
        fussy(tg.zeros(2), limit="x" * 500)


def test_operands_that_do_not_broadcast(backend):
    with pytest.raises(ValueError, match=r"^add: .*of shape \(2, 3\), .*of shape \(4,\)\)$"):
        tg.zeros((2, 3)) + tg.zeros(4)
    with pytest.raises(ValueError, match=r"^multiply: .*of shape \(2,\)"):
        tg.zeros(2) * np.zeros(3)


def test_errors_in_the_name_of_a_public_operation_are_left_alone(backend):
    with pytest.raises(ValueError, match=r"^mse_loss: target must have the shape of input"):
        tg.mse_loss(tg.zeros((2, 2)), tg.zeros(2))
    with pytest.raises(ValueError, match=r"^binary_cross_entropy: input must be in \[0, 1\]"):
        tg.binary_cross_entropy(tg.full(2, 3.0), tg.zeros(2))


def test_numbers_beyond_the_dtype(backend):
    with pytest.raises(OverflowError, match=r"^add: .*x2=300\)$"):
        tg.zeros(2, dtype="uint8") + 300


def test_complex_results_of_tensors_that_require_gradients(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    message = r"^{}: the result of a tensor that requires a gradient is complex, .*; use detach\(\)"
    for name, f in {
        "multiply": lambda: x * 1j,
        "add": lambda: x + tg.asarray([1j, 2j]),
        "astype": lambda: x.astype("complex64"),
    }.items():
        with pytest.raises(TypeError, match=message.format(name)):
            f()
    assert (x.detach() * 1j).tolist() == [1j, 2j]
    with tg.no_grad():
        assert (1j * x).tolist() == [1j, 2j]


def test_integer_results_are_not_recorded(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    assert not x.astype("float64").sum(dtype="int64").requires_grad
    assert x.sum(dtype="float64").requires_grad


@pytest.mark.parametrize("hook", [5, None])
def test_a_hook_that_is_not_callable(hook):
    with pytest.raises(TypeError, match=r"^a hook must be callable, got"):
        tg.Tensor(1.0, requires_grad=True).register_hook(hook)


@pytest.mark.parametrize(("other", "got"), [("float64", "float64 on 'numpy'")])
def test_a_gradient_of_another_dtype(other, got):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(ValueError, match=f"^grad: must be of dtype float32 on .*, got {got}"):
        x.grad = tg.zeros(2, dtype=other)


def test_no_outputs():
    with pytest.raises(ValueError, match=r"^backward: needs at least one output, got none"):
        tg.autograd.backward([])
