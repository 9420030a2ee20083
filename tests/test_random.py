"""Random tensors: the same from the same seed, on every backend, and after a restored state."""

import json
import threading

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import random
from tinygrad_bn.backend import get_backend, rng

DRAWS = {
    "uniform": lambda **o: random.uniform((3, 5), -1.0, 2.0, **o),
    "uniform64": lambda **o: random.uniform((3, 5), dtype="float64", **o),
    "normal": lambda **o: random.normal((3, 5), 1.0, 0.5, **o),
    "normal64": lambda **o: random.normal((3, 5), dtype="float64", **o),
    "integers": lambda **o: random.integers(-3, 10, (3, 5), **o),
    "permutation": lambda **o: random.permutation(15, **o),
    "bernoulli": lambda **o: random.bernoulli(0.3, (3, 5), **o),
    "scalar": lambda **o: random.normal(**o),
}


@pytest.fixture(params=DRAWS)
def draw(request):
    return DRAWS[request.param]


def test_a_seed_repeats(backend, draw):
    random.manual_seed(7)
    first, second = draw().tolist(), draw().tolist()
    random.manual_seed(7)
    assert draw().tolist() == first
    assert draw().tolist() == second
    assert first != second or len(np.ravel(first)) == 1
    assert random.initial_seed() == 7


def test_seeds_differ():
    random.manual_seed(1)
    first = random.normal(8).tolist()
    random.manual_seed(2)
    assert random.normal(8).tolist() != first


def test_all_host_backends_get_the_same_numbers(draw):
    random.manual_seed(3)
    expected = draw(device="numpy")
    random.manual_seed(3)
    got = draw(device="strict")
    assert got.backend == "strict"
    assert got.dtype == expected.dtype
    assert got.tolist() == expected.tolist()


def test_state_restores_exactly(backend, draw):
    random.manual_seed(5)
    random.integers(0, 10, 3, dtype="int32")  # leaves half a word in the generator
    state = random.get_state()
    expected = [draw().tolist() for _ in range(3)]
    stored = json.loads(json.dumps(state))
    random.manual_seed(99)
    draw()
    random.set_state(stored)
    assert random.get_state() == state
    assert [draw().tolist() for _ in range(3)] == expected
    assert random.initial_seed() == 5


def test_state_is_a_snapshot():
    random.manual_seed(5)
    random.normal(3)
    state = random.get_state()
    copy = json.dumps(state)
    random.normal(1000)
    assert json.dumps(state) == copy


def test_state_restores_streams_that_nobody_has_drawn_from():
    random.manual_seed(5)
    random.normal(3)
    state = random.get_state()
    expected = random.normal(3).tolist()
    local = random.Generator(0)
    local.set_state(state)
    assert local.get_state() == state
    assert random.normal(3, generator=local).tolist() == expected


def test_state_without_streams_starts_from_its_seed():
    random.manual_seed(11)
    state = random.get_state()
    expected = random.normal(3).tolist()
    random.manual_seed(12)
    random.normal(3)
    random.set_state(state)
    assert random.normal(3).tolist() == expected


@pytest.mark.parametrize("state", [None, {}, {"seed": 1}, [1, 2]])
def test_state_of_another_form_is_refused(state):
    with pytest.raises(ValueError, match="set_state: needs what get_state returned, got"):
        random.set_state(state)


def test_local_generators_are_independent(backend, draw):
    random.manual_seed(1)
    expected = draw().tolist()
    random.manual_seed(1)
    local = random.Generator(42)
    first = draw(generator=local).tolist()
    assert draw().tolist() == expected
    local.manual_seed(42)
    assert draw(generator=local).tolist() == first
    assert local.initial_seed() == 42


def test_a_generator_without_a_seed_draws_one():
    assert random.Generator().initial_seed() != random.Generator().initial_seed()


@pytest.mark.parametrize("seed", [-1, 1.0, True, "a", np.int64(3)])
def test_seeds_that_are_refused(seed):
    with pytest.raises(ValueError, match="manual_seed: seed must be a non-negative integer, got"):
        random.manual_seed(seed)


# ------------------------------------------------------------------------------ distributions


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_uniform(dtype):
    x = random.uniform(20_000, dtype=dtype)
    values = x.numpy().astype("float64")
    assert x.dtype == dtype
    assert values.min() >= 0
    assert values.max() < 1
    assert values.mean() == pytest.approx(0.5, abs=0.01)
    assert values.var() == pytest.approx(1 / 12, abs=0.002)


def test_uniform_between_bounds():
    values = random.uniform(20_000, -3.0, 5.0).numpy()
    assert values.dtype == np.float32
    assert values.min() >= -3
    assert values.max() <= 5
    assert values.mean() == pytest.approx(1.0, abs=0.08)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_normal(dtype):
    x = random.normal(20_000, 3.0, 0.5, dtype=dtype)
    values = x.numpy().astype("float64")
    assert x.dtype == dtype
    assert values.mean() == pytest.approx(3.0, abs=0.02)
    assert values.std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("dtype", ["int8", "int32", "int64", "uint8", "uint64"])
def test_integers(dtype):
    x = random.integers(2, 7, 5000, dtype=dtype)
    assert x.dtype == dtype
    assert set(x.tolist()) == {2, 3, 4, 5, 6}
    assert set(random.integers(3, shape=200).tolist()) == {0, 1, 2}


def test_permutation():
    assert sorted(random.permutation(100).tolist()) == list(range(100))
    assert random.permutation(0).shape == (0,)
    assert random.permutation(5).dtype == tg.int64


