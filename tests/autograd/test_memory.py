"""What the graph keeps alive: only what a rule named, without cycles, given back at once."""

import gc
import tracemalloc
import weakref

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.autograd import backward, checkpoint, grad, no_grad

MEGABYTE = 2**20
BIG = MEGABYTE // 4  # elements of a float32 array of one megabyte


def big(requires_grad=False):
    return tg.Tensor(np.ones(BIG, dtype="float32"), requires_grad=requires_grad)


@pytest.fixture
def no_collector():
    """The garbage collector is off: what is freed, reference counting freed."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def traced(no_collector):
    """Current and peak memory in megabytes, from the beginning of the test."""
    tracemalloc.start()
    start = tracemalloc.get_traced_memory()[0]

    def megabytes():
        now, peak = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        return (now - start) / MEGABYTE, (peak - start) / MEGABYTE

    yield megabytes
    tracemalloc.stop()


# ------------------------------------------------------------------- what an operation keeps


def alive_after(operation, backend="numpy"):
    """Whether the array of an intermediate result outlives the tensor that held it."""
    with tg.use_backend(backend):
        x = tg.Tensor([1.0, 2.0], requires_grad=True)
        middle = x * 2.0
        array = weakref.ref(middle._data)
        result = operation(middle)
        del middle
        alive = array() is not None
        tg.sum(result).backward()
        assert array() is None, "backward frees what was saved"
        return alive


@pytest.mark.parametrize(
    "operation",
    [
        lambda t: t + 1.0,
        lambda t: t + t,
        lambda t: t - 1.0,
        lambda t: -t,
        lambda t: t * 3.0,
        lambda t: t / 3.0,
        tg.sum,
        tg.mean,
        tg.exp,
        tg.sqrt,
        lambda t: tg.where([True, False], t, 0.0),
        lambda t: t * tg.Tensor([1.0, 2.0]),
    ],
    ids=["add", "add-self", "subtract", "negative", "scale", "divide-scalar", "sum", "mean", "exp",
         "sqrt", "where", "multiply-constant"],
)  # fmt: skip
def test_operations_that_keep_no_input(operation, backend, no_collector):
    assert not alive_after(operation, backend)


@pytest.mark.parametrize(
    "operation",
    [lambda t: t * t, tg.log, lambda t: t**3, lambda t: 2.0 / t],
    ids=["square", "log", "pow", "reciprocal"],
)
def test_operations_that_keep_their_input(operation, backend, no_collector):
    assert alive_after(operation, backend)


def test_a_view_of_a_result_keeps_no_more_than_its_own_graph(no_collector):
    """Reshaping and indexing save no data."""
    x = tg.Tensor(np.ones((4, 4)), requires_grad=True)
    middle = x + 1.0
    array = weakref.ref(middle._data)
    y = tg.sum(tg.reshape(middle, (16,))[3:5])
    del middle
    assert array() is None
    y.backward()


def test_a_chain_of_adds_keeps_no_activation_alive(traced):
    x = big(requires_grad=True)
    y = x
    for _ in range(50):
        y = y + 1.0
    now, peak = traced()
    assert now < 2.5  # x and y
    assert peak < 4.5
    y.backward(big())
    now, peak = traced()
    assert now < 3.5  # x, y and the gradient
    assert peak < 6.5


def test_a_chain_of_multiplications_keeps_one_array_each(traced):
    """The counterpart: here the inputs are needed."""
    y = big(requires_grad=True)
    for _ in range(20):
        y = y * y
    now, _ = traced()
    assert now > 20.0


def test_backward_frees_as_it_goes(traced):
    """The peak of backward is the forward's memory and a few cotangents."""
    x = big(requires_grad=True)
    y = x
    for _ in range(20):
        y = tg.exp(y * 0.1)
    before, _ = traced()
    y.backward(big())
    after, peak = traced()
    assert peak - before < 5.0
    assert after < 4.5


