"""Softmax cross-entropy of class numbers: the loss and the gradient of the logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..harness import Case
from ..peers import Library, with_each

NAME = "cross-entropy"
DESCRIPTION = "mean loss of class numbers, forward and backward, float32"
SELF_TIMED = False
SHAPES = ((256, 1000), (8192, 10))


def _step(library: Library, shape: tuple[int, int]) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    x = library.tensor(rng.standard_normal(shape, np.float32), True)
    y = library.tensor(rng.integers(0, shape[1], shape[0]))

    def step() -> None:
        library.cross_entropy(x, y).backward()
        x.grad = None

    return step


def cases() -> dict[str, Case]:
    """Many classes, and many examples."""
    return {
        f"{n}×{c}": Case(with_each(partial(_step, shape=(n, c))), {"torch": 2.0}) for n, c in SHAPES
    }
