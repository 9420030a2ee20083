"""Launch every instance of every kernel, for compute-sanitizer to watch.

    compute-sanitizer --tool memcheck python -m tools.gpu.exercise

CuPy's pool is switched off, so that every array is an allocation of its own and a step outside it
is seen; shapes are small, because the tools slow a kernel down by two orders of magnitude. An
instance that was not launched is an error: it would count as watched.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
from tinygrad_bn.backends.cupy.instances import SOURCES, instances
from tinygrad_bn.backends.cupy.launch import Launch

import tinygrad_bn as tg
from tinygrad_bn import optim
from tinygrad_bn.backend import get_backend
from tinygrad_bn.nn import functional as F
from tinygrad_bn.testing import check_backend

NAME = "cupy"
DTYPES = ("float16", "float32", "float64")
SMALL = (((33, 5), 1), ((33, 16), 1), ((3, 4, 2, 16), 3), ((5, 3, 7, 9), 1), ((3, 3, 4, 8), 1))
"""Shapes and their axis of channels: one block for a tile; odd lengths and whole vectors."""
LARGE = (
    *(((700, 5), 1), ((700, 16), 1), ((3000, 16), 1)),
    *(((16, 3, 33, 33), 1), ((16, 3, 32, 32), 1), ((32, 3, 48, 48), 1)),
)
"""So large that a tile is spread over a cluster of four or eight blocks, or over several parts."""
BUSY = 1 << 20
"""Multiprocessors of which a few channels leave most idle: plans then ask for large clusters."""
LITTLE = 5 << 10
"""Bytes of shared memory in which no tile of `LARGE` fits: plans then ask for two kernels."""
EXTRAS = tuple(itertools.product((None, "relu"), (False, True), (False, True)))
"""Activation, residual, mask."""


class Watch:
    """Stands before a backend's `launch` and notes what is launched."""

    def __init__(self, backend: Any) -> None:
        self.seen: set[tuple[str, str]] = set()
        self._launch = backend.launch
        self._cluster = backend.limits.cluster
        backend.launch = self

    def __call__(self, launch: Launch, *arguments: Any) -> None:
        self.seen.add((launch.source, launch.instance))
        self._launch(launch, *arguments)

    def missing(self) -> list[str]:
        """Instances that the device can be asked for and that were not launched."""
        every = [(source, name) for source in SOURCES for name in instances(source, self._cluster)]
        return [f"{source}: {name}" for source, name in every if (source, name) not in self.seen]


def draw(rng: np.random.Generator, dtype: str, *shape: int) -> tg.Tensor:
    """Normally distributed numbers on the device, with a gradient to come."""
    values = np.asarray(rng.standard_normal(shape)).astype(dtype)
    return tg.Tensor(values, backend=NAME, requires_grad=True)


def normalizations(backend: Any) -> None:
    """Forward, backward and second order on every path, in every layout and dtype."""
    rng = np.random.default_rng(0)
    real = backend.limits
    try:
        backend.limits = replace(real, multiprocessors=BUSY)
        for dtype, (shape, axis), extra in itertools.product(DTYPES, SMALL, EXTRAS):
            _normalize(rng, shape, dtype, axis, *extra)
        for limits in (backend.limits, replace(real, shared_per_block=LITTLE, cluster=1)):
            backend.limits = limits
            for dtype, (shape, axis) in itertools.product(DTYPES, LARGE):
                for extra in (EXTRAS[0], EXTRAS[-1]):
                    _normalize(rng, shape, dtype, axis, *extra)
    finally:
        backend.limits = real


def _normalize(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: str,
    axis: int,
    activation: str | None,
    residual: bool,
    masked: bool,
) -> None:
    x = draw(rng, dtype, *shape)
    gamma, beta = draw(rng, dtype, shape[axis]), draw(rng, dtype, shape[axis])
    options: dict[str, Any] = {"axis": axis, "activation": activation}
    if residual:
        options["residual"] = draw(rng, dtype, *shape)
    mean, var = draw(rng, dtype, shape[axis]), draw(rng, dtype, shape[axis]) ** 2
    F.normalize_by(x, mean.astype(_statistics(dtype)), var.astype(_statistics(dtype)), **options)
    if masked:
        lengths = (shape[0],) + (1,) * (len(shape) - 1)
        options["mask"] = tg.Tensor(rng.random(lengths) < 0.8, backend=NAME)
    F.batch_statistics(x, axis=axis, mask=options.get("mask"))
    y, _ = F.batch_norm(x, gamma, beta, **options)
    (dx,) = tg.autograd.grad(y, [x], tg.ones_like(y), create_graph=True)
    dx.sum().backward()


def _statistics(dtype: str) -> str:
    return "float64" if dtype == "float64" else "float32"


def training() -> None:
    """Losses, bias and activation, dropout, and steps of the optimizers, in every dtype."""
    rng = np.random.default_rng(0)
    for dtype in DTYPES:
        for shape in ((19, 5), (19, 16), (3, 8192), (3, 1025), (4, 5, 6)):
            y = tg.Tensor(rng.integers(0, shape[1], (shape[0], *shape[2:])), backend=NAME)
            for reduction in ("mean", "none"):
                x = draw(rng, dtype, *shape)
                tg.cross_entropy(x, y, reduction=reduction).sum().backward()
        for width in (5, 16):
            x = draw(rng, dtype, 19, width)
            tg.relu(F.linear(x, draw(rng, dtype, width, width), draw(rng, dtype, width)))
            F.dropout(x, 0.3)
        params = [draw(rng, dtype, *shape) for shape in ((3, 5), (7,), (), (1, 9000)) * 13]
        for p in params:
            p.grad = p.detach() * 0.5
        for optimizer in (
            optim.SGD(params, lr=0.1, momentum=0.9, nesterov=True),
            optim.AdamW(params, amsgrad=True),
        ):
            optimizer.step()
            optimizer.step()


def main() -> None:
    """All of it; CheckError or what a kernel raises if something is wrong."""
    backend = get_backend(NAME)
    backend.xp.cuda.set_allocator(None)
    check_backend(backend)
    watch = Watch(backend)
    normalizations(backend)
    training()
    backend.synchronize()
    if missing := watch.missing():
        raise SystemExit(f"{len(missing)} instances were not launched: {'; '.join(missing)}")
    print(f"all {len(watch.seen)} instances were launched")


if __name__ == "__main__":
    main()
