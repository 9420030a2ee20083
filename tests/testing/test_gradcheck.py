"""The gradient checker is itself checked: rules that are wrong on purpose must be caught."""

import math

import pytest

import tinygrad_bn as tg
from tests.helpers import distinct, normal, positive
from tinygrad_bn.autograd import engine, primitive
from tinygrad_bn.testing import (
    CheckError,
    GradcheckError,
    KinkError,
    gradcheck,
    gradcheck_order,
    gradgradcheck,
)


def leaf(values):
    return tg.Tensor(values, dtype="float64", requires_grad=True)


def unary(forward, rule):
    """A primitive with a given rule, called `wrong`."""

    @primitive(x=rule)
    def wrong(B, x):
        return forward(B, x)

    return wrong


def wrong_at(fn, *inputs, order=1, match=None, **options):
    """The checker must find `fn` wrong (and not merely undefined)."""
    with pytest.raises(GradcheckError, match=match) as info:
        gradcheck_order(fn, [leaf(x) for x in inputs], order, **options)
    assert not isinstance(info.value, KinkError)
    return str(info.value)


def kink_at(fn, *inputs, match=None, **options):
    with pytest.raises(KinkError, match=match) as info:
        gradcheck(fn, [leaf(x) for x in inputs], **options)
    return str(info.value)


both_ways = pytest.mark.parametrize("full", [True, False], ids=["full", "projected"])


# ------------------------------------------------------------------------------ right is right


@both_ways
@pytest.mark.parametrize("order", [1, 2, 3])
def test_a_right_derivative_passes(backend, order, full):
    def fn(x, y):
        return tg.exp(x) * y / (1.0 + y * y)

    assert gradcheck_order(fn, [leaf(normal(2, 3)), leaf(positive(3))], order, full=full)


def test_several_results_nested_and_constants_pass(backend):
    def fn(x, c, flag):
        assert flag == "constant"
        return [x * c, (tg.sum(x) * 2.0,)], tg.equal(x, x)

    constant = tg.Tensor(normal(3))
    assert gradcheck(fn, [leaf(normal(2, 3)), constant, "constant"])
    assert gradgradcheck(fn, [leaf(normal(2, 3)), constant, "constant"])


def test_a_single_tensor_may_stand_alone():
    assert gradcheck(tg.exp, leaf(normal(3)))
    assert gradgradcheck(tg.exp, leaf(normal(3)))


def test_an_input_without_influence_has_gradient_zero():
    assert gradcheck(lambda x, y: tg.exp(x), [leaf(normal(3)), leaf(normal(3))])
    assert gradgradcheck(lambda x, y: x * 2.0, [leaf(normal(3)), leaf(normal(3))])


def test_a_result_that_requires_no_gradient_is_left_out():
    assert gradcheck(lambda x: (x * x, tg.exp(x.detach())), leaf(normal(3)))


def test_large_inputs_use_relative_steps():
    assert gradcheck(tg.sqrt, leaf(1e6 * positive(3)))
    assert gradcheck(lambda x: x * x * x, leaf(1e4 * positive(3)))


@both_ways
def test_strong_curvature_is_no_finding(full):
    assert gradcheck(lambda x: tg.exp(300.0 * x), leaf(0.01 * normal(3)), full=full)


def test_curvature_that_only_the_smallest_step_resolves():
    assert gradcheck(lambda x: tg.exp(1e4 * x), leaf([1e-5]))
    wrong = unary(lambda B, x: B.exp(1e4 * x), lambda B, g, out: 1.01e4 * g * out)
    wrong_at(wrong, [1e-5])


def test_what_no_step_resolves_does_not_pass():
    kink_at(lambda x: tg.exp(1e5 * x), [1e-6], match="do not converge as the step shrinks")
    assert gradcheck(lambda x: tg.exp(1e5 * x), leaf([1e-6]), eps=1e-6)


@both_ways
def test_a_kink_nearby_is_no_finding(full):
    """Within the first step of the kink, outside of the last."""
    assert gradcheck(lambda x: tg.maximum(x, 0.0), leaf([1e-4, -3e-4, 1.0]), full=full)


