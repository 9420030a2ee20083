"""Batch norm, forward and backward, as a share of the copy bandwidth and against PyTorch.

Bytes are the least that have to move: x and y forward; g, x and dx backward. Inputs are larger
than the second-level cache: of each case as many channels are taken as that needs. What is asked
depends on the path that the launch plan takes: tiles that stay in the shared memory of a block or
cluster are read once, larger ones take two kernels, which read x (and g) twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from tinygrad_bn.backends.cupy.normalization_layout import layout_of
from tinygrad_bn.backends.cupy.normalization_planning import plan_normalization

from tinygrad_bn.backend import get_backend
from tinygrad_bn.backend.normalization_plan import normalization_plan

from .timing import Figure, copy_bandwidth, find_torch, seconds

CASES = (  # name, shape with the fewest channels, axis of the channels
    ("NCHW", (512, 256, 14, 14), 1),
    ("NHWC", (64, 7, 7, 2048), 3),
    ("rows", (4096, 1024), 1),
    ("large NCHW", (128, 64, 112, 112), 1),
    ("large NHWC", (64, 112, 112, 64), 3),
)
SLABS = {"forward": 1, "backward": 2}
"""Arrays of which a tile has to be kept."""
ASKED = {"one kernel": {"forward": 0.85, "backward": 0.85}}
ASKED["two kernels"] = {"forward": 0.60, "backward": 0.54}
FASTER = 1.3
"""How many times as fast as PyTorch on NCHW."""
BEYOND_CACHE = 2
"""Sizes of the cache that an array has at least: much of a smaller one would still be there."""


def figures() -> Iterator[Figure]:
    """All figures, one after the other."""
    B = get_backend("cupy")
    cupy = B.xp
    cache = cupy.cuda.runtime.getDeviceProperties(B.place.index)["l2CacheSize"]
    for name, smallest, axis in CASES:
        for dtype in ("float32", "float16"):
            shape = enlarged(smallest, axis, dtype, cache)
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            bandwidth = copy_bandwidth(cupy, size)
            forward, backward = ours(shape, axis, dtype)
            taken = {"forward": seconds(cupy, forward), "backward": seconds(cupy, backward)}
            moved = {"forward": 2 * size, "backward": 3 * size}
            called = f"{name} {shape}"
            for way, time in taken.items():
                path = path_of(shape, axis, dtype, SLABS[way], B.limits)
                share = moved[way] / time / bandwidth
                note = f"{path}, {time * 1e6:.0f} µs, copy {bandwidth / 1e9:.0f} GB/s"
                asked = ASKED[path][way]
                yield Figure(f"{called}, {dtype}, {way}", share, "of copy bandwidth", asked, note)
            yield from against_torch(cupy, called, shape, axis, dtype, taken)


def enlarged(shape: tuple[int, ...], axis: int, dtype: str, cache: int) -> tuple[int, ...]:
    """The shape with its channels doubled until an array is larger than the cache."""
    channels = shape[axis]
    rest = int(np.prod(shape)) // channels * np.dtype(dtype).itemsize
    while channels * rest < BEYOND_CACHE * cache:
        channels *= 2
    return (*shape[:axis], channels, *shape[axis + 1 :])


def path_of(shape: tuple[int, ...], axis: int, dtype: str, slabs: int, limits: Any) -> str:
    """The path that the launch plan takes: "one kernel" or "two kernels"."""
    plan = normalization_plan(len(shape), axis, 1e-5)
    layout = layout_of(shape, tuple(range(len(shape))), plan)
    assert layout is not None
    launch = plan_normalization(layout, dtype, True, slabs, limits)
    assert launch is not None
    return "one kernel" if launch.resident else "two kernels"


def ours(shape: tuple[int, ...], axis: int, dtype: str) -> tuple[Callable[[], Any], ...]:
    """Forward and backward on raw arrays: the kernels, without the graph."""
    B = get_backend("cupy")
    plan = normalization_plan(len(shape), axis, 1e-5)
    generator = B.make_generator(0)
    x, g = [generator.normal(shape, np.dtype("float32")).astype(dtype) for _ in range(2)]
    gamma, beta = B.ones((shape[axis],), dtype="float32"), B.zeros((shape[axis],), dtype="float32")
    _, mean, low, _, rstd, count = B.batch_norm(x, gamma, beta, None, None, plan=plan)
    saved = (mean, low, rstd, gamma, beta, None, count)
    return (
        lambda: B.batch_norm(x, gamma, beta, None, None, plan=plan),
        lambda: B.batch_norm_grad(g, x, *saved, plan=plan),
    )


def against_torch(
    cupy: Any, name: str, shape: tuple[int, ...], axis: int, dtype: str, taken: dict[str, float]
) -> Iterator[Figure]:
    """How many times as fast as PyTorch on NCHW."""
    if axis != 1 or len(shape) != 4:
        return
    names = {way: f"{name}, {dtype}, {way}, against PyTorch" for way in taken}
    torch, why = find_torch()
    if torch is None:
        yield from [Figure(n, None, "times", FASTER, why) for n in names.values()]
        return
    kind = {"device": "cuda", "dtype": getattr(torch, dtype)}
    x = torch.randn(shape, requires_grad=True, **kind)
    g = torch.randn(shape, **kind)
    gamma, beta = [torch.ones(shape[1], device="cuda", requires_grad=True) for _ in range(2)]

    def forward() -> Any:
        return torch.nn.functional.batch_norm(x, None, None, gamma, beta, training=True)

    y = forward()
    inputs = (x, gamma, beta)
    stream = cupy.cuda.ExternalStream(torch.cuda.current_stream().cuda_stream)
    with stream, torch.no_grad():
        theirs = {"forward": seconds(cupy, forward)}
    with stream:
        theirs["backward"] = seconds(
            cupy, lambda: torch.autograd.grad(y, inputs, g, retain_graph=True)
        )
    for way, time in theirs.items():
        ratio = time / taken[way]
        note = f"PyTorch {torch.__version__} {time * 1e6:.0f} µs"
        yield Figure(names[way], ratio, "times", FASTER, note)
