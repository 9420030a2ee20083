"""Twenty multiplications and twenty additions on 8×8 tensors: what the engine itself costs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from ..harness import OURS, Builder

NAME = "op chain"
DESCRIPTION = "20 × (h·w + b) on 8×8 float32, forward and backward"
TARGET = {"torch": 2.0}
SELF_TIMED = False
LENGTH = 20


def _data() -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    shape = (LENGTH, 8, 8)
    return (
        rng.random((8, 8), np.float32),
        rng.random(shape, np.float32),
        rng.random(shape, np.float32),
    )


def _run(x: Any, ws: list[Any], bs: list[Any], g: Any) -> Callable[[], None]:
    leaves = [x, *ws, *bs]

    def step() -> None:
        h = x
        for w, b in zip(ws, bs, strict=True):
            h = h * w + b
        h.backward(g)
        for leaf in leaves:
            if leaf.requires_grad:
                leaf.grad = None

    return step


def _prepare(make: Callable[[Any, bool], Any], learn: bool) -> Callable[[], None]:
    x, ws, bs = _data()
    cotangent = make(np.ones((8, 8), np.float32), False)
    return _run(
        make(x, True), [make(w, learn) for w in ws], [make(b, learn) for b in bs], cotangent
    )


def _ours(learn: bool) -> Callable[[], None]:
    from tinygrad_bn import Tensor

    return _prepare(lambda a, leaf: Tensor(a, requires_grad=leaf), learn)


def _torch(learn: bool) -> Callable[[], None]:
    import torch

    return _prepare(lambda a, leaf: torch.tensor(a, requires_grad=leaf), learn)


def cases() -> dict[str, dict[str, Builder]]:
    """The chain with constant factors, and with 40 learning ones."""
    return {
        name: {OURS: partial(_ours, learn), "torch": partial(_torch, learn)}
        for name, learn in (("constants", False), ("parameters", True))
    }