def test_empty_inputs_pass(backend):
    assert gradcheck(tg.exp, leaf(normal(0, 3)))
    assert gradgradcheck(tg.exp, leaf(normal(0, 3)))


# ------------------------------------------------------------------------------ wrong is wrong


@both_ways
def test_wrong_sign(backend, full):
    wrong = unary(lambda B, x: B.sin(x), lambda B, g, x: -g * B.cos(x))
    wrong_at(wrong, normal(2, 3), full=full)


@both_ways
@pytest.mark.parametrize("factor", [2.0, 1.0001, 0.0, math.inf, math.nan])
def test_wrong_factor(full, factor):
    wrong = unary(lambda B, x: B.exp(x), lambda B, g, out: factor * out + g)
    wrong_at(wrong, normal(2, 3), full=full)


@both_ways
def test_missing_term(full):
    wrong = unary(lambda B, x: B.sin(x) * x, lambda B, g, x: g * B.sin(x))
    wrong_at(wrong, normal(2, 3), full=full)


@both_ways
def test_transposed_gradient(full):
    wrong = unary(lambda B, x: x * x, lambda B, g, x: B.matrix_transpose(2.0 * x * g))
    wrong_at(wrong, normal(3, 3), full=full)


@both_ways
def test_gradient_of_the_wrong_axis(full):
    """The engine fits any gradient that broadcasts; a wrong axis must not hide behind that."""
    wrong = unary(lambda B, x: B.sum(x * x, axis=0), lambda B, g, x: 2.0 * x * g[:, None])
    wrong_at(wrong, normal(3, 3), full=full)


@both_ways
def test_wrong_broadcasting(full):
    @primitive(x=lambda B, g, y: g * y, y=lambda B, g, x: B.mean(g * x, axis=0))
    def wrong(B, x, y):
        return x * y

    message = wrong_at(wrong, normal(4, 3), normal(3), full=full)
    assert "input 1[" in message


@both_ways
def test_one_wrong_element(full):
    """One element in many, with the position in the message."""

    def rule(B, g, x):
        mask = B.reshape(B.arange(x.shape[0] * x.shape[1], dtype="int64"), x.shape) == 7
        return g * B.where(mask, 0.5, B.ones_like(x))

    message = wrong_at(unary(lambda B, x: 1.0 * x, rule), normal(3, 5), full=full)
    assert "input 0[1, 2]" in message


def test_rows_and_columns_of_a_larger_jacobian():
    wrong = unary(lambda B, x: x * x, lambda B, g, x: B.matrix_transpose(2.0 * x * g))
    wrong_at(wrong, normal(20, 20))


def test_not_linear_in_the_cotangent():
    """Right for every unit cotangent, wrong for their combination."""
    wrong = unary(lambda B, x: 1.0 * x, lambda B, g: g * g * B.sign(g))
    wrong_at(wrong, normal(3), match="not linear in the cotangent", full=True)


@both_ways
def test_a_forgotten_dependence(full):
    """detach() hides part of the function from backward."""
    wrong_at(lambda x: x * tg.exp(x).detach(), normal(3), full=full, match=r"\(ends in multiply\)")


@both_ways
def test_second_order_with_a_detached_value(full):
    """The first derivative is right; its rule hides that it depends on x."""

    def rule(B, g, x):
        value = x.detach() if isinstance(x, tg.Tensor) else x
        return g * (3.0 * value * value)

    cube = unary(lambda B, x: x * x * x, rule)
    assert gradcheck(cube, leaf(positive(3)), full=full)
    wrong_at(cube, positive(3), order=2, full=full)


@both_ways
def test_second_order_through_an_auxiliary_output(full):
    """An auxiliary output is a plain value: a rule that uses it is wrong at second order."""

    @primitive(x=lambda B, g, root: g / (2.0 * root), aux=("root",))
    def wrong(B, x):
        root = B.sqrt(x)
        return 1.0 * root, root

    assert gradcheck(wrong, leaf(positive(3)), full=full)
    wrong_at(wrong, positive(3), order=2, full=full)


