"""Steps of the graph that are no operation: choosing one of several outputs, changing backends."""

from __future__ import annotations

import functools
from typing import Any

from ..backend import Backend
from .graph import Node, Variable, next_sequence
from .runtime import make
from .state import state


class Link:
    """A step of the graph that is no operation on one backend's arrays: it passes cotangents on."""

    name = "link"
    saved: tuple[str, ...] = ()

    def pull(self, node: Node, g: Any, grads: Any, owned: Any, wanted: Any) -> None:
        """Pass `g` (a raw array, or a tensor in a recorded backward) on to the parents."""
        raise NotImplementedError


class OutputLink(Link):
    """Selects one output of an operation that has several."""

    name = "output"

    def __init__(self, index: int) -> None:
        self.index = index

    def pull(self, node: Node, g: Any, grads: Any, owned: Any, wanted: Any) -> None:
        """Put the cotangent into its place in the tuple that the operation's rules get."""
        (parent,) = node.parents
        if wanted is not None and parent not in wanted:
            return
        slots = grads.setdefault(parent, [None] * len(parent.shape))
        earlier = slots[self.index]  # from another selector of the same output
        slots[self.index] = g if earlier is None else earlier + g


class TransferLink(Link):
    """A copy on another backend; the gradient travels back."""

    name = "to"

    def pull(self, node: Node, g: Any, grads: Any, owned: Any, wanted: Any) -> None:
        """Move the cotangent to the parent's backend."""
        (parent,) = node.parents
        if wanted is not None and parent not in wanted:
            return
        recorded = isinstance(g, Variable)
        d = transfer(g, parent.backend) if recorded else move(g, node.backend, parent.backend)
        grads[parent] = grads[parent] + d if parent in grads else d


def move(array: Any, source: Backend, target: Backend) -> Any:
    """The contents of a raw array as an array of another backend."""
    return target.from_numpy(source.to_numpy(array), copy=True)


def transfer(x: Variable, target: Backend) -> Any:
    """A tensor with the values of `x` on `target`, part of the same graph."""
    if x._backend is target:
        return x
    array = move(x._data, x._backend, target)
    track = x._node is not None and state.grad
    return make(target, array, _link(_transfer, target, array, x._node) if track else None)


def _link(link: Link, backend: Backend, array: Any, parent: Any) -> Node:
    node = Node()
    node.seq = next_sequence()
    node.primitive = link  # type: ignore[assignment]
    node.backend = backend
    node.shape = array.shape
    node.dtype = array.dtype
    node.parents = (parent,)
    node.saved = ()
    node.hooks = None
    node.trace = None
    return node


_transfer = TransferLink()
_selector = functools.cache(OutputLink)


def wrap_outputs(backend: Backend, arrays: tuple[Any, ...], node: Node | None) -> tuple[Any, ...]:
    """Tensors for the outputs of one operation, each with a node that selects it."""
    if node is None:
        return tuple([make(backend, a, None) for a in arrays])
    return tuple(
        [
            make(b, a, _link(_selector(i), b, a, node) if a.dtype in b.differentiable else None)
            for b in (backend,)
            for i, a in enumerate(arrays)
        ]
    )


def complete(node: Node, slots: list[Any], create_graph: bool) -> tuple[Any, ...]:
    """The tuple of cotangents for a node with several outputs: zeros where none arrived."""
    cotangents = []
    for g, shape, dtype in zip(slots, node.shape, node.dtype, strict=True):
        if g is None:
            g = node.backend.zeros(shape, dtype=dtype)
            g = make(node.backend, g, None) if create_graph else g
        cotangents.append(g)
    return tuple(cotangents)
