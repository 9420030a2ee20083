"""Twenty multiplications and twenty additions on 8×8 tensors: what the engine itself costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..harness import Case
from ..peers import Library, with_each

NAME = "op chain"
DESCRIPTION = "20 × (h·w + b) on 8×8 float32, forward and backward"
SELF_TIMED = False
LENGTH = 20


def _chain(library: Library, learns: bool) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    x = library.tensor(rng.random((8, 8), np.float32), True)
    ws, bs = (
        [library.tensor(a, learns) for a in rng.random((LENGTH, 8, 8), np.float32)]
        for _ in range(2)
    )
    g = library.tensor(np.ones((8, 8), np.float32))
    leaves = [x, *ws, *bs] if learns else [x]

    def step() -> None:
        h = x
        for w, b in zip(ws, bs, strict=True):
            h = h * w + b
        h.backward(g)
        for leaf in leaves:
            leaf.grad = None

    return step


def cases() -> dict[str, Case]:
    """The chain with constant factors, and with 40 learning ones."""
    return {
        name: Case(with_each(partial(_chain, learns=learns)), {"torch": 2.0})
        for name, learns in (("constants", False), ("parameters", True))
    }