def test_third_order_with_a_detached_value():
    second = unary(
        lambda B, x: 3.0 * x * x,
        lambda B, g, x: g * (6.0 * (x.detach() if isinstance(x, tg.Tensor) else x)),
    )

    def first(B, g, x):
        return g * (second(x) if isinstance(x, tg.Tensor) else 3.0 * x * x)

    cube = unary(lambda B, x: x * x * x, first)
    assert gradcheck(cube, leaf(positive(2)))
    assert gradgradcheck(cube, leaf(positive(2)))
    wrong_at(cube, positive(2), order=3, match="gradcheck of order 3 of wrong")


def test_the_two_readings_differ():
    def rule(B, g, x):
        return g * (2.0 * x) if isinstance(x, tg.Tensor) else g * x

    wrong = unary(lambda B, x: 0.5 * x * x, rule)
    wrong_at(wrong, normal(3), order=2, match="recorded backward gives other values than the plain")


# -------------------------------------------------------------------------- what must stay alone


def test_a_mutated_input():
    def forward(B, x):
        x += 1.0
        return x * 2.0

    message = wrong_at(unary(forward, lambda B, g: 2.0 * g), normal(3))
    assert message == "gradcheck of wrong: input 0 was changed"


def test_a_mutated_constant():
    @primitive(x=lambda B, g: g)
    def wrong(B, x, y):
        y *= 2.0
        return x + 0.0

    with pytest.raises(GradcheckError, match="input 1 was changed"):
        gradcheck(wrong, [leaf(normal(3)), tg.Tensor(normal(3))])


def test_an_input_mutated_in_backward():
    def rule(B, g, x):
        x *= 2.0
        return g

    wrong_at(unary(lambda B, x: 1.0 * x, rule), normal(3), match="input 0 was changed")


def test_a_mutated_cotangent():
    def rule(B, g):
        g *= 2.0
        return g

    message = wrong_at(unary(lambda B, x: 2.0 * x, rule), normal(3))
    assert message == "gradcheck of wrong: backward changed the cotangent it was given"


def test_a_gradient_that_is_the_cotangent(monkeypatch):
    """The engine copies; if it did not, the check would say so."""
    plain = engine._kept
    monkeypatch.setattr(
        engine, "_kept", lambda node, g, alone: engine.runtime.make(node.backend, g, None)
    )
    wrong_at(lambda x: +x, normal(3), match="gradient of input 0 shares its memory with cotangent")
    wrong_at(tg.add, normal(3), normal(3), match="shares its memory with")
    saved = unary(lambda B, x: 0.5 * x * x, lambda B, g, x: x)
    wrong_at(saved, normal(3), match="gradient of input 0 shares its memory with input 0")
    monkeypatch.setattr(engine, "_kept", plain)
    assert gradcheck(tg.add, [leaf(normal(3)), leaf(normal(3))])


def test_a_function_that_changes_its_mind():
    calls = []

    def fn(x):
        calls.append(x)
        return x * float(len(calls))

    wrong_at(fn, normal(3), match="gradcheck of fn: the function gave two results for the same inp")


def test_a_gradient_of_the_wrong_form(monkeypatch):
    monkeypatch.setattr(
        engine,
        "_kept",
        lambda node, g, alone: engine.runtime.make(node.backend, g.astype("float32"), None),
    )
    wrong_at(tg.exp, normal(3), match=r"the gradient of input 0 has the form \(\(3,\), .*float32")


# ------------------------------------------------------------------------------------- kinks


@both_ways
@pytest.mark.parametrize(
    ("fn", "x"),
    [
        (lambda x: tg.maximum(x, 0.0), [0.0, 1.0]),
        (lambda x: tg.where(x > 0, x, 0.0), [0.0, 1.0]),
        (tg.abs, [0.0, 1.0]),
        (tg.floor, [2.0, 0.5]),
        (tg.sign, [0.0, 0.5]),
        (lambda x: tg.clip(x, -1.0, 1.0), [1.0, 0.5]),
    ],
    ids=["relu", "where", "abs", "floor", "sign", "clip"],
)
def test_kinks_are_reported_as_such(backend, fn, x, full):
    kink_at(fn, x, match="no derivative at this point", full=full)


