"""`detect_anomaly`: find the operation in which a NaN or an infinity was born."""

from __future__ import annotations

import math
import sys
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..backend import Backend
from .graph import Node, Variable
from .runtime import SCALARS
from .state import Mode, state, watch

if TYPE_CHECKING:
    from .definition import Primitive


class AnomalyError(FloatingPointError):
    """A NaN or an infinity was born while `detect_anomaly()` was on."""


class detect_anomaly(Mode):
    """`with detect_anomaly():` check every operation's results, forward and backward.

    A NaN or Inf that comes out of finite inputs raises `AnomalyError` with the name of the
    operation and the line of user code that called it; values that were given as NaN or Inf
    pass. Every result is read, so this is for hunting a bug, not for training.

    Raises:
        AnomalyError: inside the block, from the operation or from `backward`.
    """

    attribute = "anomaly"

    def __init__(self) -> None:
        super().__init__(True)

    def __enter__(self) -> detect_anomaly:
        watch.adjust(anomaly=1)
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        watch.adjust(anomaly=-1)


def _finite(backend: Backend, value: Any) -> bool:
    if value is None:
        return True
    if isinstance(value, Variable):
        value = value._data
    if type(value) in SCALARS:
        return math.isfinite(abs(value))
    if isinstance(value, tuple | list):
        return all(_finite(backend, v) for v in value)
    if value.dtype not in backend.floating:
        return True
    return bool(backend.all(backend.isfinite(value)))


def inspect_forward(
    p: Primitive, backend: Backend, inputs: tuple[Any, ...], out: Any, node: Node | None
) -> None:
    """Under `detect_anomaly`: note who created a node; raise if its output went bad."""
    if not state.anomaly:
        return
    if state.differentiated is not None:  # inside a rule: `inspect_backward` judges its result
        if node is not None:
            origin = state.differentiated
            node.trace = f"{place(origin)}, in the derivative of {origin.name}"
        return
    trace = user_line()
    if node is not None:
        node.trace = trace
    if not _finite(backend, out) and _finite(backend, inputs):
        raise AnomalyError(f"{p.name}: forward gave NaN or Inf from finite inputs, at {trace}")


def inspect_backward(node: Node, g: Any, before: dict[Any, Any]) -> None:
    """Under `detect_anomaly`: raise if the gradients that `node` passed on went bad."""
    if not _finite(node.backend, g):
        return
    for parent in node.parents:
        value = before.get(parent)
        if not _finite(node.backend, value):
            raise AnomalyError(
                f"{node.name}: backward gave NaN or Inf from a finite cotangent; "
                f"the operation was recorded at {place(node)}"
            )


def place(node: Node) -> str:
    """Where the user called the operation of a node, as far as that is known."""
    return node.trace or "(outside detect_anomaly)"


def user_line() -> str:
    """The innermost line outside this package, as 'file:line: source'."""
    package = __name__.partition(".")[0]
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        inside = module == package or module.startswith(package + ".")
        if not inside and not frame.f_code.co_filename.startswith("<tinygrad_bn"):
            (summary,) = traceback.StackSummary.extract([(frame, frame.f_lineno)])
            return f"{summary.filename}:{summary.lineno}: {summary.line}"
        frame = frame.f_back
    return "an unknown line"
