"""One training step of the digits network: forward, loss, backward, SGD with momentum."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from ..harness import OURS, Builder

NAME = "training step"
DESCRIPTION = "784-100-100-100-10, batch norm, sigmoid, cross-entropy, SGD momentum, batch 60"
TARGET = {"torch": 1.0}
SELF_TIMED = False
WIDTHS = (784, 100, 100, 100)
BATCH = 60


def _batch() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.random((BATCH, WIDTHS[0]), np.float32), rng.integers(0, 10, BATCH)


def _layers(nn: Any, norm: Any) -> Any:
    layers: list[Any] = []
    for n, m in pairwise(WIDTHS):
        layers += [nn.Linear(n, m), norm(m), nn.Sigmoid()]
    return nn.Sequential(*layers, nn.Linear(WIDTHS[-1], 10))


def _ours() -> Callable[[], Any]:
    import tinygrad_bn as tg
    from tinygrad_bn import nn, optim

    x, y = (tg.asarray(a) for a in _batch())
    model = _layers(nn, nn.BatchNorm)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        tg.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def _torch() -> Callable[[], Any]:
    import torch

    x, y = (torch.tensor(a) for a in _batch())
    model = _layers(torch.nn, torch.nn.BatchNorm1d)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return step


def cases() -> dict[str, dict[str, Builder]]:
    """One case: the whole step."""
    return {"batch 60": {OURS: _ours, "torch": _torch}}