@both_ways
def test_ties_of_max(full):
    kink_at(tg.maximum, [1.0, 2.0], [1.0, 3.0], match="no derivative", full=full)


def test_the_message_of_a_kink():
    message = kink_at(tg.abs, [[1.0, 2.0], [0.0, 3.0]], full=True)
    assert message.startswith(
        "gradcheck of abs: no derivative at this point: d result 0[1, 0] / d input 0[1, 0]: "
        "the slope is -1 on the left and 1 on the right (analytic 0, numeric "
    )


def test_a_kink_does_not_excuse_a_wrong_gradient():
    """Outside of what the two sides allow."""
    wrong_at(unary(lambda B, x: B.abs(x), lambda B, g: 3.0 * g), [0.0])


def test_a_wrong_gradient_is_reported_before_a_kink():
    wrong = unary(lambda B, x: B.abs(x), lambda B, g, x: g * B.sign(x) * (1.0 + 0.1 * x))
    assert "input 0[1]" in wrong_at(wrong, [0.0, 1.0])


def test_the_edge_of_the_domain():
    kink_at(tg.sqrt, [0.0, 1.0], match="the function is not finite around this point")


# ------------------------------------------------------------------------------------ messages


def test_the_message_names_all():
    @primitive(x=lambda B, g, y: g * y, y=lambda B, g, x: 2.0 * g * x)
    def halves(B, x, y):
        return x * y

    message = wrong_at(halves, [[1.0, 2.0]], [[3.0], [4.0]])
    assert message.startswith(
        "gradcheck of halves: d result 0[0, 1] / d input 1[0, 0]: analytic 4, numeric 2 "
    )
    assert message.endswith("4 derivatives are wrong)")
    assert "(difference 2, allowed 2.1e-06; " in message


def test_the_message_of_second_order_names_the_cotangent():
    def rule(B, g, x):
        value = g.detach() if isinstance(g, tg.Tensor) else g
        return value * (2.0 * x)

    wrong = unary(lambda B, x: x * x, rule)
    message = wrong_at(wrong, normal(2), order=2)
    assert message.startswith("gradgradcheck of wrong: d gradient 0[")
    assert "] / d cotangent 0 (order 1)[" in message


@pytest.mark.parametrize("order", [0, -1, 1.0, True, "2"])
def test_order_must_be_a_positive_integer(order):
    with pytest.raises(ValueError, match="order must be an integer of at least 1, got"):
        gradcheck_order(tg.exp, leaf(normal(3)), order)


def test_inputs_must_be_float64_and_require_gradients():
    with pytest.raises(ValueError, match="gradcheck of exp: no input requires a gradient"):
        gradcheck(tg.exp, tg.Tensor(normal(3)))
    small = tg.Tensor(normal(3), dtype="float32", requires_grad=True)
    with pytest.raises(
        ValueError, match=r"input 0 must be float64 \(differences of float32 values"
    ):
        gradcheck(tg.exp, [small])


def test_a_function_without_derivative():
    with pytest.raises(GradcheckError, match="gradcheck of equal: no result depends on an input"):
        gradcheck(tg.equal, [leaf(normal(3)), leaf(normal(3))])
    with pytest.raises(TypeError, match=r"gradcheck of .*: result 0 is no tensor but float"):
        gradcheck(lambda x: 1.0, [leaf(normal(3))])


def test_errors_are_assertion_errors():
    assert issubclass(KinkError, GradcheckError)
    assert issubclass(GradcheckError, CheckError)
    assert issubclass(CheckError, AssertionError)


def test_the_seed_chooses_the_projections():
    """Results do not depend on the seed where the derivative is right."""
    for seed in range(5):
        assert gradcheck(tg.exp, leaf(distinct(7, 8)), seed=seed)
