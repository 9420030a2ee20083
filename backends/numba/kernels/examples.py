"""What training gives the kernels of batch norm; see `compiler`.

The kernels of batch norm share the names of their arguments, and here an argument is made by its
name. `LARGE` results take a way of their own past the caches, so there is an example of those.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..compiler import Driver
from . import (
    rows,
    rows_grad,
    sample,
    sample_grad,
    sample_second,
    second,
    slabs,
    slabs_grad,
    weighted_rows,
    weighted_rows_grad,
    weighted_second,
    weighted_second_rows,
    weighted_slabs,
    weighted_slabs_grad,
)

Arguments = Iterator[tuple[Any, ...]]

_ROWS = ((1, 1100, 64), (2, 60, 100), (1, 5000, 3), (1, 6200, 256))
_SLABS = (
    (1, 5, 6, 700),
    (2, 3, 4, 50),
    (1, 70, 32, 49),
    (1, 71, 3, 5),
    (1, 8, 16, 8192),
    (1, 64, 64, 260),
    (1, 5, 6, 35001),
)


def _normalization(rng: Any, dtype: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    """Every argument by its name, for x of `shape`."""
    channels = shape[0] * shape[2]
    x, g, residual = rng.standard_normal((3, *shape)).astype(dtype)
    mean, low, beta = rng.standard_normal((3, channels)).astype(dtype)
    rstd, gamma = rng.uniform(0.5, 2.0, (2, channels)).astype(dtype)
    arguments = {"x": x, "g": g, "residual": residual, "rstd": rstd, "gamma": gamma, "beta": beta}
    arguments |= {"mean": mean, "low": low * np.finfo(dtype).eps}
    arguments |= {"u": x[::-1].copy(), "v": beta.copy(), "t": mean.copy()}
    arguments |= {name: np.zeros_like(x) for name in ("y", "h", "dx", "dg")}
    arguments |= {name: np.zeros(channels, dtype) for name in ("dgamma", "dbeta")}
    arguments |= {"old_mean": beta + gamma, "old_var": gamma.copy(), "track": 1}
    arguments |= {name: np.zeros(channels, dtype) for name in ("new_mean", "new_var")}
    arguments |= {"factor": 1.2, "rate": 0.1}
    arguments |= {name: np.zeros((), np.int64) for name in ("tracked", "counted")}
    return arguments | {"stats": np.zeros((4, channels), dtype), "center": 1, "eps": 1e-5}


def _declare(driver: Driver, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Examples of a kernel of batch norm: without activation, then with relu and a residual, for
    data whose first rows are far from the others."""
    function: Callable[..., Any] = driver.__wrapped__
    names = [name for name in inspect.signature(function).parameters if name != "workers"]

    @driver.examples
    def _(rng: Any, dtype: Any) -> Arguments:
        for shape in shapes:
            for act, slope, add in ((0, 0.0, 0), (1, 0.0, 1)):
                arguments = _normalization(rng, dtype, shape)
                arguments |= {"act": act, "slope": slope, "add": add}
                arguments["x"][:, : shape[1] // 8 + 1] += 50 * add
                yield tuple([arguments[name] for name in names])


for _kernel in (rows.statistics, rows.write, rows.forward, rows_grad.backward):
    _declare(_kernel, _ROWS)
for _kernel in (slabs.statistics, slabs.write, slabs.forward, slabs_grad.backward, second.second):
    _declare(_kernel, _SLABS)


def _declare_weighted(driver: Driver, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Examples of weighted batch norm: a mask for all channels, then weights of each number's own,
    with relu and a residual."""
    names = list(inspect.signature(driver.__wrapped__).parameters)

    @driver.examples
    def _(rng: Any, dtype: Any) -> Arguments:
        for shape in shapes:
            for act, width in ((0, 1), (1, shape[2])):
                arguments = _normalization(rng, dtype, shape)
                weights = rng.uniform(-0.5, 1.0, (*shape[:2], width, *shape[3:]))
                arguments |= {"w": np.maximum(weights, 0.0).astype(dtype), "masked": 1 - act}
                arguments |= {"act": act, "slope": 0.0, "add": act}
                arguments |= {"n": rng.uniform(100.0, 200.0, shape[0] * shape[2])}
                yield tuple([arguments[name] for name in names])


for _kernel in (weighted_rows.statistics, weighted_rows.write):
    _declare_weighted(_kernel, _ROWS)
for _kernel in (
    weighted_rows_grad.gate,
    weighted_rows_grad.backward,
    weighted_second_rows.second,
):
    _declare_weighted(_kernel, _ROWS)
for _kernel in (weighted_slabs.statistics, weighted_slabs.forward, weighted_second.second):
    _declare_weighted(_kernel, _SLABS[:2])
for _kernel in (weighted_slabs_grad.gate, weighted_slabs_grad.backward):
    _declare_weighted(_kernel, _SLABS[:2])


def _declare_sample(driver: Driver, shapes: tuple[tuple[int, ...], ...]) -> None:
    """Examples of layer and group norm, from shapes (M, Q, D, S): see `sample` of the backend."""
    names = list(inspect.signature(driver.__wrapped__).parameters)

    @driver.examples
    def _(rng: Any, dtype: Any) -> Arguments:
        for samples, groups, wide, run in shapes:
            arguments = _normalization(rng, dtype, (samples, 1, groups, wide * run))
            parameters = rng.standard_normal((6, groups, wide)).astype(dtype)
            names_of = ("gamma", "beta", "v", "t", "dgamma", "dbeta")
            arguments |= {n: p.copy() for n, p in zip(names_of, parameters, strict=True)}
            for name in ("x", "g", "u", "y", "dx", "dg"):
                arguments[name] = arguments[name].reshape(samples, groups, wide * run)
            yield tuple([arguments[name] for name in names])


for _kernel in (sample.forward, sample.statistics, sample_grad.backward):
    _declare_sample(_kernel, ((300, 1, 1100, 1), (40, 3, 5, 60)))
_declare_sample(sample_second.second, ((300, 1, 1100, 1), (40, 3, 50, 1)))
