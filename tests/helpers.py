"""What the tests share: data, and one line that checks an operation.

Every operation has one such line, in the test file of its family:

    check_op(tg.exp, [normal(3, 4)], np.exp, backends=[backend])

`backend` is the fixture of conftest.py (NumPy, then the strict backend); `np.exp` is the float64
reference. Keyword arguments of the operation go to both, so the reference takes the same ones:

    check_op(tg.sum, [normal(3, 4)], np.sum, backends=[backend], axis=0, keepdims=True)

What makes no sense for an operation is switched off in that line: `orders=()` where there is no
derivative, `wrt=[0]` where only some inputs have one, `zero_size=False` or the empty shapes to try,
`layouts=("contiguous", "transposed", "reversed")` where repeated rows are no valid input,
`float32=False`. See `tinygrad_bn.testing.check_op` for all of them.

Inputs stay away from kinks and from the edges of domains: `distinct` has no ties and no zeros,
`positive` no small numbers.
"""

from __future__ import annotations

import numpy as np

from tinygrad_bn.testing import check_op

SEED = 20150211
"""Of all random numbers in the tests."""


def normal(*shape, seed=SEED):
    """Standard normal numbers."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape)


def uniform(low, high, *shape, seed=SEED):
    """Numbers between two bounds."""
    return np.random.default_rng([seed, *shape]).uniform(low, high, shape)


def positive(*shape, seed=SEED):
    """Numbers between 0.5 and 2.5."""
    return uniform(0.5, 2.5, *shape, seed=seed)


def distinct(*shape, seed=SEED):
    """Numbers of both signs, no two closer than 0.1 to each other, none closer than 0.1 to 0 or to
    another integer, in random order."""
    n = int(np.prod(shape))
    steps = np.arange(n) - n // 2
    values = (steps // 4) + 0.14 + 0.24 * (steps % 4)
    return np.random.default_rng([seed, *shape]).permutation(values).reshape(shape)


def integers(low, high, *shape, dtype="int64", seed=SEED):
    """Integers in [low, high)."""
    return np.random.default_rng([seed, *shape]).integers(low, high, shape).astype(dtype)


def booleans(*shape, seed=SEED):
    """True and False at random."""
    return np.random.default_rng([seed, *shape]).random(shape) < 0.5


__all__ = [
    "SEED",
    "booleans",
    "check_op",
    "distinct",
    "integers",
    "normal",
    "positive",
    "uniform",
]
