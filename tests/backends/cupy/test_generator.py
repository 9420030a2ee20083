"""Random numbers of the device: seeds, states, replays and ranges, on a pretend device."""

import json

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import random
from tinygrad_bn.backend import get_backend, rng


@pytest.fixture
def B(cupy):
    return get_backend("cupy")


def draws(name="cupy"):
    """Some of each kind."""
    return [
        random.uniform((3, 5), device=name).tolist(),
        random.normal((300,), dtype="float64", device=name).tolist(),
        random.integers(-3, 10, (4,), device=name).tolist(),
        random.permutation(9, device=name).tolist(),
        random.bernoulli(0.5, (7,), device=name).tolist(),
    ]


def test_a_seed_repeats_on_every_device(B):
    rng.manual_seed(3)
    first = draws()
    rng.manual_seed(3)
    assert draws() == first
    assert draws("cupy:1") == first
    assert draws() != first


def test_draws_are_made_on_the_device(B, cupy):
    x = random.uniform((4,), device="cupy:1")
    assert x.array.device.id == 1


def test_the_state_is_json(B):
    rng.manual_seed(3)
    draws()
    state = json.loads(json.dumps(random.get_state()))
    assert state["streams"]["cupy:0"] == {"seed": 3, "draws": 5}
    expected = draws()
    rng.manual_seed(8)
    random.set_state(state)
    assert draws() == expected


def test_a_checkpoint_replays(B):
    x = tg.Tensor(np.ones((50,), dtype="float32"), backend="cupy", requires_grad=True)
    kept = []

    def fn(x):
        mask = random.bernoulli(0.5, x.shape, dtype="float32", device="cupy")
        kept.append(mask.tolist())
        return x * mask

    tg.autograd.checkpoint(fn, x).sum().backward()
    assert kept[0] == kept[1] == x.grad.tolist()


def test_every_draw_has_a_key_of_its_own(B):
    generator = B.make_generator(5)
    keys = {generator.key() for _ in range(1000)}
    assert len(keys) == 1000
    assert all(0 <= key < 1 << 63 for key in keys)
    assert B.make_generator(6).key() not in keys


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32", "uint32", "int64", "uint64"])
def test_ranges_of_integers(B, dtype):
    limits = np.iinfo(dtype)
    for low, high in ((limits.min, limits.max + 1), (limits.max - 2, limits.max + 1), (1, 3)):
        x = random.integers(int(low), int(high), (500,), dtype=dtype, device="cupy")
        assert x.dtype.name == dtype
        values = x.numpy().astype(object)
        assert values.min() >= low
        assert values.max() < high
    with pytest.raises(ValueError, match=r"does not fit into .*: bounds must lie in \["):
        random.integers(0, int(limits.max) + 2, (2,), dtype=dtype, device="cupy")


def test_uniform_numbers_are_spread(B):
    x = random.uniform((20_000,), device="cupy").numpy()
    assert 0 <= x.min() < 0.001
    assert 0.999 < x.max() < 1
    assert abs(x.mean() - 0.5) < 0.01


def test_nothing_to_draw(B):
    assert random.uniform((0, 3), device="cupy").shape == (0, 3)
    assert random.permutation(0, device="cupy").shape == (0,)


def test_a_fixed_graph_would_repeat_its_numbers(B):
    B.place.capturing = True
    try:
        with pytest.raises(RuntimeError, match="random numbers: not possible while a step is bei"):
            random.uniform((2,), device="cupy")
    finally:
        B.place.capturing = False
