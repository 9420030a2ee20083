"""The step of the 784-100-100-100-10 network: as it is called, captured, and PyTorch's."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import get_backend
from tinygrad_bn.training import capture

from .timing import Figure, find_torch

BATCH = 60
WIDTHS = (784, 100, 100, 100, 10)
STEPS = 200
ROUNDS = 7
TWICE = 2.0


def figures() -> Iterator[Figure]:
    """Steps in microseconds, and how many times as fast as PyTorch's eager one."""
    wait = get_backend("cupy").synchronize
    eager, captured = wall(step(False), wait), wall(step(True), wait)
    yield Figure("training step, captured", captured * 1e6, "µs")
    yield Figure("training step, as called", eager * 1e6, "µs")
    yield Figure("captured against called", eager / captured, "times")
    torch, why = find_torch()
    ratio = None
    if torch is not None:
        theirs = wall(torch_step(torch), torch.cuda.synchronize)
        ratio, why = theirs / captured, f"PyTorch {torch.__version__} eager {theirs * 1e6:.0f} µs"
    yield Figure("training step, captured, against PyTorch", ratio, "times", TWICE, why)


def wall(call: Callable[[], Any], wait: Callable[[], Any]) -> float:
    """The median over rounds of the wall-clock time of a step, the device waited for."""
    rounds = []
    for _ in range(ROUNDS):
        call()
        wait()
        start = time.perf_counter()
        for _ in range(STEPS):
            call()
        wait()
        rounds.append((time.perf_counter() - start) / STEPS)
    return statistics.median(rounds[1:])


def _data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((BATCH, WIDTHS[0])).astype("float32")
    return x, rng.integers(0, WIDTHS[-1], BATCH)


def step(captured: bool) -> Callable[[], Any]:
    """Our step on one batch that lies on the device."""
    with tg.use_backend("cupy"):
        layers: list[Any] = []
        for i, (n, m) in enumerate(pairwise(WIDTHS)):
            layers.append(nn.Linear(n, m))
            layers += [] if i == len(WIDTHS) - 2 else [nn.BatchNorm(m), nn.ReLU()]
        model = nn.Sequential(*layers)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = [tg.Tensor(a, backend="cupy") for a in _data()]

    def train(x: Any, y: Any) -> Any:
        loss = tg.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    run = capture(train, model, optimizer) if captured else train
    return lambda: run(x, y)


def torch_step(torch: Any) -> Callable[[], Any]:
    """PyTorch's eager step of the same network."""
    layers: list[Any] = []
    for i, (n, m) in enumerate(pairwise(WIDTHS)):
        layers.append(torch.nn.Linear(n, m))
        layers += [] if i == len(WIDTHS) - 2 else [torch.nn.BatchNorm1d(m), torch.nn.ReLU()]
    model = torch.nn.Sequential(*layers).cuda()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = [torch.from_numpy(a).cuda() for a in _data()]

    def train() -> None:
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return train
