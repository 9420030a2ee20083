"""`@primitive`: what a definition may say, and what the generated function does."""

import inspect

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn.autograd import grad, primitive
from tinygrad_bn.testing import gradcheck, gradgradcheck


def leaf(values):
    return tg.Tensor(values, dtype="float64", requires_grad=True)


# ---------------------------------------------------------------------------- bad definitions


def refused(match, forward, *joint, **rules):
    with pytest.raises(TypeError, match=match):
        primitive(*joint, **rules)(forward)


def test_a_rule_for_an_unknown_input():
    def op(B, x, *, k):
        return x

    message = r"primitive op: rule for 'y', which is not one of its inputs \('x',\)"
    refused(message, op, y=lambda B, g: g)
    refused("primitive op: rule for 'k'", op, k=lambda B, g: g)


def test_a_rule_that_needs_an_unknown_name():
    def op(B, x, *, k):
        return x

    refused(
        r"primitive op: a rule asks for 'z', which is none of its inputs \('x',\), metadata "
        r"\('k',\), auxiliary outputs \(\), 'out', 'wants' or '<input>_shape'",
        op,
        x=lambda B, g, z: g,
    )
    refused("a rule asks for 'k_shape'", op, x=lambda B, g, k_shape: g)


def test_a_joint_rule_beside_named_ones():
    def op(B, x):
        return x

    message = "primitive op: give one joint rule or named rules, not both"
    refused(message, op, lambda B, g: (g,), x=lambda B, g: g)


def test_inputs_named_and_variadic():
    def op(B, x, /, *xs):
        return x

    refused("primitive op: inputs are either all named or one", op)


def test_no_input():
    def op(B, *, k):
        return k

    refused("primitive op: needs at least one array input after 'B'", op)


def test_an_input_with_a_default():
    def op(B, x, axis=0):
        return x

    refused(
        r"primitive op: array input 'axis' may default to None only; pass metadata by keyword "
        r"\(after '\*'\)",
        op,
    )


def test_names_that_mean_something_else():
    def takes_out(B, out):
        return out

    def takes_wants(B, wants):
        return wants

    def takes_all(B, x, **options):
        return x

    refused("primitive takes_out: parameter 'out' is not allowed", takes_out)
    refused("primitive takes_wants: parameter 'wants' is not allowed", takes_wants)
    refused("primitive takes_all: parameter 'options' is not allowed", takes_all)


# ------------------------------------------------------------------------ the public function


def scale(B, x, /, k, *, shift=0.0):
    """Scaled and shifted."""
    return x * k + shift


def test_the_public_function_looks_like_the_forward():
    op = primitive(x=lambda B, g, k: g * k)(scale)
    assert op.__name__ == op.__qualname__ == "scale"
    assert op.__doc__ == "Scaled and shifted."
    assert op.__module__ == __name__
    assert str(inspect.signature(op)) == "(x, /, k, *, shift=0.0)"
    assert repr(op.__wrapped_primitive__) == "<primitive scale>"


def test_metadata_by_position_and_keyword():
    op = primitive(x=lambda B, g, k: g * k)(scale)
    x = leaf([1.0, 2.0])
    assert op(x, 3.0).tolist() == [3.0, 6.0]
    assert op(x, k=3.0, shift=1.0).tolist() == [4.0, 7.0]
    with pytest.raises(TypeError):
        op(x)
    with pytest.raises(TypeError):
        op(x, 3.0, 1.0)
    assert gradcheck(lambda x: op(x, 3.0), x)


def test_inputs_by_keyword_where_there_is_no_slash():
    assert product(y=leaf([3.0]), x=leaf([2.0])).tolist() == [6.0]


@primitive(x=lambda B, g, out: g * (1.0 - out * out))
def my_tanh(B, x):
    """A user's own operation."""
    return B.tanh(x)


def test_a_primitive_by_a_user(backend):
    x = leaf(normal(3, 4))
    assert gradcheck(my_tanh, x)
    assert gradgradcheck(my_tanh, x)
    assert np.allclose(my_tanh(x).tolist(), np.tanh(normal(3, 4)))
    assert repr(my_tanh(x).grad_fn) == "<my_tanh>"


# ------------------------------------------------------------------------------ kinds of input


@primitive(x=lambda B, g, weight: g if weight is None else g * weight, weight=lambda B, g, x: g * x)
def weighted(B, x, weight=None):
    """An input that may be absent."""
    return x + 0.0 if weight is None else x * weight


def test_an_optional_input(backend):
    x, w = leaf(normal(3)), leaf(normal(3))
    assert gradcheck(weighted, [x])
    assert gradcheck(weighted, [x, w])
    assert gradgradcheck(weighted, [x, w])
    assert weighted(x).tolist() == weighted(x, None).tolist() == x.tolist()
    with pytest.raises(TypeError, match="weighted: argument 'x' must be a tensor, got None"):
        weighted(None, w)


