"""Batch norm, forward and backward, as a share of the copy bandwidth and against PyTorch.

Bytes are the least that have to move: x and y forward; g, x and dx backward. Inputs are larger
than the second-level cache. A slab is what one channel holds: the small ones fit into the shared
memory of a cluster and are read once, the large ones take two kernels, which read x twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_bn.backend import get_backend
from tinygrad_bn.backend.normalization_plan import normalization_plan

from .timing import Figure, copy_bandwidth, find_torch, seconds

CASES = (  # name, shape, axis of the channels, asked forward, asked backward
    ("slabs that fit, NCHW", (512, 256, 14, 14), 1, 0.85, 0.85),
    ("slabs that fit, NHWC", (512, 14, 14, 256), 3, 0.85, 0.85),
    ("slabs that fit, rows", (65536, 512), 1, 0.85, 0.85),
    ("two kernels, NCHW", (64, 64, 112, 112), 1, 0.60, 0.54),
    ("two kernels, NHWC", (64, 112, 112, 64), 3, 0.60, 0.54),
)
FASTER = 1.3
"""How many times as fast as PyTorch on NCHW."""


def figures() -> Iterator[Figure]:
    """All figures, one after the other."""
    cupy = get_backend("cupy").xp
    cache = cupy.cuda.runtime.getDeviceProperties(get_backend("cupy").place.index)["l2CacheSize"]
    for name, shape, axis, forward_asked, backward_asked in CASES:
        for dtype in ("float32", "float16"):
            size = int(np.prod(shape)) * np.dtype(dtype).itemsize
            assert size > cache, f"{name} {dtype}: {size} bytes fit into the cache of {cache}"
            bandwidth = copy_bandwidth(cupy, size)
            forward, backward = ours(shape, axis, dtype)
            taken = {"forward": seconds(cupy, forward), "backward": seconds(cupy, backward)}
            moved = {"forward": 2 * size, "backward": 3 * size}
            asked = {"forward": forward_asked, "backward": backward_asked}
            for way, time in taken.items():
                share = moved[way] / time / bandwidth
                note = f"{time * 1e6:.0f} µs, copy {bandwidth / 1e9:.0f} GB/s"
                yield Figure(
                    f"{name}, {dtype}, {way}", share, "of copy bandwidth", asked[way], note
                )
            yield from against_torch(cupy, name, shape, axis, dtype, taken)


def ours(shape: tuple[int, ...], axis: int, dtype: str) -> tuple[Callable[[], Any], ...]:
    """Forward and backward on raw arrays: the kernels, without the graph."""
    B = get_backend("cupy")
    plan = normalization_plan(len(shape), axis, 1e-5)
    x, g = [B.xp.random.standard_normal(shape, dtype="float32").astype(dtype) for _ in range(2)]
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
