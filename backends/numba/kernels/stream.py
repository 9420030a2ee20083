"""Stores that go past the caches: for results too large to be found there again.

An ordinary store first reads the line that it is about to overwrite, a third of the traffic of a
copy. A non-temporal store does not; it pays from some megabytes on (`LARGE`), and what it writes is
in no cache afterwards. Results that begin and end within lines are made in a buffer of a few
kilobytes and moved from there; whole lines are better stored as they are made (`lanes.stream`), 7 %
of (64, 64, 32, 32).

On two cores of an AMD EPYC, batch norm forward and backward of (32, 256, 14, 14), 6 MB an array:
1.02 ms against 1.57 ms with ordinary stores.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ..compiler import COMPILED, kernel

LARGE = 1 << 22
"""Bytes of a result from which on it is not kept in the caches."""
CHUNK = 1024
"""Elements of a piece that is made in a buffer."""
SHORT = 256
"""Terms of a sum in the dtype of x: a dozen for each lane of a vector, of the narrow ones too."""
STEP = 64
"""Bytes moved at a time, to addresses that are multiples of it: a line of the caches."""


@intrinsic
def _move(typing_context: Any, target: Any, source: Any, nbytes: Any) -> Any:
    """Copy from one address to another, `nbytes` a multiple of STEP, with non-temporal stores."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, start, count = arguments
        word = ir.IntType(64)
        pointer = ir.VectorType(ir.IntType(8), STEP).as_pointer()
        hint = builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)])
        with cgutils.for_range_slice(builder, word(0), count, word(STEP), word) as (i, _):
            value = builder.load(builder.inttoptr(builder.add(start, i), pointer), align=1)
            stored = builder.store(value, builder.inttoptr(builder.add(to, i), pointer), align=STEP)
            stored.set_metadata("nontemporal", hint)
        return context.get_dummy_value()

    return types.void(types.intp, types.intp, types.intp), generate


@intrinsic
def _fence(typing_context: Any) -> Any:
    """Let no later store pass the non-temporal ones before it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), generate


move: Any = _move
fence: Any = _fence


def _move_out(buffer: Any, out: Any) -> None:
    """Move the beginning of `buffer` to `out`, both of one axis, past the caches."""
    address, width = out.ctypes.data, out.itemsize
    head = min(-address % STEP // width, out.size)
    body = (out.size - head) * width // STEP * STEP // width
    for i in range(head):
        out[i] = buffer[i]
    if body:
        move(address + head * width, buffer.ctypes.data + head * width, body * width)
    for i in range(head + body, out.size):
        out[i] = buffer[i]


def _copy(buffer: Any, out: Any) -> None:
    """What `move_out` does, for the interpreter."""
    out[:] = buffer[: out.size]


def _settle(past: Any) -> None:
    """After the last store of a thread, if they went past the caches: make them visible to others.

    Not before: the thread waits until all of them have arrived in memory.
    """
    if past:
        fence()


def _nothing(past: Any) -> None:
    """What `settle` does, for the interpreter."""


move_out = kernel(_move_out) if COMPILED else _copy
settle = kernel(_settle) if COMPILED else _nothing


@kernel
def is_large(x: Any) -> bool:
    """Whether a result like x goes past the caches."""
    return x.size * x.itemsize >= LARGE
