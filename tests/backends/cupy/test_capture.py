"""Captured steps on a pretend device, whose graphs carry out again what was recorded."""

from functools import partial

import numpy as np
import pytest
from tinygrad_bn.backends.cupy import cublaslt

import tinygrad_bn as tg
from tests import capture_helpers as helpers
from tests.backends.cupy.fake_cublaslt import COMPILER, CublasLt
from tests.capture_helpers import step_of
from tinygrad_bn import nn, optim, random
from tinygrad_bn.training import capture

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler for the pretend library")


@pytest.fixture(autouse=True)
def library(cupy, monkeypatch):
    library = CublasLt(cupy)
    monkeypatch.setattr(cublaslt, "load_library", lambda: library)
    return library


def network(momentum=0.9):
    """A small network with all that keeps state, and its optimizer."""
    random.manual_seed(3)
    with tg.use_backend("numpy"):
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm(8), nn.ReLU(), nn.Linear(8, 3))
    model.to("cupy")
    return model, optim.SGD(model.parameters(), lr=0.1, momentum=momentum)


batches = partial(helpers.batches, backend="cupy")


def refused(function, *state, inputs=None):
    return helpers.refused(
        function, *state, inputs=inputs or [tg.Tensor([1.0, 2.0], backend="cupy")]
    )


def run(captured):
    model, optimizer = network()
    step = step_of(model, optimizer)
    if captured:
        step = capture(step, model, optimizer)
    losses = [float(step(x, y)) for x, y in batches()]
    state = {name: t.numpy() for name, t in model.state_dict().items()}
    return losses, state, optimizer.state[0]["momentum_buffer"].get()


def test_a_captured_step_trains_like_the_plain_one():
    losses, state, buffer = run(False)
    captured_losses, captured_state, captured_buffer = run(True)
    assert np.allclose(captured_losses, losses, rtol=1e-5)
    assert len(set(losses)) == len(losses)
    assert captured_state.keys() == state.keys()
    for name, values in state.items():
        assert np.allclose(captured_state[name], values, rtol=1e-4, atol=1e-6), name
    assert np.allclose(captured_buffer, buffer, rtol=1e-4, atol=1e-6)
    assert captured_state["1.num_batches_tracked"] == 6


def test_products_are_planned_before(cupy, library):
    """The pretend library refuses to plan, and CuPy to call cuBLAS, while a stream captures."""
    model, optimizer = network()
    step = capture(step_of(model, optimizer), model, optimizer)
    data = list(batches(4))
    step(*data[0])
    planned = library.planned
    assert planned > 0
    for x, y in data[1:]:
        step(x, y)
    assert library.planned == planned


def test_batches_that_are_views(cupy):
    """What is recorded reads copies, which lie otherwise: so does what is rehearsed."""
    table = tg.Tensor(np.arange(80, dtype="float32").reshape(8, 10) / 80, backend="cupy")
    layer = nn.Linear(7, 2).to("cupy")
    step = capture(layer, layer)
    for _ in range(3):
        found = step(table[:, 1:8])
    expected = layer(table[:, 1:8]).detach().numpy()
    assert np.allclose(found.numpy(), expected, rtol=1e-6)


def test_no_call_of_the_library_but_the_launch(cupy):
    model, optimizer = network()
    step = capture(step_of(model, optimizer), model, optimizer)
    data = list(batches(4))
    step(*data[0])
    step(*data[1])
    cupy.calls.clear()
    step(*data[2])
    assert cupy.calls == []


def test_outputs_are_the_same_arrays_each_time():
    step = capture(lambda x: (x * 2.0, {"sum": x.sum()}))
    x = tg.Tensor([1.0, 2.0], backend="cupy")
    step(x)
    first, named = step(x + 1.0)
    assert (first.tolist(), named["sum"].tolist()) == ([4.0, 6.0], 5.0)
    again, _ = step(x)
    assert again is first
    assert first.tolist() == [2.0, 4.0]


def test_the_graph_has_memory_of_its_own(cupy):
    step = capture(lambda x: x * 2.0 + 1.0)
    x = tg.Tensor(np.ones(1000, dtype="float32"), backend="cupy")
    step(x)
    out = step(x)
    assert step._recorder._pool.used_bytes() >= out.array.nbytes


