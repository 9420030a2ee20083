"""The random stream of the host, NumPy's Philox4x64 with ten rounds, many blocks at a time.

A block is a function of its number alone, so threads need nothing from each other, and neither do
the lanes of a vector register: products of 64 bits are put together from halves, for which there
are vector instructions.
Source: Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from tinygrad_bn.backend.generator import NUMBERS

from ..compiler import driver, kernel
from .maps import Examples

BLOCKS = 512
"""Blocks of random numbers that one thread takes at a time; the same for any number of threads."""
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
_M0 = np.uint64(0xD2E7470E), np.uint64(0xE14C6C93)
_M1 = np.uint64(0xCA5A8263), np.uint64(0x95121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_ZERO = np.uint64(0)
_FIRST, _SECOND, _DIGITS = np.uint64(8), np.uint64(40), np.uint64(0xFFFFFF)


@kernel
def product(m: Any, x: Any) -> Any:
    """The upper and the lower word of m·x, m given by its halves."""
    high, low = x >> _HALF, x & _LOW
    last = m[1] * low
    one = m[0] * low + (last >> _HALF)
    other = m[1] * high + (one & _LOW)
    return m[0] * high + (one >> _HALF) + (other >> _HALF), (other << _HALF) | (last & _LOW)


@kernel
def turn(c: Any, k: Any) -> Any:
    """A round: the next counter and key."""
    high0, low0 = product(_M0, c[0])
    high1, low1 = product(_M1, c[2])
    return (high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0), (k[0] + _W0, k[1] + _W1)


@kernel
def block_of(c: Any, k: Any) -> Any:
    """The four words of the block with this counter and this key.

    Ten rounds one after the other: a loop in the loop over blocks would keep that from vector
    registers.
    """
    c, k = turn(*turn(c, k))
    c, k = turn(*turn(c, k))
    c, k = turn(*turn(c, k))
    c, k = turn(*turn(c, k))
    c, k = turn(*turn(c, k))
    return c


@kernel
def count_on(c: Any, number: Any) -> Any:
    """The four words of a counter, `number` further on."""
    c0 = c[0] + number
    c1 = c[1] + np.uint64(c0 < number)
    c2 = c[2] + np.uint64(c1 < c[1])
    return c0, c1, c2, c[3] + np.uint64(c2 < c[2])


@kernel
def draw_stretch(c: Any, k: Any, w0: Any, w1: Any, w2: Any, w3: Any) -> None:
    """The words of blocks from c on, in which the lowest word of the counter does not overflow.

    With carries in it LLVM would not turn the loop into vector instructions.
    """
    for i in range(w0.size):
        w0[i], w1[i], w2[i], w3[i] = block_of((c[0] + np.uint64(i), c[1], c[2], c[3]), k)


@kernel
def draw(c: Any, k: Any, first: Any, words: Any) -> None:
    """The words of blocks that follow one another from number `first` after c on."""
    low = 0
    while low < words.shape[1]:
        start = count_on(c, np.uint64(first + low))
        high, left = words.shape[1], _ZERO - start[0]
        if left != _ZERO and left < np.uint64(high - low):
            high = low + np.int64(left)
        w0, w1, w2, w3 = words[0], words[1], words[2], words[3]
        draw_stretch(start, k, w0[low:high], w1[low:high], w2[low:high], w3[low:high])
        low = high


@kernel
def write(words: Any, limit: Any, keep: Any, out: Any) -> None:
    """The mask of the numbers in words: a word has two, the lower half is the first."""
    zero, i = out.dtype.type(0), 0
    for block in range(words.shape[1]):
        for j in range(4):
            word = words[j, block]
            out[i + 2 * j] = keep if (word >> _FIRST) & _DIGITS >= limit else zero
            out[i + 2 * j + 1] = keep if word >> _SECOND >= limit else zero
        i += NUMBERS


@driver
def mask(counter: Any, key: Any, limit: Any, keep: Any, out: Any) -> None:
    """out = keep where a number of the blocks after `counter` is at least limit/2²⁴, else 0."""
    blocks = out.size // NUMBERS
    least, value = np.uint64(limit), out.dtype.type(keep)
    c, k = (counter[0], counter[1], counter[2], counter[3]), (key[0], key[1])
    for part in prange((blocks + BLOCKS - 1) // BLOCKS):
        low, high = part * BLOCKS, min((part + 1) * BLOCKS, blocks)
        words = np.empty((4, high - low), np.uint64)
        draw(c, k, low + 1, words)
        write(words, least, value, out[low * NUMBERS : high * NUMBERS])


@mask.examples
def _(rng: Any, dtype: Any) -> Examples:
    counter, key = rng.integers(0, 1 << 63, 4, np.uint64), rng.integers(0, 1 << 63, 2, np.uint64)
    counter[0] = np.iinfo(np.uint64).max - np.uint64(BLOCKS + 7)
    yield counter, key, 1 << 22, 4 / 3, np.zeros(NUMBERS * (2 * BLOCKS + 3), dtype)
