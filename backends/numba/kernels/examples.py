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
from . import rows, rows_grad, second, slabs, slabs_grad

Arguments = Iterator[tuple[Any, ...]]

_ROWS = ((1, 1100, 64), (2, 60, 100), (1, 5000, 3))
_SLABS = ((1, 5, 6, 700), (2, 3, 4, 50), (1, 8, 16, 8192))


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


for _kernel in (rows.statistics, rows.write, rows.forward, rows_grad.backward):
    _declare(_kernel, _ROWS)
for _kernel in (slabs.statistics, slabs.write, slabs.forward, slabs_grad.backward, second.second):
    _declare(_kernel, _SLABS)
