"""Recompute instead of save: a function's intermediate values are dropped and made again."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..backend import rng
from ..backend.quiet import callers_own
from .engine import reachable
from .graph import Node, Variable, next_sequence
from .state import checkpointing, enable_grad, recomputing, state


class _Segment:
    """A checkpointed call: how to run it again, and what the second run saved.

    It knows no node of the first run, so it closes no cycle; a node asks for its values by its
    position among the nodes of the call.
    """

    def __init__(self, fn: Callable[..., Any], args: tuple[Any, ...], random_state: Any) -> None:
        self.fn = fn
        self.args = args
        self.random_state = random_state
        self.names: list[str] = []
        self.values: dict[int, Any] = {}

    def take(self, position: int) -> Any:
        """The saved values of the node at `position`; runs the function again if need be."""
        if position not in self.values:
            self._replay()
        return self.values.pop(position)

    def _replay(self) -> None:
        start = next_sequence()
        replaying = rng.replaying(self.random_state)
        with enable_grad(), recomputing(), replaying, callers_own():
            nodes = _nodes_since(start, self.fn(*self.args))
        if [n.name for n in nodes] != self.names:
            raise RuntimeError(
                "checkpoint: the function did not do the same operations when it was run again: "
                f"{len(self.names)} recorded first, {len(nodes)} in the replay; it must depend "
                "on its arguments and on tinygrad_bn's random numbers only"
            )
        self.values = {i: node.saved for i, node in enumerate(nodes)}


class Replay:
    """Stands in `Node.saved` for values that are recomputed when a backward pass asks for them."""

    __slots__ = ("position", "segment")

    def __init__(self, segment: _Segment, position: int) -> None:
        self.segment = segment
        self.position = position

    def recompute(self) -> Any:
        """The values that the rules of this node need."""
        saved = self.segment.take(self.position)
        return saved if isinstance(saved, tuple) else saved.recompute()


def _nodes_since(start: int, outputs: Any) -> list[Node]:
    """The nodes recorded after `start` that `outputs` depend on, oldest first."""
    roots = [t._node for t in _tensors(outputs) if t._node is not None]
    return [n for n in reachable(roots) if n.seq > start][::-1]


def _tensors(value: Any) -> list[Variable]:
    if isinstance(value, Variable):
        return [value]
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        return []
    return [t for item in value for t in _tensors(item)]


def checkpoint(fn: Callable[..., Any], *args: Any) -> Any:
    """Call `fn(*args)` without keeping its intermediate values; backward computes them again.

    The graph is the same as without it: gradients reach the arguments and every parameter that
    `fn` uses, to any order. Random operations repeat their numbers in the replay, and layers do
    not update their running statistics a second time (see `is_recomputing`).

    Args:
        fn: a function of tensors that gives the same operations each time it is called.
        args: its arguments, kept until the backward pass.

    Returns:
        What `fn` returned: a tensor, or a nested tuple, list or dict of them.

    Raises:
        RuntimeError: in backward, when the replay did other operations than the first run.

    Source: Chen et al., "Training Deep Nets with Sublinear Memory Cost", 2016.
    """
    if not callable(fn):
        raise TypeError(f"checkpoint: fn must be a function, got {type(fn).__name__}")
    if not state.grad:
        return fn(*args)
    segment = _Segment(fn, args, rng.get_state())
    start = next_sequence()
    with checkpointing():
        outputs = fn(*args)
    for position, node in enumerate(_nodes_since(start, outputs)):
        segment.names.append(node.name)
        if node.saved:
            node.saved = Replay(segment, position)
    return outputs
