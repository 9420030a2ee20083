"""Reverse mode: walk the graph from its outputs back, newest node first.

Every node is visited once, after all its users, because nodes are numbered in order of creation
and visited in descending order. The walk is iterative; a cotangent is dropped as soon as it has
been passed on; sums are done in place only in buffers that the engine itself made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import attrgetter
from sys import getrefcount
from threading import RLock
from typing import Any

from ..backend import BackendMismatchError
from ..backend.quiet import callers_own, hush, quiet, unhush
from . import runtime
from .anomaly import inspect_backward
from .graph import Leaf, Node, Variable
from .links import Link, complete, wrap_outputs
from .mutation import check_unmodified
from .state import set_grad_enabled, state, watch

_leaves = RLock()
"""Held while gradients are added to leaves: backward passes of several threads may share them."""

_by_sequence = attrgetter("seq")
_new = object.__new__


def _count_of_a_local() -> int:
    value = object()
    return getrefcount(value)


ALONE = _count_of_a_local()
"""What getrefcount says of an object that one local variable holds: nobody else can see it.

(To be asked in a statement of its own: arguments already on the stack would be counted too.)"""


def reachable(roots: Iterable[Any]) -> list[Node]:
    """The operations from which `roots` were computed, users before what they use; no leaves."""
    order: list[Node] = []
    seen: set[Any] = set()
    for node in roots:
        if type(node) is Node and node not in seen:
            seen.add(node)
            order.append(node)
    for node in order:  # grows while it is read
        for parent in node.parents:
            if type(parent) is Node and parent not in seen:
                seen.add(parent)
                order.append(parent)
    if len(order) > 1:
        order.sort(key=_by_sequence, reverse=True)  # in order already, for the most part
    return order


def _leading_to(order: list[Any], targets: set[Any]) -> tuple[set[Any], set[Any]]:
    """`targets` with the nodes of `order` that depend on them, and the latter alone."""
    wanted = set(targets)
    passing = set()
    for node in reversed(order):
        if any(parent in wanted for parent in node.parents):
            wanted.add(node)
            passing.add(node)
    return wanted, passing


def run(
    roots: Sequence[tuple[Any, Any]],
    *,
    retain_graph: bool,
    create_graph: bool,
    capture: dict[Any, Any] | None,
) -> None:
    """Propagate cotangents from `roots`, pairs of a node and a raw array (or a tensor, when
    `create_graph`), into the leaves' `.grad`, or into `capture` (node -> gradient) if given."""
    with set_grad_enabled(create_graph), quiet():
        grads: dict[Any, Any] = {}
        for node, g in roots:  # one that is named twice has the sum
            grads[node] = grads[node] + g if node in grads else g
        _walk(reachable(grads), grads, retain_graph, create_graph, capture)
        with _leaves:
            _arrive(grads, create_graph, capture)


def run_plain(grads: dict[Any, Any], retain_graph: bool) -> None:
    """`run` for the common case, raw arrays into `.grad`, without its questions; not for use
    under `detect_anomaly`.

    Rules see raw arrays, of which nothing is recorded; hooks, which see tensors, run without
    recording of their own. `grads` has the cotangent of each root, and is used up.
    """
    tokens = hush()
    try:
        owned: set[Any] = set()
        for node in reachable(grads):
            g = grads.pop(node, None)
            if g is None:
                continue
            if type(g) is list:
                g = complete(node, g, False)
            if node.hooks:
                g = _run_hooks(node, g, False)
            node.primitive.pull(node, g, grads, owned, None)
            if not retain_graph and node.saved:
                node.saved = None
        g = None
        _leaves.acquire()  # `with` takes longer
        try:
            while grads:
                leaf, g = grads.popitem()
                if leaf.hooks:
                    g = _run_hooks(leaf, g, False)
                alone = getrefcount(g) == ALONE
                backend = leaf.backend
                if leaf.grad is None and alone and not backend.placed and backend.owns_memory(g):
                    grad = _new(runtime.tensor_type)  # `runtime.make`, as often as this runs
                    grad._data, grad._node, grad._backend = g, None, backend
                    leaf.grad = grad
                else:
                    _accumulate(leaf, g, alone)
        finally:
            _leaves.release()
    finally:
        unhush(tokens)


def _arrive(grads: dict[Any, Any], create_graph: bool, capture: dict[Any, Any] | None) -> None:
    """Hand over what is left after the walk: the gradients of the leaves."""
    while grads:
        leaf, g = grads.popitem()
        if leaf.hooks:
            g = _run_hooks(leaf, g, create_graph)
        alone = getrefcount(g) == ALONE
        if capture is None:
            _accumulate(leaf, g, alone)
        elif leaf in capture:
            capture[leaf] = _kept(leaf, g, alone)


def _walk(
    order: list[Node],
    grads: dict[Any, Any],
    retain_graph: bool,
    create_graph: bool,
    capture: dict[Any, Any] | None,
) -> None:
    """Visit the nodes in order; see `run`."""
    wanted, passing = (None, None) if capture is None else _leading_to(order, set(capture))
    owned: set[Any] = set()
    for node in order:
        g = grads.pop(node, None)
        if g is None:
            continue
        if type(g) is list:
            g = complete(node, g, create_graph)
        if node.hooks:
            g = _run_hooks(node, g, create_graph)
        if capture is not None and node in capture:
            alone = getrefcount(g) == ALONE
            capture[node] = _kept(node, g, alone)
        if passing is not None and node not in passing:
            continue
        if create_graph:
            (_pull_watched if state.anomaly else _pull_recorded)(node, g, grads, wanted)
        else:
            node.primitive.pull(node, g, grads, owned, wanted)
        if state.anomaly:
            inspect_backward(node, g, grads)
        if not retain_graph and node.saved:
            node.saved = None