def interrupted(captured):
    """The state after steps with an ordinary one and loading in between."""
    model, optimizer = network()
    helpers.steps(model, optimizer, captured, backend="cupy")
    return {name: t.numpy() for name, t in model.state_dict().items()}


def test_ordinary_steps_and_loading_in_between():
    """New arrays of the state are brought to where the recording reads them."""
    expected, state = interrupted(False), interrupted(True)
    for name, values in expected.items():
        assert np.allclose(state[name], values, rtol=1e-4, atol=1e-6), name


# --------------------------------------------------------------------------- what is not possible


def test_reading_a_value():
    text = refused(lambda x: x * float(x.sum()))
    assert "capture: the step cannot be recorded: " in text
    assert "reading a value on the host: not possible while a step is being captured on " in text


def test_random_numbers():
    text = refused(lambda x: x * random.uniform(x.shape, device="cupy"))
    assert "random numbers: not possible while a step is being captured" in text


def test_new_data():
    assert "copying data to the device: not possible" in refused(lambda x: x + np.ones(2))


def test_linear_algebra():
    x = tg.Tensor(np.eye(2), backend="cupy")
    assert "inv: not possible" in refused(tg.linalg.inv, inputs=(x,))


def test_adam():
    model, _ = network()
    optimizer = optim.Adam(model.parameters())
    text = refused(step_of(model, optimizer), model, optimizer, inputs=next(batches()))
    assert "the optimizer counts its steps on the host, as Adam does" in text


def test_gradients_left_behind():
    model, optimizer = network()

    def step(x, y):
        optimizer.zero_grad()
        tg.cross_entropy(model(x), y).backward()
        optimizer.step()

    text = refused(step, model, optimizer, inputs=next(batches()))
    assert "leaves gradients behind, to which the next one would add; let the function end" in text


def test_after_a_refusal_everything_is_as_before(cupy):
    model, optimizer = network()
    plain = step_of(model, optimizer)
    calls = []

    def step(x, y):
        loss = plain(x, y)
        calls.append(float(loss))
        return loss

    x, y = next(batches())
    captured = capture(step, model, optimizer)
    captured(x, y)
    before = {name: t.numpy() for name, t in model.state_dict().items()}
    with pytest.raises(RuntimeError, match="reading a value"):
        captured(x, y)
    for name, t in model.state_dict().items():
        assert np.array_equal(t.numpy(), before[name]), name
    assert not cupy.cuda.get_current_stream().is_capturing()
    assert (tg.Tensor([1.0], backend="cupy") * 2.0).tolist() == [2.0]


def test_an_option_that_changes():
    model, optimizer = network()
    step = capture(step_of(model, optimizer), model, optimizer)
    data = list(batches())
    step(*data[0])
    step(*data[1])
    optimizer.param_groups[0]["lr"] = 0.01
    with pytest.raises(RuntimeError, match=r"an option of an optimizer .* call reset\(\)"):
        step(*data[2])
    step.reset()
    before = model.state_dict()["0.weight"].numpy()
    for x, y in data[3:]:
        step(x, y)
    assert not np.array_equal(model.state_dict()["0.weight"].numpy(), before)


def test_other_shapes():
    step = capture(lambda x: x * 2.0)
    for _ in range(2):
        step(tg.Tensor([1.0, 2.0], backend="cupy"))
    message = (
        r"capture: the step was recorded for \[\(\(2,\), 'float32', 'cupy'\)\], got "
        r"\[\(\(3,\), 'float32', 'cupy'\)\]; call its `function`"
    )
    with pytest.raises(ValueError, match=message):
        step(tg.zeros((3,), device="cupy"))
    assert step.function(tg.ones((3,), device="cupy")).tolist() == [2.0] * 3


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: capture(abs, 3), TypeError, "capture: state must be modules and .*, got int"),
        (lambda: capture(abs)(), ValueError, "capture: the step needs at least one input"),
        (lambda: capture(abs)(3.0), TypeError, "capture: input 0 must be a tensor, got float"),
        (
            lambda: capture(abs)(tg.zeros(1, device="cupy"), tg.zeros(1, device="numpy")),
            ValueError,
            "capture: inputs are on backends 'cupy' and 'numpy'",
        ),
    ],
)
def test_wrong_arguments(call, kind, message):
    with pytest.raises(kind, match=message):
        call()
