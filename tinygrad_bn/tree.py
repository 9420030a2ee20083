"""Nested lists, tuples and dicts as trees: their leaves in order, and the way back.

A leaf is anything that is not a list, tuple, dict or None; None holds no leaves. Dicts are walked
in their own order. Named tuples keep their class.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any


def _children(tree: Any) -> list[tuple[Any, Any]] | None:
    """Pairs of key and child; None for a leaf."""
    if tree is None:
        return []
    if isinstance(tree, dict):
        return list(tree.items())
    return list(enumerate(tree)) if isinstance(tree, list | tuple) else None


def paths(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Pairs of path and leaf, in order; a path reads as Python does: [0]['w']."""
    children = _children(tree)
    if children is None:
        yield path, tree
        return
    for key, child in children:
        yield from paths(child, f"{path}[{key!r}]")


def leaves(tree: Any) -> list[Any]:
    """The leaves, in order."""
    return [leaf for _, leaf in paths(tree)]


def rebuild(tree: Any, values: Iterable[Any]) -> Any:
    """The containers of `tree` around other leaves; ValueError if there are not as many."""
    remaining = iter(values)
    end = object()
    try:
        result = _rebuild(tree, remaining)
    except StopIteration:
        raise ValueError("rebuild: fewer values than the tree has leaves") from None
    if next(remaining, end) is not end:
        raise ValueError("rebuild: more values than the tree has leaves")
    return result


def _rebuild(tree: Any, values: Iterator[Any]) -> Any:
    children = _children(tree)
    if children is None:
        return next(values)
    if tree is None:
        return None
    items = []
    for key, child in children:
        items.append((key, _rebuild(child, values)))
    if isinstance(tree, dict):
        return dict(items)
    parts = [child for _, child in items]
    return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)


def map(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same containers with `function(leaf)` in place of each leaf."""
    return rebuild(tree, [function(leaf) for leaf in leaves(tree)])


def matching(tree: Any, other: Any, *, name: str, path: str = "") -> list[Any]:
    """The leaves of `other`, in the order of `tree`, which it must match in structure.

    Raises ValueError that says where the two differ, beginning with `name`.
    """
    children = _children(tree)
    if children is None:
        if _children(other) is not None:
            raise ValueError(f"{name}{path}: expected a leaf, got {_kind(other)}")
        return [other]
    if _kind(tree) != _kind(other):
        raise ValueError(f"{name}{path}: expected {_kind(tree)}, got {_kind(other)}")
    keys, others = [key for key, _ in children], dict(_children(other) or [])
    if set(keys) != set(others):
        raise ValueError(f"{name}{path}: expected the keys {keys}, got {list(others)}")
    found = []
    for key, child in children:
        found += matching(child, others[key], name=name, path=f"{path}[{key!r}]")
    return found


def _kind(tree: Any) -> str:
    for kind in (dict, list, tuple):
        if isinstance(tree, kind):
            return kind.__name__
    return "None" if tree is None else type(tree).__name__
