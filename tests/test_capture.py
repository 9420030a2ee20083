"""Captured steps on backends that compute at once: the calls of a step, made again."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.capture_helpers import batches, refused, step_of, steps
from tinygrad_bn import nn, optim, random
from tinygrad_bn.nn import functional as F
from tinygrad_bn.training import capture

BACKENDS = ["numpy", "numba"]


@pytest.fixture(params=BACKENDS)
def name(request):
    with tg.use_backend(request.param):
        yield request.param


def network():
    random.manual_seed(3)
    model = nn.Sequential(
        nn.Linear(6, 8),
        nn.BatchNorm(8, activation="relu"),
        nn.Linear(8, 8, activation="sigmoid"),
        nn.BatchNorm(8, decay=None),
        nn.Dropout(0.25),
        nn.Linear(8, 3),
    )
    return model, optim.SGD(model.parameters(), lr=0.1, momentum=0.9)


def trained(captured):
    """Losses, state and momentum after steps."""
    model, optimizer = network()
    losses = steps(model, optimizer, captured)
    state = {key: t.numpy() for key, t in model.state_dict().items()}
    return losses, state | {"momentum": optimizer.state[0]["momentum_buffer"]}


@pytest.mark.usefixtures("name")
def test_a_captured_step_trains_like_the_plain_one_to_the_bit():
    losses, state = trained(False)
    found, after = trained(True)
    assert found == losses
    assert len(set(losses)) == len(losses)
    assert after.keys() == state.keys()
    for key, values in state.items():
        assert np.array_equal(after[key], values), key


FUNCTIONS = {
    "arithmetic": lambda x: (2.0 - x) * x / (1.0 + x * x) - x**2,
    "in place": lambda x: in_place(x),
    "comparisons": lambda x: tg.where(x > 0.0, x, -x) + tg.where(tg.abs(x) <= 1.0, 1.0, 0.0),
    "reductions": lambda x: (tg.sum(x, axis=0), tg.mean(x), tg.max(x, axis=1), tg.var(x)),
    "shapes": lambda x: tg.concat([tg.permute_dims(x, (1, 0)), tg.reshape(x, (4, 6))], axis=1),
    "indices": lambda x: (x[1:, ::2], x[..., 0], x[x > 0.0]),
    "picked": lambda x: tg.take(x, tg.argsort(x[0]), axis=1),
    "products": lambda x: x @ x.T + tg.tensordot(x, x, axes=([1], [1])),
    "activations": lambda x: (tg.tanh(x), tg.gelu(x), tg.softmax(x, axis=1), tg.softplus(x)),
    "constants": lambda x: x + tg.zeros_like(x) + tg.ones_like(x) * 2.0,
    "batch norm": lambda x: F.batch_norm(x, axis=1)[0],
    "ghost batches": lambda x: F.batch_norm(x, axis=1, ghost_size=3)[1].var,
    "layer norm": lambda x: F.layer_norm(x, 4),
    "gradient": lambda x: tg.func.grad(lambda a: tg.sum(tg.exp(a) * a))(x),
    "second order": lambda x: tg.func.hessian(lambda a: tg.sum(a**3))(x[0]),
    "losses": lambda x: (F.mse_loss(x, x * 0.5), tg.cross_entropy(x, tg.argmax(x, axis=1))),
    "structure": lambda x: {"a": x * 2.0, "b": [x + 1.0, 3, None]},
    "nothing": lambda x: x,
}


def in_place(x):
    y = x * 1.0
    y += x
    y *= 2.0
    return y


def plain_values(value):
    """The numbers of tensors in nested results."""
    if isinstance(value, tg.Tensor):
        return value.numpy().tolist()
    if isinstance(value, dict):
        return {key: plain_values(v) for key, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain_values(v) for v in value]
    return value


@pytest.mark.usefixtures("name")
@pytest.mark.parametrize("what", FUNCTIONS)
def test_functions_of_new_data(what):
    """Each launch computes from what it is given, whatever lies in memory how."""
    function = FUNCTIONS[what]
    step = capture(function)
    rng = np.random.default_rng(1)
    for i in range(5):
        x = tg.Tensor(rng.standard_normal((6, 4) if i % 2 else (4, 6)), dtype="float32")
        x = x if i % 2 else x.T
        before = x.numpy().copy()
        expected = plain_values(function(x))
        assert plain_values(step(x)) == expected
        assert np.array_equal(x.numpy(), before)


@pytest.mark.usefixtures("name")
def test_what_gives_back_its_argument_does_so_by_chance():
    """A cotangent of 1 leaves the slope of a loss as it is; the next one is another."""

    def step(x, scale):
        return tg.func.grad(lambda a: tg.sum(tg.cross_entropy(a, tg.argmax(a, axis=1)) * scale))(x)

    captured = capture(step)
    rng = np.random.default_rng(2)
    for scale in (1.0, 1.0, 3.0, 1.0, -2.0):
        x = tg.Tensor(rng.standard_normal((5, 3)), dtype="float32")
        scale = tg.Tensor(scale, dtype="float32")
        assert np.array_equal(captured(x, scale).numpy(), step(x, scale).numpy())


def test_every_backend_has_it():
    step = capture(lambda x: x * 2.0 + tg.sum(x))
    for value in (1.0, 2.0, 3.0):
        x = tg.Tensor([value, 1.0], backend="strict")
        assert step(x).tolist() == [3 * value + 1, value + 3]


@pytest.mark.usefixtures("name")
def test_outputs_are_the_same_tensors_each_time():
    step = capture(lambda x: (x * 2.0, {"sum": tg.sum(x)}))
    x = tg.Tensor([1.0, 2.0])
    step(x)
    first, named = step(x + 1.0)
    assert (first.tolist(), named["sum"].tolist()) == ([4.0, 6.0], 5.0)
    again, _ = step(x)
    assert again is first
    assert first.tolist() == [2.0, 4.0]
    assert (first + x).backend == x.backend  # it is on the backend itself


# --------------------------------------------------------------------------- what is not possible


CAPTURED = "not possible while a step is being captured; do it outside the captured function"
OTHER = tg.Tensor([1.0, 1.0], backend="numpy")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x * float(tg.sum(x)), f"reading a value on the host: {CAPTURED}"),
        (lambda x: x if tg.sum(x) > 0.0 else -x, f"reading a value on the host: {CAPTURED}"),
        (lambda x: x.numpy(), f"reading a value on the host: {CAPTURED}"),
        (lambda x: x + np.ones(2, np.float32), f"making an array of new data: {CAPTURED}"),
        (lambda x: x * OTHER, "it uses a tensor that is neither an input nor of the state"),
        (
            lambda x: x * random.uniform((2,), device="numpy"),
            "it uses a tensor that is neither an input nor of the state",
        ),
        (lambda x: tg.Tensor(np.exp(x.array)), "ufunc"),
    ],
)
def test_refusals(function, message):
    with tg.use_backend("numpy"):
        text = refused(function, inputs=[tg.Tensor([1.0, 2.0])])
    assert text.startswith("capture: the step cannot be recorded: ")
    assert message in text


@pytest.mark.usefixtures("name")
def test_after_a_refusal_everything_is_as_before():
    model, optimizer = network()
    plain = step_of(model, optimizer)

    def step(x, y):
        return float(plain(x, y))

    x, y = next(batches())
    captured = capture(step, model, optimizer)
    captured(x, y)
    before = {key: t.numpy().copy() for key, t in model.state_dict().items()}
    streams = random.get_state()
    with pytest.raises(RuntimeError, match="reading a value"):
        captured(x, y)
    for key, t in model.state_dict().items():
        assert np.array_equal(t.numpy(), before[key]), key
    assert random.get_state() == streams
    plain(x, y)  # the model is on its own backend again
    assert not np.array_equal(model.state_dict()["0.weight"].numpy(), before["0.weight"])
