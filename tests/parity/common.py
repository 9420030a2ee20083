"""Comparison with PyTorch: the same numbers in, values and gradients compared.

Shapes, dtypes and data are drawn by hypothesis, deterministically (`derandomize`), so a run can
be repeated; the arrays come from a NumPy generator seeded with a drawn number.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import tinygrad_bn as tg

drawn = settings(
    derandomize=True,
    deadline=None,
    max_examples=20,
    suppress_health_check=[HealthCheck.too_slow],
)

TOLERANCE = {"float32": (2e-4, 2e-5), "float64": (1e-9, 1e-11)}

dtypes = st.sampled_from(["float32", "float64"])
seeds = st.integers(0, 2**32 - 1)


def shapes(min_dims: int = 0, max_dims: int = 4, min_side: int = 1, max_side: int = 5) -> Any:
    """Shapes of a few small axes."""
    return st.lists(st.integers(min_side, max_side), min_size=min_dims, max_size=max_dims).map(
        tuple
    )


@dataclass
class Case:
    """An operation in both libraries.

    Attributes:
        name: shown as the test's id.
        ours, theirs: functions of tensors.
        low, high: the range that inputs are drawn from.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    low: float = -3.0
    high: float = 3.0


def draw(
    rng: np.random.Generator, shape: Sequence[int], dtype: str, low: float, high: float
) -> Any:
    """Uniform numbers, kept 0.01 away from the integers and halves, where kinks and jumps are."""
    values = rng.uniform(low, high, tuple(shape))
    grid = np.round(values * 2) / 2
    near = np.abs(values - grid) < 0.01
    return np.where(near, grid + 0.013 + 0.02 * (high - grid > 0.1), values).astype(dtype)


def compare(
    ours: Callable[..., Any],
    theirs: Callable[..., Any],
    arrays: Sequence[Any],
    *,
    seed: int,
    constants: Sequence[Any] = (),
    gradients: bool = True,
    tolerance: tuple[float, float] | None = None,
) -> None:
    """Values and, for a random cotangent, gradients of `f(*arrays, *constants)` in both."""
    rtol, atol = tolerance or TOLERANCE[str(arrays[0].dtype)]
    xs = [tg.Tensor(a, requires_grad=gradients) for a in arrays]
    ts = [torch.tensor(a, requires_grad=gradients) for a in arrays]
    out = ours(*xs, *[tg.asarray(c) for c in constants])
    expected = theirs(*ts, *[torch.tensor(c) for c in constants])
    assert out.shape == tuple(expected.shape)
    assert str(out.dtype) == str(expected.dtype).removeprefix("torch.")
    close(out.detach().numpy(), expected.detach().numpy(), rtol, atol, "value")
    if not gradients:
        return
    g = np.random.default_rng(seed + 1).standard_normal(out.shape).astype(str(out.dtype))
    out.backward(g)
    expected.backward(torch.tensor(g))
    for i, (x, t) in enumerate(zip(xs, ts, strict=True)):
        assert x.grad is not None, f"no gradient for input {i}"
        wanted = np.zeros(x.shape) if t.grad is None else t.grad.numpy()
        close(x.grad.numpy(), wanted, rtol, atol, f"gradient of input {i}")


def close(got: Any, expected: Any, rtol: float, atol: float, what: str) -> None:
    """Equal up to rounding, measured against the largest magnitude (sums cancel)."""
    scale = np.max(np.abs(np.where(np.isfinite(expected), expected, 0)), initial=1.0)
    np.testing.assert_allclose(got, expected, rtol=rtol, atol=atol * scale, err_msg=what)


def ids(cases: Sequence[Case]) -> list[str]:
    """The names of the cases, for parametrize."""
    return [c.name for c in cases]
