"""A step of an optimizer alone: 10⁶ parameters in 50 tensors, with gradients that are there."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..harness import Case
from ..peers import Library, with_each

NAME = "optimizer step"
DESCRIPTION = "10⁶ parameters in 50 tensors, float32"
SELF_TIMED = False
TENSORS, SIZE = 50, 20_000


def _step(library: Library, name: str, options: dict[str, Any]) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    params = [library.tensor(rng.standard_normal(SIZE, np.float32), True) for _ in range(TENSORS)]
    for p in params:
        p.grad = library.tensor(rng.standard_normal(SIZE, np.float32))
    return getattr(library.optim, name)(params, **options).step


def cases() -> dict[str, Case]:
    """Adam, and SGD with momentum."""
    adam = with_each(partial(_step, name="Adam", options={}))
    sgd = with_each(partial(_step, name="SGD", options={"lr": 0.01, "momentum": 0.9}))
    return {"Adam": Case(adam, {"torch": 2.0}), "SGD with momentum": Case(sgd)}
