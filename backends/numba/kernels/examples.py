"""What training gives the kernels of batch norm and of the optimizers; see `compiler`.

The kernels of batch norm share the names of their arguments, and here an argument is made by its
name. `LARGE` results take a way of their own past the caches, so there is an example of those.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np

from ..compiler import Driver, Held
from . import optim, rows, rows_grad, slabs, slabs_grad, tables

Arguments = Iterator[tuple[Any, ...]]

_ROWS = ((1, 700, 24), (2, 60, 100), (1, 5000, 3))
_SLABS = ((1, 5, 6, 700), (2, 3, 4, 50), (1, 8, 16, 8192))
_PARAMETERS = ((300, 70), (300,), (10,))


def _normalization(rng: Any, dtype: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Every argument by its name, for x of `shape`."""
    channels = shape[0] * shape[2]
    x, g, residual = rng.standard_normal((3, *shape)).astype(dtype)
    mean, low, beta = rng.standard_normal((3, channels)).astype(dtype)
    rstd, gamma = rng.uniform(0.5, 2.0, (2, channels)).astype(dtype)
    arguments = {"x": x, "g": g, "residual": residual, "rstd": rstd, "gamma": gamma, "beta": beta}
    arguments |= {"mean": mean, "low": low * np.finfo(dtype).eps}
    arguments |= {name: np.zeros_like(x) for name in ("y", "h", "dx")}
    arguments |= {name: np.zeros(channels, dtype) for name in ("dgamma", "dbeta")}
    return arguments | {"stats": np.zeros((4, channels), dtype), "center": 1, "eps": 1e-5}


def _declare(driver: Driver, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Examples of a kernel of batch norm: without activation, then with relu and a residual."""
    function: Callable[..., Any] = driver.__wrapped__
    names = list(inspect.signature(function).parameters)

    @driver.examples
    def _(rng: Any, dtype: Any) -> Arguments:
        for shape in shapes:
            for act, slope, add in ((0, 0.0, 0), (1, 0.0, 1)):
                arguments = _normalization(rng, dtype, shape)
                arguments |= {"act": act, "slope": slope, "add": add}
                yield tuple([arguments[name] for name in names])


def _drivers(module: ModuleType) -> list[Driver]:
    return [driver for driver in vars(module).values() if isinstance(driver, Driver)]


for _kernel in (*_drivers(rows), *_drivers(rows_grad)):
    _declare(_kernel, _ROWS)
for _kernel in (*_drivers(slabs), *_drivers(slabs_grad)):
    _declare(_kernel, _SLABS)


def _table(rng: Any, dtype: Any, height: int) -> tuple[list[Any], list[Any]]:
    """The first arguments of a step: a table of `height` rows as `survey` leaves it, and arrays."""
    arrays = [rng.random((height, *shape)).astype(dtype) for shape in _PARAMETERS]
    parts = [array[i] for i in range(height) for array in arrays]
    n = len(arrays)
    table = np.array([part.ctypes.data for part in parts]).reshape(height, n)
    sizes = np.array([array[0].size for array in arrays])
    starts = np.concatenate([[0], np.cumsum(-(-sizes // tables.BLOCK))])
    return [table, sizes, starts], arrays


@tables.survey.examples
def _survey(rng: Any, dtype: Any) -> Arguments:
    """Addresses of array objects; the table is overwritten by those of their memory."""
    parts = [rng.random(shape).astype(dtype) for _ in range(2) for shape in _PARAMETERS]
    n = len(_PARAMETERS)
    table = np.array([id(part) for part in parts]).reshape(2, n)
    yield Held((table, np.zeros(n, int), np.zeros(n + 1, int), 1, id(parts[0].dtype)), parts)


@optim.sgd.examples
def _sgd(rng: Any, dtype: Any) -> Arguments:
    """Plain, then with momentum: its first step for one of the parameters, and Nesterov's."""
    for momentum, nesterov in ((0.0, False), (0.9, False), (0.9, True)):
        first, arrays = _table(rng, dtype, 3 if momentum else 2)
        fresh = np.array([True, False, False])
        numbers = [dtype.type(number) for number in (0.1, momentum, 1.0, 1e-4)]
        yield Held((*first, fresh, *numbers, nesterov, False), arrays)


@optim.adam.examples
def _adam(rng: Any, dtype: Any) -> Arguments:
    """Adam with and without the peaks of amsgrad."""
    for height in (4, 5):
        first, arrays = _table(rng, dtype, height)
        rates, corrections = rng.random((2, len(arrays))).astype(dtype)
        numbers = [dtype.type(number) for number in (1.0, 0.1, 0.999, 0.001, 1e-8, 0.0)]
        yield Held((*first, rates, corrections, *numbers, False), arrays)
