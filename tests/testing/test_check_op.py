"""`check_op` catches what is wrong with an operation, and says where."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import booleans, distinct, integers, normal, positive
from tinygrad_bn.autograd import primitive
from tinygrad_bn.testing import CheckError, GradcheckError, KinkError, check_op, compare_backends


def test_right_operations_pass(backend):
    here = {"backends": [backend]}
    assert check_op(tg.exp, [normal(3, 4)], np.exp, **here)
    assert check_op(tg.multiply, [normal(3, 4), normal(4)], np.multiply, **here)
    assert check_op(tg.multiply, [normal(3, 4), 2.5], np.multiply, **here)
    assert check_op(tg.matmul, [normal(3, 4), normal(4, 5)], np.matmul, **here)
    assert check_op(tg.sum, [normal(3, 4)], np.sum, axis=0, keepdims=True, **here)
    assert check_op(tg.exp, [normal()], np.exp, **here)
    assert check_op(tg.multiply, [normal(13, 14), normal(14)], np.multiply, **here)


def test_operations_without_derivative_pass(backend):
    here = {"backends": [backend], "orders": ()}
    assert check_op(tg.equal, [integers(0, 3, 4, 5), integers(0, 3, 5)], np.equal, **here)
    assert check_op(tg.logical_and, [booleans(3, 4), booleans(3, 4)], np.logical_and, **here)


def test_only_some_inputs_may_be_differentiated(backend):
    def where(c, x, y):
        return tg.where(c, x, y)

    inputs = [booleans(3, 4), normal(3, 4), normal(4)]
    assert check_op(where, inputs, np.where, backends=[backend])
    assert check_op(where, inputs, np.where, backends=[backend], wrt=[2])


def test_several_results(backend):
    def both(x):
        return tg.exp(x), [x * x]

    assert check_op(both, [normal(3, 4)], lambda x: (np.exp(x), [x * x]), backends=[backend])


def test_several_backends_in_one_call():
    assert check_op(tg.exp, [normal(3)], np.exp, backends=["numpy", "strict"])


def fails(match, fn, inputs, reference=None, kind=CheckError, **options):
    with pytest.raises(kind, match=match) as info:
        check_op(fn, inputs, reference, **options)
    return str(info.value)


def test_a_wrong_value():
    message = fails(None, tg.exp, [np.array([[0.0, 1.0]])], lambda x: np.exp(x) + x)
    assert message.startswith(
        "check_op of exp on 'numpy': result 0: at (0, 1) got 2.71828182845904"
    )
    assert ", expected 3.71828182845904" in message
    assert "(1 of 2 elements differ; allowed: 3.72e-10 + 1e-10·|expected|)" in message


def test_a_wrong_shape_dtype_or_number_of_results():
    fails(
        r"result 0: shape \(3, 4\), expected \(3, 1\)", tg.exp, [normal(3, 4)], lambda x: x[:, :1]
    )
    fails("result 0 has dtype float64, expected float32", tg.exp, [normal(3)], np.float32)
    fails("1 results, expected 2", tg.exp, [normal(3)], lambda x: (x, x))
    fails("no tensor but float", lambda x: 1.0, [normal(3)], kind=TypeError)


def test_nan_and_infinity_are_values():
    values = np.array([np.nan, np.inf, -np.inf, 1.0])
    options = {"orders": (), "float32": False}
    assert check_op(tg.negative, [values], np.negative, **options)
    fails(
        "got nan, expected 1", tg.negative, [values], lambda x: np.nan_to_num(-x, nan=1), **options
    )
    fails("got -inf", tg.negative, [values], lambda x: np.where(x > 9, 1e300, -x), **options)


@primitive(x=lambda B, g, x: g * 2.0 * x)
def cube(B, x):
    return x * x * x


def test_a_wrong_derivative():
    message = fails("analytic", cube, [normal(3)], lambda x: x**3, kind=GradcheckError)
    assert message.startswith("gradcheck of cube on 'numpy': d result 0[")
    fails("no derivative", tg.abs, [np.zeros(3)], np.abs, kind=KinkError)


def test_an_order_that_is_not_asked_for_is_not_checked():
    @primitive(x=lambda B, g, x: g * 2.0 * (x.detach() if isinstance(x, tg.Tensor) else x))
    def square(B, x):
        return x * x

    options = {"layouts": ("contiguous",)}
    assert check_op(square, [normal(3)], np.square, orders=(1,), **options)
    fails("gradgradcheck of square", square, [normal(3)], np.square, **options)


@pytest.mark.parametrize(
    ("layout", "recognised"),
    [
        ("transposed", lambda a: a.strides[0] < a.strides[1]),
        ("reversed", lambda a: a.strides[0] < 0),
        ("broadcast", lambda a: a.strides[0] == 0),
    ],
)
def test_a_layout_that_is_read_wrongly(layout, recognised):
    """An operation that is right except for one layout."""

    @primitive(x=lambda B, g: g)
    def wrong(B, x):
        return x + float(recognised(x))

    options = {"orders": (1,), "float32": False, "zero_size": False}
    inputs = [normal(3, 4)]
    assert check_op(wrong, inputs, np.positive, layouts=("contiguous",), **options)
    fails(f"layout '{layout}': result 0: at", wrong, inputs, layouts=[layout], **options)


def test_a_backward_that_depends_on_the_layout():
    def rule(B, g, x):
        return g * (1.0 if x.flags.c_contiguous else 2.0)

    wrong = primitive(x=rule)(identity)
    fails(
        "layout 'transposed': derivative 0 of order 1: at",
        wrong, [normal(3, 4)], orders=(1,), float32=False, zero_size=False,
    )  # fmt: skip


def identity(B, x):
    return x + 0.0


def test_float32_results():
    @primitive()
    def widened(B, x):
        return B.astype(x, "float64")

    @primitive()
    def coarse(B, x):
        return B.astype(B.astype(x, "float16"), x.dtype) if x.dtype == np.float32 else x + 0.0

    options = {"orders": (), "zero_size": False}
    fails("float32 inputs give result 0 of float64", widened, [normal(3)], **options)
    fails("float32 result 0: at", coarse, [normal(3)], **options)
    assert check_op(coarse, [normal(3)], float32=False, **options)


def test_empty_arrays():
    @primitive(x=lambda B, g: g)
    def keeps_one(B, x):
        return x + 0.0 if x.shape[0] else B.zeros((1, *x.shape[1:]), dtype=x.dtype)

    options = {"orders": (), "float32": False}
    message = fails(
        r"shape \(1, 4\), expected \(0, 4\)", keeps_one, [normal(3, 4)], np.positive, **options
    )
    assert "empty arrays [(0, 4)]" in message
    assert check_op(keeps_one, [normal(3, 4)], np.positive, zero_size=False, **options)
    assert check_op(tg.matmul, [normal(4, 4), normal(4, 4)], np.matmul, zero_size=[(4, 0), (0, 4)])
    fails("zero_size gives 1 shapes for 2 arrays", tg.add, [normal(3), normal(3)], np.add,
          kind=ValueError, zero_size=[(0,)])  # fmt: skip


def test_a_changed_input():
    @primitive()
    def wrong(B, x):
        x += 1.0
        return x * 1.0

    fails("check_op of wrong on 'numpy': input 0 was changed", wrong, [normal(3)], orders=())


def test_a_changed_cotangent():
    def rule(B, g):
        if g.ndim == 1:
            return g
        g *= 2.0
        return g / 2.0

    wrong = primitive(x=rule)(identity)
    fails("changed", wrong, [normal(3, 4)], orders=(1,))


def test_an_unknown_layout_is_refused():
    fails("layouts are contiguous, transposed, reversed, broadcast, got 'odd'", tg.exp, [normal(3)],
          kind=ValueError, layouts=("odd",))  # fmt: skip


def test_helpers_stay_away_from_trouble():
    values = distinct(5, 6)
    gaps = np.diff(np.sort(values.ravel()))
    assert gaps.min() > 0.1
    assert np.abs(values - np.round(values)).min() > 0.1
    assert (values < 0).any()
    assert (values > 0).any()
    assert positive(100).min() >= 0.5
    assert np.array_equal(normal(3), normal(3))
    assert not np.array_equal(normal(3), normal(3, seed=1))


def test_tensors_are_compared_on_each_backend_too():
    """Passed on as they are, they would be compared with themselves."""
    seen = []

    def wrong(x):
        seen.append(x.backend)
        return x * 2.0 if x.backend == "numpy" else x * 3.0

    x = tg.Tensor([1.0, 2.0], dtype="float64")
    with pytest.raises(CheckError, match="result 0 on 'strict' against 'numpy'"):
        compare_backends(wrong, [x], ["numpy", "strict"])
    assert seen == ["numpy", "strict"]
    with pytest.raises(CheckError):
        check_op(wrong, [x], lambda a: a * 2.0, backends=["numpy", "strict"])


@pytest.mark.parametrize("backends", ["numpy", ["numpy"], []])
def test_one_backend_cannot_be_compared(backends):
    with pytest.raises(ValueError, match="compare_backends: backends must be two or more"):
        compare_backends(tg.exp, [np.ones(2)], backends)


def test_an_unknown_backend_is_refused_though_no_input_is_an_array():
    with pytest.raises(ValueError, match="unknown backend 'nope'"):
        compare_backends(lambda n: tg.ones((n,)), [2], ["numpy", "nope"])