@primitive(xs=lambda B, g, xs: [2.0 * g * x for x in xs])
def sum_of_squares(B, *xs):
    """Any number of inputs."""
    total = xs[0] * xs[0]
    for x in xs[1:]:
        total = total + x * x
    return total


def test_variadic_inputs(backend):
    inputs = [leaf(normal(2, 3)), leaf(normal(3)), leaf(normal(1, 1))]
    for n in (1, 2, 3):
        assert gradcheck(sum_of_squares, inputs[:n])
        assert gradgradcheck(sum_of_squares, inputs[:n])
    with pytest.raises(TypeError, match="sum_of_squares: input 1 must be a tensor, got None"):
        sum_of_squares(inputs[0], None)


def test_variadic_inputs_some_untracked(backend):
    x, y = leaf(normal(3)), tg.Tensor(normal(3))
    (g,) = grad(tg.sum(sum_of_squares(x, y, 2.0)), [x])
    assert np.allclose(g.tolist(), 2 * normal(3))


wanted = []


@primitive(lambda B, g, x, y, wants: wanted.append(wants) or (g * y, g * x))
def product(B, x, y):
    """One rule for both inputs."""
    return x * y


def test_a_joint_rule_is_told_what_is_wanted(backend):
    x, y = leaf(normal(3)), leaf(normal(3))
    constant = tg.Tensor(normal(3))
    for arguments, wants in (((x, y), (True, True)), ((x, constant), (True, False))):
        wanted.clear()
        tg.sum(product(*arguments)).backward()
        assert wanted == [wants]
    wanted.clear()
    grad(tg.sum(product(x, y)), y)
    assert wanted == [(False, True)]
    assert gradcheck(product, [x, y])
    assert gradgradcheck(product, [x, y])


@primitive(lambda B, g, x, y: (g * y, None))
def half_blind(B, x, y):
    """A joint rule may have no gradient for an input."""
    return x * y


def test_a_joint_rule_may_leave_out_an_input():
    x, y = leaf([2.0]), leaf([3.0])
    half_blind(x, y).backward()
    assert x.grad.tolist() == [3.0]
    assert y.grad is None


calls = []


@primitive(
    x=lambda B, g, y: calls.append("x") or g * y, y=lambda B, g, x: calls.append("y") or g * x
)
def counted(B, x, y):
    """Rules that count their evaluations."""
    return x * y


def test_a_rule_is_evaluated_only_when_wanted():
    x, y = leaf([2.0]), leaf([3.0])
    for run, expected in (
        (lambda: counted(x, tg.Tensor(3.0)).backward(), ["x"]),
        (lambda: counted(2.0, y).backward(), ["y"]),
        (lambda: counted(x, y).backward(), ["x", "y"]),
        (lambda: grad(counted(x, y), x), ["x"]),
        (lambda: grad(counted(x, y), [y], create_graph=True), ["y"]),
    ):
        calls.clear()
        run()
        assert calls == expected


@primitive(x=lambda B, g, x_shape, k: g * float(len(x_shape)) * k)
def ranked(B, x, *, k):
    """A rule may name shapes and metadata."""
    return x * float(len(x.shape)) * k


def test_shape_and_metadata_in_a_rule(backend):
    x = leaf(normal(2, 3))
    assert gradcheck(lambda x: ranked(x, k=3.0), x)
    assert gradgradcheck(lambda x: ranked(x, k=3.0), x)


# ----------------------------------------------------------------------------- kinds of output


def split_rule(B, gs, x):
    gp, gq = gs
    return gp * (2.0 * x) + gq * (3.0 * x * x)


@primitive(x=split_rule, outputs=2)
def square_and_cube(B, x):
    """Two differentiable results."""
    return x * x, x * x * x


def test_two_outputs(backend):
    x = leaf(normal(3))
    assert gradcheck(square_and_cube, x)
    assert gradgradcheck(square_and_cube, x)
    p, q = square_and_cube(x)
    assert repr(p.grad_fn) == repr(q.grad_fn) == "<output>"
    for value, expected in ((p, 2 * normal(3)), (q, 3 * normal(3) ** 2)):
        (g,) = grad(tg.sum(value), [x], retain_graph=True)
        assert np.allclose(g.tolist(), expected)
    (g,) = grad([tg.sum(p), tg.sum(q * p)], [x])
    assert np.allclose(g.tolist(), 2 * normal(3) + 5 * normal(3) ** 4)


def test_one_of_two_outputs_twice(backend):
    """Cotangents of one output add up before they reach the rule."""
    x = leaf(normal(3))
    p, _ = square_and_cube(x)
    tg.sum(p * p + 3.0 * p).backward()
    expected = 4 * normal(3) ** 3 + 6 * normal(3)
    assert np.allclose(x.grad.tolist(), expected)


