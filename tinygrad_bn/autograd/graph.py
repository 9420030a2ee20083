"""The graph: nodes linked to nodes, and what the engine needs to know of a tensor.

A node is what an operation leaves behind for its backward pass. It points to the nodes of its
inputs, never to tensors, so dropping a tensor frees its data unless a rule saved it. No reference
leads from an input back to its users: there are no cycles, and reference counting frees all.
"""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .definition import Primitive
    from .state import Hook

next_sequence = count().__next__
"""Numbers nodes in order of creation: a parent's number is always below its children's, which
makes 'sorted by number, descending' an order of execution."""


class Variable:
    """An array on a backend, with the node that produced it (None: not part of any graph)."""

    __slots__ = ("__weakref__", "_backend", "_data", "_node")
    _backend: Any
    _data: Any
    _node: Node | Leaf | None


class Node:
    """One recorded operation.

    `saved` holds what the wanted rules named, in the order of `primitive.saved`; it is None once
    freed, and a `Replay` (see checkpoint) where it is recomputed on demand. `shape` and `dtype`
    are those of the output: the form that a cotangent arriving here is fitted to.
    """

    __slots__ = (
        "backend",
        "dtype",
        "hooks",
        "parents",
        "primitive",
        "saved",
        "seq",
        "shape",
        "trace",
    )
    seq: int
    primitive: Primitive
    backend: Any
    shape: tuple[int, ...]
    dtype: Any
    parents: tuple[Any, ...]
    saved: Any
    hooks: dict[int, Hook] | None
    trace: str | None

    @property
    def name(self) -> str:
        """The operation's name."""
        return self.primitive.name

    def __repr__(self) -> str:
        return f"<{self.name}>"


class Leaf:
    """Where the graph begins: the node of a tensor that requires a gradient, and its gradient."""

    __slots__ = ("backend", "dtype", "grad", "hooks", "seq", "shape")
    parents: tuple[Any, ...] = ()
    name = "leaf"

    def __init__(self, backend: Any, shape: tuple[int, ...], dtype: Any) -> None:
        self.seq = next_sequence()
        self.backend = backend
        self.shape = shape
        self.dtype = dtype
        self.grad: Any = None
        self.hooks: dict[int, Hook] | None = None

    def __repr__(self) -> str:
        return "<leaf>"


class HookHandle:
    """Returned by `register_hook`; `remove()` takes the hook away. Usable as a context manager."""

    __slots__ = ("_hooks", "_key")

    def __init__(self, hooks: dict[int, Any], key: int) -> None:
        self._hooks = hooks
        self._key = key

    def remove(self) -> None:
        """Take the hook away; doing so twice is harmless."""
        self._hooks.pop(self._key, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


_next_hook = count().__next__


def add_hook(hooks: dict[int, Any], hook: Any) -> HookHandle:
    """Store `hook` under a fresh key and return its handle; hooks run in order of registration.

    Raises TypeError for a hook that cannot be called.
    """
    if not callable(hook):
        raise TypeError(f"a hook must be callable, got {type(hook).__name__}")
    key = _next_hook()
    hooks[key] = hook
    return HookHandle(hooks, key)
