"""The libraries that are compared, behind one interface, so that a workload is written once.

`EAGER` has those that record a graph step by step: tinygrad_bn on two backends, and PyTorch. What a
workload asks of them has the same names in all. Making one raises ImportError where it is not
installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Protocol

import numpy as np

OURS = "ours"
THREADS = os.cpu_count() or 1


class Library(Protocol):
    """What a workload asks of a library."""

    nn: Any
    optim: Any
    cross_entropy: Callable[[Any, Any], Any]

    def tensor(self, array: Any, learns: bool = False) -> Any:
        """A tensor with the contents of a NumPy array; if it `learns`, it gathers a gradient."""

    def image(self, array: Any, learns: bool = False) -> Any:
        """A tensor of an (N, H, W, C) array in the library's own way with channels last."""

    def norm(self, channels: int, ndim: int, *, last: bool = False, relu: bool = False) -> Any:
        """A batch norm layer in training, then a ReLU if asked: `layer(x, residual)`, where the
        residual is None or added before the ReLU; `layer.parameters()`."""


class _Ours:
    """tinygrad_bn on one backend."""

    def __init__(self, backend: str) -> None:
        import tinygrad_bn as tg
        from tinygrad_bn import nn, optim

        self._tg, self._backend = tg, tg.backend.get_backend(backend)
        tg.set_default_backend(self._backend)
        self.nn, self.optim, self.cross_entropy = nn, optim, tg.cross_entropy

    def tensor(self, array: Any, learns: bool = False) -> Any:
        return self._tg.Tensor(array, requires_grad=learns, backend=self._backend)

    image = tensor

    def norm(self, channels: int, ndim: int, *, last: bool = False, relu: bool = False) -> Any:
        axis = ndim - 1 if last else 1
        return _OurNorm(self.nn.BatchNorm(channels, axis=axis, activation="relu" if relu else None))


class _OurNorm:
    def __init__(self, layer: Any) -> None:
        self.parameters = layer.parameters
        self._layer = layer

    def __call__(self, x: Any, residual: Any) -> Any:
        return self._layer(x, residual=residual)


class _Torch:
    """PyTorch, with as many threads as there are processors."""

    def __init__(self) -> None:
        import torch

        torch.set_num_threads(THREADS)
        self._torch, self.nn, self.optim = torch, torch.nn, torch.optim
        self.cross_entropy = torch.nn.functional.cross_entropy

    def tensor(self, array: Any, learns: bool = False) -> Any:
        return self._torch.tensor(array, requires_grad=learns)

    def image(self, array: Any, learns: bool = False) -> Any:
        moved = self.tensor(np.moveaxis(array, -1, 1))
        return moved.to(memory_format=self._torch.channels_last).requires_grad_(learns)

    def norm(self, channels: int, ndim: int, *, last: bool = False, relu: bool = False) -> Any:
        kind = self.nn.BatchNorm2d if ndim == 4 else self.nn.BatchNorm1d
        return _TorchNorm(kind(channels), self._torch.relu if relu else None)


class _TorchNorm:
    def __init__(self, layer: Any, activation: Any) -> None:
        self.parameters = layer.parameters
        self._layer, self._activation = layer, activation

    def __call__(self, x: Any, residual: Any) -> Any:
        y = self._layer(x)
        y = y if residual is None else y + residual
        return y if self._activation is None else self._activation(y)


EAGER: dict[str, Callable[[], Library]] = {
    OURS: partial(_Ours, "numba"),
    "ours on numpy": partial(_Ours, "numpy"),
    "torch": _Torch,
}


def with_each(prepare: Callable[[Library], Any], *names: str) -> dict[str, Callable[[], Any]]:
    """Builders of one case: the function to time, prepared with each library of `EAGER`, or with
    those named."""
    return {name: partial(_prepared, prepare, EAGER[name]) for name in names or EAGER}


def _prepared(prepare: Callable[[Library], Any], make: Callable[[], Library]) -> Any:
    return prepare(make())


def copying(array: Any) -> Callable[[], Callable[[], None]]:
    """A builder: one copy of `array` into memory that is there already, by all processors."""

    def build() -> Callable[[], None]:
        source, target = array.reshape(-1), np.empty(array.size, array.dtype)
        bounds = [array.size * i // THREADS for i in range(THREADS + 1)]
        pool = ThreadPoolExecutor(THREADS)

        def part(i: int) -> None:
            np.copyto(target[bounds[i] : bounds[i + 1]], source[bounds[i] : bounds[i + 1]])

        def copy() -> None:
            list(pool.map(part, range(THREADS)))

        return copy

    return build
