"""Dropout's mask in a kernel: the reference's, for the same seed, whatever was drawn before."""

import numpy as np
import pytest
from tinygrad_bn.backends.numba import dropout

import tinygrad_bn as tg
from tests.backends.numba.compared import REFERENCE
from tinygrad_bn.backend import get_backend
from tinygrad_bn.backend.generator import HostGenerator
from tinygrad_bn.nn import functional as F

SIZES = [0, 1, dropout.LEAST - 1, *range(dropout.LEAST, dropout.LEAST + 9), 20_011]


def both(shape, p, dtype, prepare=lambda generator: None):
    """The masks of the kernel and of the reference, whose streams must go on alike."""
    masks, states = [], []
    for backend in (get_backend("numba"), REFERENCE):
        generator = HostGenerator(5)
        prepare(generator)
        masks.append(backend.dropout_mask(generator, shape, p, np.dtype(dtype)))
        states.append(generator.get_state())
        masks.append(generator.uniform((3,), np.float32))
    assert states[0] == states[1]
    assert np.array_equal(masks[1], masks[3])
    return masks[0], masks[2]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("size", SIZES)
def test_the_mask_is_the_references(size, dtype):
    found, expected = both((size,), 0.3, dtype)
    assert found.dtype == dtype
    assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize("singles", range(10))
@pytest.mark.parametrize("doubles", range(5))
def test_whatever_was_drawn_before(singles, doubles):
    def prepare(generator):
        generator.uniform((singles,), np.float32)
        generator.uniform((doubles,), np.float64)

    found, expected = both((9000 + singles,), 0.5, "float32", prepare)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("p", [1e-9, 0.1, 0.5, 1 - 2**-24, 1 - 1e-9])
def test_probabilities(p):
    found, expected = both((100, 200), p, "float32")
    assert found.shape == (100, 200)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("words", [1, 2, 3, 4])
@pytest.mark.parametrize("left", [0, 1, 700])
def test_the_counter_overflows(words, left):
    """Of 256 bits in four words, which NumPy counts on as one number."""

    def prepare(generator):
        state = generator.get_state()
        state["state"]["counter"][:words] = [2**64 - 1 - left] + [2**64 - 1] * (words - 1)
        generator.set_state(state)

    found, expected = both((20_011,), 0.5, "float32", prepare)
    assert np.array_equal(found, expected)


def test_a_seed_gives_one_mask_on_every_backend_of_the_host():
    outputs = []
    for name in ("numpy", "numba"):
        tg.random.manual_seed(3)
        with tg.use_backend(name):
            x = tg.ones((300, 100))
            outputs += [F.dropout(x, 0.25).numpy(), F.dropout(x, 0.25).numpy()]
    assert np.array_equal(outputs[0], outputs[2])
    assert np.array_equal(outputs[1], outputs[3])
    assert not np.array_equal(outputs[0], outputs[1])


def test_a_share_of_p_is_left_out():
    mask, _ = both((400_000,), 0.3, "float32")
    assert abs((mask == 0).mean() - 0.3) < 5 * np.sqrt(0.21 / mask.size)
