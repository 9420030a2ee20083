"""Batch norm and its family against PyTorch, weights carried over by name in both directions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import tinygrad_bn as tg
from tinygrad_bn import nn
from tinygrad_bn.nn import functional as F

from .common import close, drawn, dtypes, seeds

LIMITS = {"float32": (1e-4, 2e-5), "float64": (1e-9, 1e-10)}
CLASSES = {
    1: (nn.BatchNorm1d, torch.nn.BatchNorm1d),
    2: (nn.BatchNorm2d, torch.nn.BatchNorm2d),
    3: (nn.BatchNorm3d, torch.nn.BatchNorm3d),
}


@st.composite
def inputs(draw: Any) -> tuple[int, tuple[int, ...]]:
    """The number of spatial axes of the layer, and a shape with two or more values per channel."""
    spatial = draw(st.integers(1, 3))
    sides = draw(st.lists(st.integers(1, 4), min_size=spatial, max_size=spatial))
    if spatial == 1 and draw(st.booleans()):
        sides = []
    return spatial, (draw(st.integers(2, 6)), draw(st.integers(1, 4)), *sides)


def twins(spatial: int, channels: int, dtype: str, seed: int, **options: Any) -> tuple[Any, Any]:
    """The same layer in both libraries, with random parameters."""
    ours_class, theirs_class = CLASSES[spatial]
    momentum = options.pop("momentum", 0.1)
    affine, track = options.get("affine", True), options.get("track_running_stats", True)
    theirs = theirs_class(
        channels,
        options.get("eps", 1e-5),
        momentum,
        affine,
        track,
        dtype=getattr(torch, dtype),
    )
    torch.manual_seed(seed % 2**31)
    for p in theirs.parameters():
        torch.nn.init.normal_(p)
    ours = ours_class(channels, decay=nn.decay_from_pytorch(momentum), dtype=dtype, **options)
    ours.load_state_dict(theirs.state_dict())
    return ours, theirs


def same_state(ours: Any, theirs: Any, dtype: str) -> None:
    mine, other = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(other)
    for name, value in other.items():
        assert str(mine[name].dtype) == str(value.dtype).removeprefix("torch.")
        close(mine[name].numpy(), value.numpy(), *LIMITS[dtype], name)


@drawn
@given(
    where=inputs(),
    dtype=dtypes,
    seed=seeds,
    momentum=st.sampled_from([0.1, 0.5, 1.0, None]),
    affine=st.booleans(),
    track=st.booleans(),
    eps=st.sampled_from([1e-5, 1e-3]),
    offset=st.sampled_from([0.0, 3.0]),
)
def test_training_and_evaluation(
    where: Any,
    dtype: str,
    seed: int,
    momentum: float | None,
    affine: bool,
    track: bool,
    eps: float,
    offset: float,
) -> None:
    spatial, shape = where
    options = {"affine": affine, "track_running_stats": track, "eps": eps, "momentum": momentum}
    ours, theirs = twins(spatial, shape[1], dtype, seed, **options)
    rng = np.random.default_rng(seed)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = (rng.standard_normal(shape) + offset).astype(dtype)
        g = rng.standard_normal(shape).astype(dtype)
        a, b = tg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        scale = 1 / np.sqrt(eps)  # two values per channel may lie close together
        rtol, atol = LIMITS[dtype]
        close(y.detach().numpy(), z.detach().numpy(), rtol, atol * 10, "output")
        if np.prod(shape) // shape[1] > 3:
            y.backward(g)
            z.backward(torch.tensor(g))
            assert a.grad is not None
            close(a.grad.numpy(), b.grad.numpy(), rtol, atol * scale / 10, "gradient of x")
        same_state(ours, theirs, dtype)


@drawn
@given(where=inputs(), dtype=dtypes, seed=seeds)
def test_states_travel_both_ways(where: Any, dtype: str, seed: int) -> None:
    spatial, shape = where
    ours, theirs = twins(spatial, shape[1], dtype, seed)
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    ours(tg.Tensor(x))
    back = CLASSES[spatial][1](shape[1], dtype=getattr(torch, dtype))
    state = {k: torch.tensor(v.numpy()) for k, v in ours.state_dict().items()}
    assert back.load_state_dict(state, strict=True).missing_keys == []
    same_state(ours, back, dtype)
    theirs(torch.tensor(x))
    again = CLASSES[spatial][0](shape[1], dtype=dtype)
    again.load_state_dict(theirs.state_dict())
    same_state(again, theirs, dtype)
    back.eval()
    close(
        ours.eval()(tg.Tensor(x)).detach().numpy(),
        back(torch.tensor(x)).detach().numpy(),
        *LIMITS[dtype],
        "evaluation",
    )


@drawn
@given(where=inputs(), seed=seeds)
def test_second_derivatives(where: Any, seed: int) -> None:
    """Of float64, where PyTorch has them: the gradient of Σ (dx·u)."""
    spatial, shape = where
    if np.prod(shape) // shape[1] < 4:
        shape = (6, *shape[1:])
    ours, theirs = twins(spatial, shape[1], "float64", seed)
    rng = np.random.default_rng(seed)
    x, g, u = (rng.standard_normal(shape) for _ in range(3))
    a, b = tg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    c, d = tg.Tensor(g, requires_grad=True), torch.tensor(g, requires_grad=True)
    (dx,) = tg.autograd.grad(ours(a), [a], c, create_graph=True)
    (dy,) = torch.autograd.grad(theirs(b), [b], d, create_graph=True)
    mine = tg.autograd.grad(dx, [a, c, ours.weight], tg.Tensor(u))
    other = torch.autograd.grad(dy, [b, d, theirs.weight], torch.tensor(u))
    for i, (p, q) in enumerate(zip(mine, other, strict=True)):
        close(p.numpy(), q.numpy(), 1e-7, 1e-8, f"second derivative {i}")


@drawn
@given(where=inputs(), dtype=dtypes, seed=seeds)
def test_module_conversion(where: Any, dtype: str, seed: int) -> None:
    spatial, shape = where
    _, theirs = twins(spatial, shape[1], dtype, seed)
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    theirs(torch.tensor(x))
    layer = nn.batch_norm_from_pytorch(theirs.eval(), dtype=dtype)
    expected = theirs(torch.tensor(x)).detach().numpy()
    close(layer(tg.Tensor(x)).detach().numpy(), expected, *LIMITS[dtype], "output")
    assert (layer.eps, layer.decay, layer.training) == (theirs.eps, 0.9, False)


FAMILY = {
    "layer": (
        lambda c, s: (nn.LayerNorm((c, *s)), torch.nn.LayerNorm((c, *s))),
        (2, 3),
    ),
    "layer without bias": (
        lambda c, s: (nn.LayerNorm(s[-1], bias=False), torch.nn.LayerNorm(s[-1], bias=False)),
        (3,),
    ),
    "rms": (lambda c, s: (nn.RMSNorm(s[-1]), torch.nn.RMSNorm(s[-1])), (2, 5)),
    "group": (lambda c, s: (nn.GroupNorm(2, c), torch.nn.GroupNorm(2, c)), (3, 2)),
    "instance 1d": (
        lambda c, s: (
            nn.InstanceNorm1d(c, affine=True, track_running_stats=True),
            torch.nn.InstanceNorm1d(c, affine=True, track_running_stats=True),
        ),
        (5,),
    ),
    "instance 2d": (lambda c, s: (nn.InstanceNorm2d(c), torch.nn.InstanceNorm2d(c)), (3, 3)),
    "instance 3d": (
        lambda c, s: (nn.InstanceNorm3d(c, affine=True), torch.nn.InstanceNorm3d(c, affine=True)),
        (2, 2, 2),
    ),
}


@pytest.mark.parametrize("name", FAMILY)
def test_family(name: str) -> None:
    build, spatial = FAMILY[name]
    ours, theirs = build(4, spatial)
    torch.manual_seed(0)
    for p in theirs.parameters():
        torch.nn.init.normal_(p)
    ours.load_state_dict(theirs.state_dict())
    rng = np.random.default_rng(0)
    for training in (True, False):
        ours.train(training)
        theirs.train(training)
        x, g = (rng.standard_normal((3, 4, *spatial)).astype("f") for _ in range(2))
        a, b = tg.Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
        y, z = ours(a), theirs(b)
        close(y.detach().numpy(), z.detach().numpy(), 1e-4, 1e-5, "output")
        y.backward(g)
        z.backward(torch.tensor(g))
        assert a.grad is not None
        close(a.grad.numpy(), b.grad.numpy(), 1e-4, 1e-5, "gradient of x")
    expected = dict(theirs.named_parameters())
    for key, p in ours.named_parameters():
        assert p.grad is not None
        close(p.grad.numpy(), expected[key].grad.numpy(), 1e-4, 1e-5, key)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        if key != "num_batches_tracked":  # PyTorch's instance norm does not count
            close(ours.state_dict()[key].numpy(), value.numpy(), 1e-4, 1e-5, key)


def test_functional_forms() -> None:
    x = np.random.default_rng(0).standard_normal((4, 3, 5))
    mean, var = np.array([0.1, -0.2, 0.3]), np.array([0.5, 1.0, 2.0])
    ours = F.normalize_by(tg.Tensor(x), tg.Tensor(mean), tg.Tensor(var))
    theirs = torch.nn.functional.batch_norm(
        torch.tensor(x), torch.tensor(mean), torch.tensor(var), training=False
    )
    close(ours.numpy(), theirs.numpy(), 1e-12, 1e-12, "normalize_by")