def test_bernoulli(backend):
    x = random.bernoulli(0.3, 20_000)
    assert x.dtype == tg.bool
    assert np.mean(x.tolist()) == pytest.approx(0.3, abs=0.02)
    assert not any(random.bernoulli(0, 100).tolist())
    assert all(random.bernoulli(1, 100).tolist())
    assert set(random.bernoulli(0.5, 100, dtype="float32").tolist()) == {0.0, 1.0}


@pytest.mark.parametrize("shape", [(), 3, (0, 2), [2, 3]])
def test_shapes(backend, shape):
    expected = (shape,) if isinstance(shape, int) else tuple(shape)
    for x in (
        random.uniform(shape),
        random.uniform(shape, 1.0, 2.0),
        random.normal(shape, 1.0, 2.0),
        random.integers(0, 4, shape),
        random.bernoulli(0.5, shape),
    ):
        assert x.shape == expected
        assert x.backend == backend
        assert not x.requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: random.uniform(3, 2.0, 1.0), ValueError, r"uniform: .* got low=2\.0, high=1\.0"),
        (lambda: random.uniform(3, 0, float("inf")), ValueError, "uniform: needs finite low <= h"),
        (lambda: random.uniform(-3), ValueError, "uniform: shape must be of non-negative .*-3"),
        (lambda: random.uniform((2, 1.5)), ValueError, r"uniform: shape .* got \(2, 1\.5\)"),
        (lambda: random.uniform(3, dtype="int64"), TypeError, "uniform: dtype must be real .*int"),
        (lambda: random.normal(3, 0, -1.0), ValueError, r"normal: std must be >= 0, got -1\.0"),
        (lambda: random.integers(3, 3), ValueError, "needs low < high, got low=3, high=3"),
        (lambda: random.integers(0, 300, 2, dtype="int8"), ValueError, r"\[0, 300\) does not fit"),
        (lambda: random.integers(0, 3, 2, dtype="float32"), TypeError, "must be of integers, got"),
        (lambda: random.normal(3.5), ValueError, r"normal: shape must be of .* got 3\.5"),
        (lambda: random.normal(3, "a"), TypeError, "normal: mean must be a number, got str"),
        (lambda: random.normal(3, generator=5), TypeError, "normal: generator must be .* got int"),
        (lambda: random.uniform(3, "a"), TypeError, "uniform: low must be a number, got str"),
        (lambda: random.bernoulli("a"), TypeError, "bernoulli: p must be a number, got str"),
        (lambda: random.integers(0.5, 3), TypeError, r"low must be an integer, got 0\.5"),
        (lambda: random.permutation(-1), ValueError, "permutation: n must be a non-negative .* -1"),
        (lambda: random.bernoulli(1.5, 3), ValueError, r"bernoulli: p must be in .* got 1\.5"),
        (lambda: random.bernoulli(float("nan"), 3), ValueError, "p must be in .* got nan"),
    ],
)  # fmt: skip
def test_arguments_that_are_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()


# -------------------------------------------------------------------------- replay and threads


def noisy(x):
    """A function with random numbers in it."""
    return (
        x * random.normal(x.shape, device=x.backend)
        + random.bernoulli(0.5, x.shape, dtype="float32")
    ).exp()


def test_checkpoint_repeats_its_numbers(backend):
    gradients = []
    for run in (noisy, lambda x: tg.checkpoint(noisy, x)):
        random.manual_seed(4)
        x = tg.ones((50,))
        x.requires_grad = True
        run(x).sum().backward()
        gradients.append((x.grad.tolist(), random.normal(3).tolist()))
    assert gradients[0] == gradients[1]


def test_a_replay_leaves_the_streams_alone():
    random.manual_seed(4)
    state = random.get_state()
    first = random.normal(5).tolist()
    with rng.replaying(state):
        assert random.normal(5).tolist() == first
        with rng.replaying(state):
            assert random.normal(5).tolist() == first
        random.manual_seed(0)
        elsewhere = []
        thread = threading.Thread(target=lambda: elsewhere.append(random.normal(5).tolist()))
        thread.start()
        thread.join()
    after = random.normal(5).tolist()
    random.manual_seed(4)
    assert [random.normal(5).tolist() for _ in range(3)] == [first, *elsewhere, after]


def test_a_replay_ends_with_an_error():
    random.manual_seed(4)
    with pytest.raises(KeyError), rng.replaying(random.get_state()):  # noqa: PT012
        random.normal(5)
        raise KeyError
    after = random.normal(5).tolist()
    random.manual_seed(4)
    assert random.normal(5).tolist() == after


def test_threads_share_the_numbers_out():
    """Together they draw what one thread would have drawn, nothing twice."""
    random.manual_seed(6)
    expected = sorted(random.integers(0, 2**60, 100).tolist()[0] for _ in range(200))
    random.manual_seed(6)
    drawn, start = [], threading.Barrier(4)

    def work():
        start.wait()
        for _ in range(50):
            drawn.append(random.integers(0, 2**60, 100).tolist()[0])

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(drawn) == expected


def test_the_low_level_stream():
    random.manual_seed(8)
    expected = random.normal(4).tolist()
    random.manual_seed(8)
    assert rng.stream(get_backend("numpy")).normal((4,), np.dtype("float32")).tolist() == expected


def test_numpy_integers_are_lengths():
    n = np.int64(3)
    assert random.normal((n, 2)).shape == (3, 2)
    assert random.uniform(n).shape == (3,)
    assert sorted(random.permutation(n).tolist()) == [0, 1, 2]
