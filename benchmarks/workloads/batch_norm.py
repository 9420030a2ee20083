"""Batch norm, forward and backward, by layout and shape: the layer, updating its statistics.

What memory has to do at the least, in passes over a tensor of the shape of x: forward one read and
one write, backward two reads and one write where a block of channels stays in the second-level
cache between statistics and map; else every input is read twice.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from ..harness import COPY, Case
from ..peers import Library, copying, with_each

NAME = "batch norm"
DESCRIPTION = "forward and backward of the layer in training, float32"
SELF_TIMED = False

IMAGES = ((64, 64, 32, 32), (32, 256, 14, 14), (8, 64, 112, 112), (128, 16, 32, 32))
ROWS = ((60, 100), (256, 512), (1024, 1024), (8192, 256), (65536, 64))
CACHE = 1 << 20
"""Bytes of second-level cache that a thread has to itself, about."""
LINE = 16
"""Neighbouring float32 channels that come from memory together, in one line of the cache."""
SMALL = 1 << 20
"""Fewer elements fit into caches as a whole: memory sets no bound worth naming."""


def _step(
    library: Library, shape: tuple[int, ...], *, last: bool, relu: bool, residual: bool
) -> Callable[[], None]:
    rng = np.random.default_rng(0)
    make = library.image if last and len(shape) == 4 else library.tensor
    x, g, r = (rng.standard_normal(shape, np.float32) for _ in range(3))
    inputs = [make(x, True), *([make(r, True)] if residual else [])]
    cotangent = make(g)
    layer = library.norm(shape[-1 if last else 1], len(shape), last=last, relu=relu)
    leaves = [*inputs, *layer.parameters()]

    def step() -> None:
        layer(inputs[0], inputs[1] if residual else None).backward(cotangent)
        for leaf in leaves:
            leaf.grad = None

    return step


def _passes(shape: tuple[int, ...], *, last: bool, residual: bool) -> float:
    """Reads and writes of a tensor of this shape."""
    channels = shape[-1 if last else 1]
    block = 4 * int(np.prod(shape)) // channels * (LINE if last else 1)
    forward = 2 if block <= CACHE else 3
    backward = 3 if 2 * block <= CACHE else 5
    return forward + backward + (3 if residual else 0)


def _case(
    shape: tuple[int, ...],
    target: float,
    *,
    last: bool = False,
    relu: bool = False,
    residual: bool = False,
) -> Case:
    peers = with_each(partial(_step, shape=shape, last=last, relu=relu, residual=residual))
    traffic = None
    if np.prod(shape) >= SMALL:
        traffic = _passes(shape, last=last, residual=residual)
        peers[COPY] = copying(np.ones(shape, np.float32))
    return Case(peers, {"torch": target}, traffic)


def cases() -> dict[str, Case]:
    """Images with channels first and last, matrices, and with what often follows."""
    found = {f"NCHW {_text(s)}": _case(s, 2.5) for s in IMAGES}
    found |= {f"2-D {_text(s)}": _case(s, 2.0, last=True) for s in ROWS}
    for n, c, h, w in IMAGES:
        s = (n, h, w, c)
        found[f"NHWC {_text(s)}"] = _case(s, 2.0, last=True)
    for s in IMAGES:
        found[f"+ReLU NCHW {_text(s)}"] = _case(s, 3.0, relu=True)
        found[f"+ReLU+residual NCHW {_text(s)}"] = _case(s, 3.0, relu=True, residual=True)
    return found


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape))