def test_a_training_loop_has_flat_memory(traced):
    rng = np.random.default_rng(0)
    w1 = tg.Tensor(rng.normal(size=(64, 256)).astype("float32"), requires_grad=True)
    w2 = tg.Tensor(rng.normal(size=(256, 8)).astype("float32"), requires_grad=True)
    x = tg.Tensor(rng.normal(size=(256, 64)).astype("float32"))

    def step():
        hidden = tg.maximum(x @ w1, 0.0)
        loss = tg.mean((hidden @ w2) ** 2)
        loss.backward()
        with no_grad():
            for w in (w1, w2):
                w.assign(w - 1e-6 * w.grad)
                w.grad = None

    for _ in range(3):
        step()
    first, _ = traced()
    _, peak = traced()
    for _ in range(30):
        step()
        now, top = traced()
        assert now - first < 0.05
        peak = max(peak, top)
    assert peak - first < 3.0


# --------------------------------------------------------------------------------- no cycles


def make(depth=4):
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    y = x
    for _ in range(depth):
        y = tg.exp(y * 0.1) + x
    return x, tg.sum(y)


def plain():
    _, y = make()
    y.backward()


def forward_only():
    make()


def retained():
    _, y = make()
    y.backward(retain_graph=True)


def hooks():
    x, y = make()
    x.register_hook(lambda g: g * 2.0)
    y.register_hook(lambda g: g * 2.0)
    y.retain_grad()
    y.backward()


def higher_orders():
    x, y = make()
    (g,) = grad(y, [x], create_graph=True)
    (h,) = grad(tg.sum(g), [x], create_graph=True)
    grad(tg.sum(h), [x])


def checkpointed():
    x, _ = make()
    tg.sum(checkpoint(lambda t: tg.exp(t * t), x)).backward()


def checkpointed_and_dropped():
    x, _ = make()
    checkpoint(lambda t: checkpoint(tg.exp, t * t), x)


def moved():
    x = tg.Tensor([1.0], backend="numpy", requires_grad=True)
    (x.to("strict") * 2.0).to("numpy").backward()


def failed():
    _, y = make()
    y.backward()
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def written():
    x, _ = make()
    y = x * 1.0
    y[0] = x[1]
    tg.sum(y).backward()


@pytest.mark.parametrize(
    "scenario",
    [
        plain,
        forward_only,
        retained,
        hooks,
        higher_orders,
        checkpointed,
        checkpointed_and_dropped,
        moved,
        written,
    ],
)
def test_nothing_is_left_for_the_collector(scenario, no_collector):
    scenario()  # once, for what is made at first use
    gc.collect()
    scenario()
    assert gc.collect() == 0


def test_a_recorded_gradient_in_a_leaf_is_a_cycle_until_it_is_taken_out(no_collector):
    """The one cycle there is, as in PyTorch: leaf → .grad → graph → leaf. `grad` has none."""
    x = tg.Tensor([2.0], requires_grad=True)
    array = weakref.ref(x._data)
    backward(x * x, create_graph=True)
    x.grad = None
    del x
    assert array() is None


# ------------------------------------------------------------------------------- long chains


def test_a_chain_of_100_000_operations():
    n = 100_000
    x = tg.Tensor(1.0, dtype="float64", requires_grad=True)
    y = x
    for i in range(n):
        y = y * 1.0 if i % 2 else y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y
    y = x
    for _ in range(n):
        y = y + x
    (g,) = grad(y, [x])
    assert g.item() == n + 1.0
    del y


def test_a_long_chain_that_is_dropped_without_backward():
    y = tg.Tensor(1.0, requires_grad=True)
    for _ in range(100_000):
        y = y * y
    del y


def test_a_long_chain_at_second_order():
    x = tg.Tensor(1.0, dtype="float64", requires_grad=True)
    y = x * x
    for _ in range(20_000):
        y = y + 1.0
    (g,) = grad(y, [x], create_graph=True)
    assert grad(g, x).item() == 2.0
