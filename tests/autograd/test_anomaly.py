"""`detect_anomaly`: where a NaN or an infinity was born."""

import inspect
import math
import threading

import pytest

import tinygrad_bn as tg
from tinygrad_bn.autograd import AnomalyError, detect_anomaly, grad, primitive
from tinygrad_bn.autograd.state import state, watch


def leaf(values):
    return tg.Tensor(values, dtype="float64", requires_grad=True)


def line_of(function):
    """The line number of the marked line of a function."""
    lines, first = inspect.getsourcelines(function)
    (offset,) = [i for i, line in enumerate(lines) if "# here" in line]
    return first + offset


def born_forward(x):
    y = x * 1.0
    return tg.log(y)  # here


def born_backward(x):
    return tg.sum(tg.sqrt(x))  # here


def test_forward(backend):
    with detect_anomaly(), pytest.raises(AnomalyError) as info:
        born_forward(leaf([1.0, -1.0]))
    assert str(info.value) == (
        f"log: forward gave NaN or Inf from finite inputs, at {__file__}:"
        f"{line_of(born_forward)}: return tg.log(y)  # here"
    )


def test_backward(backend):
    with detect_anomaly():
        y = born_backward(leaf([1.0, 0.0]))
        with pytest.raises(AnomalyError) as info:
            y.backward()
    assert str(info.value) == (
        "sqrt: backward gave NaN or Inf from a finite cotangent; the operation was recorded at "
        f"{__file__}:{line_of(born_backward)}: return tg.sum(tg.sqrt(x))  # here"
    )


def test_backward_of_a_graph_recorded_before(backend):
    y = born_backward(leaf([1.0, 0.0]))
    with detect_anomaly(), pytest.raises(AnomalyError, match=r"recorded at \(outside detect_anom"):
        y.backward()


def test_in_grad():
    x = leaf([1.0, 0.0])
    with detect_anomaly():
        y = born_backward(x)
        with pytest.raises(AnomalyError, match="sqrt: backward gave"):
            grad(y, x)


def test_in_a_recorded_backward():
    """The operations inside the rule are laid to the operation whose rule it is."""
    x = leaf([1.0, 0.0])
    with detect_anomaly():
        y = born_backward(x)
        with pytest.raises(AnomalyError, match="sqrt: backward gave") as info:
            grad(y, x, create_graph=True)
        assert f":{line_of(born_backward)}: " in str(info.value)
        with pytest.raises(AnomalyError, match="sqrt: backward gave"):
            y.backward()  # nothing was freed
    assert state.differentiated is None


def test_in_the_derivative_of_a_derivative(backend):
    def function(x):
        return tg.sum(tg.log(x))  # here

    x = leaf([4.0, 1e-200])
    with detect_anomaly():
        y = function(x)  # 1/x is finite, 1/x² is not
        g = grad(y, x, create_graph=True)
        with pytest.raises(AnomalyError) as info:
            grad(g, x, tg.ones_like(g))
    told = str(info.value)
    assert "backward gave NaN or Inf from a finite cotangent; the operation was recorded at" in told
    assert told.endswith(
        f":{line_of(function)}: return tg.sum(tg.log(x))  # here, in the derivative of log"
    )


def test_a_rule_may_pass_through_infinity(backend):
    """What a rule masks away is no anomaly, in either reading."""

    @primitive(x=lambda B, g, x: g * B.where(x == 0, 0.0, 1 / x))
    def safe(B, x):
        return x * 1.0

    x = leaf([1.0, 0.0])
    with detect_anomaly():
        assert grad(safe(x), x, tg.ones_like(x)).tolist() == [1.0, 0.0]
        assert grad(safe(x), x, tg.ones_like(x), create_graph=True).tolist() == [1.0, 0.0]


def test_a_healthy_recorded_backward(backend):
    x = leaf([1.0, 4.0])
    with detect_anomaly():
        (g,) = grad(born_backward(x), [x], create_graph=True)
        tg.sum(g).backward()
    assert x.grad.tolist() == [-0.25, -0.03125]


def test_without_it_nothing_is_raised(backend):
    x = leaf([1.0, 0.0])
    born_backward(x).backward()
    assert x.grad.tolist() == [0.5, math.inf]
    assert math.isnan(born_forward(leaf([-1.0])).item())


def test_values_given_as_nan_pass(backend):
    x = leaf([math.nan, 1.0, math.inf])
    with detect_anomaly():
        y = tg.sum(x * 2.0 + 1.0)
        y.backward(retain_graph=True)
        y.backward(math.nan)


def test_a_nan_scalar_given_by_the_user_passes():
    with detect_anomaly():
        assert math.isnan((leaf([1.0]) * math.nan).item())


def test_integers_and_booleans_pass(backend):
    with detect_anomaly():
        assert (tg.Tensor([1, 2]) + 1).tolist() == [2, 3]
        assert (tg.Tensor([1.0]) > 0.0).tolist() == [True]


def test_several_outputs(backend):
    @primitive(x=lambda B, g, x: g[0] + g[1] / x, outputs=2)
    def pair(B, x):
        return x * 1.0, B.log(x)

    with detect_anomaly(), pytest.raises(AnomalyError, match="pair: forward gave"):
        pair(leaf([-1.0]))
    with detect_anomaly():
        _, q = pair(leaf([1.0]))
        q.backward()


def test_only_the_thread_that_asked_is_watched():
    seen = []

    def elsewhere():
        try:
            seen.append(born_forward(leaf([-1.0])).item())
        except AnomalyError as error:
            seen.append(error)

    with detect_anomaly():
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
    assert math.isnan(seen[0])
    assert watch.anomaly == 0


def test_as_a_decorator_and_after_an_error():
    @detect_anomaly()
    def run():
        return born_forward(leaf([-1.0]))

    with pytest.raises(AnomalyError, match="log"):
        run()
    assert watch.anomaly == 0
    assert math.isnan(born_forward(leaf([-1.0])).item())


def test_an_anomaly_is_a_floating_point_error():
    assert issubclass(AnomalyError, FloatingPointError)