def test_two_outputs_at_higher_order(backend):
    def fn(x):
        p, q = square_and_cube(x)
        return p * q

    assert gradcheck(fn, leaf(normal(3)))
    assert gradgradcheck(fn, leaf(normal(3)))


def test_two_outputs_without_gradient():
    p, q = square_and_cube(tg.Tensor([2.0]))
    assert p.grad_fn is q.grad_fn is None
    assert (p.tolist(), q.tolist()) == ([4.0], [8.0])


@primitive(x=lambda B, g, root: g / (2.0 * root), aux=("root",))
def doubled_root(B, x):
    """An auxiliary value for the rule and the caller."""
    root = B.sqrt(x)
    return 1.0 * root, root


def test_an_auxiliary_output(backend):
    x = leaf([4.0, 9.0])
    y, root = doubled_root(x)
    assert root.tolist() == [2.0, 3.0]
    assert not root.requires_grad
    assert y.requires_grad
    tg.sum(y).backward()
    assert np.allclose(x.grad.tolist(), [0.25, 1 / 6])


# ---------------------------------------------------------------------------- fitting gradients


def test_gradients_are_fitted_to_shape_and_dtype(backend):
    x = tg.Tensor(normal(3, 1), dtype="float32", requires_grad=True)
    y = tg.Tensor(normal(4), dtype="float64", requires_grad=True)
    tg.sum(x * y).backward()
    assert (x.grad.shape, x.grad.dtype.name) == ((3, 1), "float32")
    assert (y.grad.shape, y.grad.dtype.name) == ((4,), "float64")
    assert np.allclose(x.grad.tolist(), np.full((3, 1), normal(4).sum()), rtol=1e-6)


def test_a_gradient_that_cannot_be_fitted():
    wrong = primitive(x=lambda B, g: B.zeros((2, 5), dtype=g.dtype))(plain)
    message = r"plain: a rule returned a gradient of shape \(2, 5\) for an input of shape \(3,\)"
    with pytest.raises(ValueError, match=message):
        tg.sum(wrong(leaf(normal(3)))).backward()
    x = leaf(normal(3))
    with pytest.raises(ValueError, match=message):
        grad(tg.sum(wrong(x)), x, create_graph=True)


def plain(B, x):
    return x + 0.0


# ---------------------------------------------------------------------------------- arguments


def test_scalars_lists_and_arrays_as_operands(backend):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    for other in (
        [3.0, 4.0],
        np.array([3.0, 4.0], dtype="float32"),
        (3.0, 4.0),
        tg.Tensor([3.0, 4.0]),
    ):
        for y in (x * other, tg.multiply(other, x)):
            assert y.tolist() == [3.0, 8.0]
            assert y.backend == backend
    assert (np.array([3.0, 4.0], dtype="float32") * x).tolist() == [3.0, 8.0]
    for y in (x * 2, 2 * x, x * 2.0, tg.multiply(2.0, x)):
        assert y.tolist() == [2.0, 4.0]
        assert y.dtype.name == "float32"


def test_scalars_only_give_tensors_of_the_default_backend(backend):
    y = tg.add(1.0, 2.0)
    assert (y.backend, y.shape, y.dtype.name, y.item()) == (backend, (), "float32", 3.0)


@pytest.mark.parametrize(
    "value", [None, "text", object(), {}], ids=["none", "str", "object", "dict"]
)
def test_arguments_that_are_no_arrays(value):
    kind = "None" if value is None else type(value).__name__
    with pytest.raises(TypeError, match=rf"add: argument 'x2' must be a tensor.*, got {kind}"):
        tg.add(tg.Tensor([1.0]), value)


def test_mixed_backends():
    x, y = tg.Tensor([1.0], backend="numpy"), tg.Tensor([1.0], backend="strict")
    message = r"add: inputs are on backends 'numpy' and 'strict'; move one with \.to\('numpy'\)"
    with pytest.raises(ValueError, match=message):
        tg.add(x, y)
    with pytest.raises(ValueError, match="sum_of_squares: inputs are on backends 'strict' and 'n"):
        sum_of_squares(y, x)


# ------------------------------------------------------------------------- rules that go wrong


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_rule_that_returns_no_array(create_graph):
    @primitive(x=lambda B, g: 5.0)
    def op(B, x):
        return x + 1

    with pytest.raises(TypeError, match=r"^op: a rule must return a gradient, got float$"):
        op(leaf([1.0, 2.0])).backward([1.0, 1.0], create_graph=create_graph)


@pytest.mark.parametrize("create_graph", [False, True])
def test_a_joint_rule_that_returns_too_many(create_graph):
    @primitive(lambda B, g: (g, g))
    def op(B, x):
        return x + 1

    message = r"^op: a rule must return one gradient \(or None\) for each of 1 inputs, got 2$"
    with pytest.raises(ValueError, match=message):
        op(leaf([1.0, 2.0])).backward([1.0, 1.0], create_graph=create_graph)