def _kept(node: Any, g: Any, alone: bool) -> Any:
    """A gradient as a tensor for the caller to keep: it shares memory with nobody else's."""
    backend = node.backend
    if isinstance(g, Variable):
        array = g._data
        alone = alone and getrefcount(array) == ALONE + 1  # one more: the tensor itself
        return g if alone and backend.owns_memory(array) else runtime.copied(g)
    if not (alone and backend.owns_memory(g)):
        g = backend.copy(g)
    return runtime.make(backend, g, None)


def _accumulate(leaf: Leaf, g: Any, alone: bool) -> None:
    """Add a gradient to a leaf's `.grad`."""
    if leaf.backend.placed:
        leaf.backend.activate()
    if leaf.grad is None:
        leaf.grad = _kept(leaf, g, alone)
    elif isinstance(g, Variable):
        leaf.grad = leaf.grad + g
    else:
        leaf.grad = runtime.make(leaf.backend, leaf.backend.wrap(leaf.grad._data + g), None)


def _run_hooks(node: Any, g: Any, create_graph: bool) -> Any:
    """Show a gradient to the hooks of its tensor; what a hook returns replaces it."""
    value = g if create_graph else runtime.make(node.backend, node.backend.wrap(g), None)
    for hook in tuple(node.hooks.values()):
        with set_grad_enabled(create_graph), callers_own():
            replaced = hook(value)
        if replaced is None:
            continue
        if not isinstance(replaced, Variable) or replaced._data.shape != node.shape:
            got = getattr(replaced, "shape", type(replaced).__name__)
            raise ValueError(
                f"register_hook: a hook must return None or a tensor of shape {node.shape}, "
                f"got {got}"
            )
        value = _as_gradient(node, replaced)
    return value if create_graph else value._data


def _as_gradient(node: Any, g: Any) -> Any:
    """What a hook returned, on the backend and in the dtype of the tensor it is a gradient of."""
    if g._backend is not node.backend:
        raise BackendMismatchError(
            f"register_hook: a hook must return a tensor on backend {node.backend.name!r}, "
            f"got one on {g._backend.name!r}"
        )
    return runtime.namespace.fit(g, shape=node.shape, dtype=node.dtype)


def _pull_recorded(node: Node, g: Any, grads: dict[Any, Any], wanted: set[Any] | None) -> None:
    """The second reading: evaluate a node's rules on tensors, so that they are recorded."""
    p = node.primitive
    if isinstance(p, Link):
        p.pull(node, g, grads, None, wanted)
        return
    saved = node.saved if type(node.saved) is tuple else runtime.restore(node)
    if node.seq < watch.latest_mutation:
        check_unmodified(node, saved)
    parents = p.parent_groups(node.parents)
    wants = tuple([n is not None and (wanted is None or n in wanted) for n in node.parents])
    values = {
        name: _as_tensor(node, name, value, parents)
        for name, value in zip(p.saved, saved, strict=True)
    }
    values["wants"] = wants
    operations = runtime.namespace
    if p.joint is not None or p.variadic:
        (key,) = p.needs
        rule = p.joint if p.joint is not None else p.rules[key]
        results = rule(operations, g, *[values[n] for n in p.needs[key]])
        if len(results) != len(node.parents):
            raise runtime.miscounted(node, results)
    else:
        results = [
            p.rules[key](operations, g, *[values[n] for n in p.needs[key]])
            if key in p.rules and want
            else None
            for key, want in zip(p.inputs, wants, strict=True)
        ]
    for parent, want, d in zip(node.parents, wants, results, strict=True):
        if not want or d is None:
            continue
        if not isinstance(d, Variable):
            raise runtime.no_gradient(node, d)
        if d._data.shape != parent.shape or d._data.dtype != parent.dtype:
            d = runtime.fit(node, d, parent)
        grads[parent] = grads[parent] + d if parent in grads else d


def _pull_watched(node: Node, g: Any, grads: dict[Any, Any], wanted: set[Any] | None) -> None:
    """`_pull_recorded` under `detect_anomaly`: what the rules call is laid to the node."""
    before, state.differentiated = state.differentiated, node
    try:
        _pull_recorded(node, g, grads, wanted)
    finally:
        state.differentiated = before


def _as_tensor(node: Node, name: str, value: Any, parents: dict[str, Any]) -> Any:
    """A saved value as a rule sees it in the second reading: inputs and `out` on the graph."""
    p = node.primitive
    backend = node.backend
    if name in parents:
        if p.variadic:
            pairs = zip(value, parents[name], strict=True)
            return tuple([_attached(backend, v, n) for v, n in pairs])
        return _attached(backend, value, parents[name])
    if name == "out":
        if p.outputs > 1:
            return wrap_outputs(backend, value, node)
        return _attached(backend, value, node)
    if name in p.aux:
        return runtime.plain(backend, value)
    return value


def _attached(backend: Any, value: Any, node: Any) -> Any:
    return runtime.make(backend, value, node) if isinstance(value, backend.array_type) else value
