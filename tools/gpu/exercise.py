"""Launch every kernel once or more, for compute-sanitizer to watch.

    compute-sanitizer --tool memcheck python -m tools.gpu.exercise

CuPy's pool is switched off, so that every array is an allocation of its own and a step outside it
is seen; shapes are small, because the tools slow a kernel down by two orders of magnitude.
"""

from __future__ import annotations

import itertools

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import get_backend
from tinygrad_bn.nn import functional as F
from tinygrad_bn.testing import check_backend

NAME = "cupy"
SHAPES = ((16, 3), (33, 5), (2, 3, 4, 4), (5, 7, 9, 3), (2, 4, 129, 65), (64, 2, 112, 112))
"""Rows, odd sizes, planes, and a channel that no cluster's shared memory holds."""


def normalizations() -> None:
    """Forward, backward and second order in every layout, dtype, activation and extra."""
    rng = np.random.default_rng(0)
    extras = list(itertools.product((None, "relu"), (False, True), (False, True)))
    for shape, dtype, last in itertools.product(SHAPES, ("float32", "float16", "float64"), (0, 1)):
        if shape == SHAPES[-1] and dtype != "float32":
            continue
        axis = len(shape) - 1 if last else 1
        for extra in extras if shape != SHAPES[-1] else (extras[0], extras[-1]):
            _normalize(rng, shape, dtype, axis, *extra)


def _normalize(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    dtype: str,
    axis: int,
    activation: str | None,
    residual: bool,
    masked: bool,
) -> None:
    def draw(*lengths: int) -> tg.Tensor:
        values = rng.standard_normal(lengths).astype(dtype)
        return tg.Tensor(values, backend=NAME, requires_grad=True)

    x, gamma, beta = draw(*shape), draw(shape[axis]), draw(shape[axis])
    options = {"axis": axis, "activation": activation}
    if residual:
        options["residual"] = draw(*shape)
    if masked:
        lengths = (shape[0],) + (1,) * (len(shape) - 1)
        options["mask"] = tg.Tensor(rng.random(lengths) < 0.8, backend=NAME)
    y, _ = F.batch_norm(x, gamma, beta, **options)
    (dx,) = tg.autograd.grad(y, [x], tg.ones_like(y), create_graph=True)
    dx.sum().backward()


def training() -> None:
    """Steps with SGD and Adam through cross-entropy, dropout, bias and activation."""
    with tg.use_backend(NAME):
        model = nn.Sequential(
            nn.Linear(17, 33), nn.BatchNorm(33), nn.ReLU(), nn.Dropout(0.3), nn.Linear(33, 5)
        )
        x, y = tg.random.normal((19, 17)), tg.random.integers(0, 5, (19,))
        for optimizer in (
            optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True),
            optim.AdamW(model.parameters(), amsgrad=True),
        ):
            for _ in range(2):
                optimizer.zero_grad()
                tg.cross_entropy(model(x), y).backward()
                optimizer.step()


def main() -> None:
    """All of it; CheckError or what a kernel raises if something is wrong."""
    backend = get_backend(NAME)
    backend.xp.cuda.set_allocator(None)
    check_backend(backend)
    normalizations()
    training()
    backend.synchronize()
    print("every kernel was launched")


if __name__ == "__main__":
    main()
