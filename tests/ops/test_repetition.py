"""Repeating and padding against NumPy."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, normal


@pytest.mark.parametrize(
    ("repeats", "axis"),
    [(3, None), (2, 0), (0, 1), ([1, 0, 2], 0), (np.array([2, 1, 0, 3]), -1), ([2], 1)],
)
def test_repeat(repeats, axis, backend):
    check_op(
        lambda x: tg.repeat(x, repeats, axis=axis),
        [normal(3, 4)],
        lambda x: np.repeat(x, repeats, axis=axis),
        backends=[backend],
        zero_size=False,
    )


def test_repeat_by_a_tensor(backend):
    assert tg.repeat(tg.asarray([5, 6]), tg.asarray([2, 1])).tolist() == [5, 5, 6]
    assert tg.repeat(tg.asarray([5, 6]), tg.asarray(2)).tolist() == [5, 5, 6, 6]
    assert tg.repeat(tg.zeros((0, 2)), 3, axis=0).shape == (0, 2)


@pytest.mark.parametrize("times", [(2,), (2, 3), (1, 1), (2, 1, 3), (0, 2), 2, ()])
def test_tile(times, backend):
    check_op(
        lambda x: tg.tile(x, times),
        [normal(2, 3)],
        lambda x: np.tile(x, times),
        backends=[backend],
    )


WIDTHS = [1, (2, 1), ((1, 2), (0, 3)), ((0, 0), (2, 0)), ((1, 1),)]


@pytest.mark.parametrize("width", WIDTHS)
def test_pad_with_a_constant(width, backend):
    check_op(
        lambda x: tg.pad(x, width, constant_values=1.5),
        [normal(3, 4)],
        lambda x: np.pad(x, width, constant_values=1.5),
        backends=[backend],
    )


@pytest.mark.parametrize("width", [*WIDTHS, 7])
@pytest.mark.parametrize(
    ("mode", "name"),
    [
        ("reflect", "reflect"),
        ("symmetric", "symmetric"),
        ("edge", "edge"),
        ("replicate", "edge"),
        ("wrap", "wrap"),
        ("circular", "wrap"),
    ],
)
def test_pad(mode, name, width, backend):
    check_op(
        lambda x: tg.pad(x, width, mode),
        [normal(3, 4)],
        lambda x: np.pad(x, width, name),
        backends=[backend],
        layouts=("contiguous", "transposed"),
        zero_size=False,
    )


def test_pad_of_one_element_and_of_none(backend):
    for mode in ("reflect", "symmetric", "edge", "wrap"):
        assert tg.pad(tg.asarray([2.0]), 2, mode).tolist() == [2.0] * 5
        assert tg.pad(tg.zeros((0, 2)), ((0, 0), (1, 0)), mode).shape == (0, 3)
    assert tg.pad(tg.asarray([], dtype=tg.int32), (1, 2)).dtype == tg.int32
    assert tg.pad(tg.asarray(1.0), 3).item() == 1.0


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: tg.repeat(x, -1), ValueError, "repeat: repeats .* got -1"),
        (lambda x: tg.repeat(x, [1, -1], axis=0), ValueError, "repeat: repeats must not be neg"),
        (lambda x: tg.repeat(x, [1, 2, 3], axis=0), ValueError, r"repeat: .* 2 of them, got .*3,"),
        (lambda x: tg.repeat(x, [1.5, 2], axis=0), TypeError, "repeat: repeats .*float32"),
        (lambda x: tg.tile(x, (2, -1)), ValueError, r"tile: .* got \(2, -1\)"),
        (lambda x: tg.pad(x, 1, "mirror"), ValueError, "pad: mode must be one of .* got 'mirror'"),
        (lambda x: tg.pad(x, (1, -1)), ValueError, r"pad: pad_width must not .* got \(1, -1\)"),
        (lambda x: tg.pad(x, ((1, 2, 3),)), ValueError, "pad: pad_width must be a number, a pair"),
        (lambda x: tg.pad(x[:0], 1, "edge"), ValueError, "pad: mode 'edge' .* axis 0 of length 0"),
    ],
)
def test_errors(call, error, message, backend):
    with pytest.raises(error, match="^" + message):
        call(tg.zeros((2, 3)))
