"""What the function transforms share: one call of a function, on arguments of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import autograd, ops, tree
from .autograd import Leaf, enable_grad, is_grad_enabled, primitive
from .autograd.engine import reachable
from .autograd.runtime import make
from .tensor import Tensor

Argnums = int | tuple[int, ...]


@primitive(x=lambda B, g: g)
def argument(B: Any, x: Any) -> Any:
    """x itself, as the argument of a transformed function: a node of its own.   d/dx = g."""
    return x


class Call:
    """One call of a function on arguments that are the beginning of a graph of their own.

    Attributes:
        selected: the differentiated arguments, as given; the tree of the gradients.
        inputs: the tensors that stand for their leaves.
        out, aux: what the function returned.
        outputs: the leaves of `out`.
        outside: whether the results depend on tensors tracked outside, so that they and their
            derivatives belong to a graph that the caller may differentiate.
    """

    def __init__(
        self,
        name: str,
        f: Callable[..., Any],
        args: Any,
        kwargs: Any,
        argnums: Argnums,
        has_aux: bool,
    ) -> None:
        if not callable(f):
            raise TypeError(f"{name}: needs a function, got {type(f).__name__}")
        self.name = name
        self.recorded = is_grad_enabled()
        chosen = tuple(argnums) if isinstance(argnums, tuple | list) else (argnums,)
        positions = positions_of(name, chosen, len(args))
        self.selected = tuple([args[i] for i in positions])
        arguments = list(args)
        self.inputs: list[Tensor] = []
        with enable_grad():
            for i in positions:
                fresh = [self._enter(f"argument {i}{p}", x) for p, x in tree.paths(args[i])]
                arguments[i] = tree.rebuild(args[i], fresh)
                self.inputs += fresh
            self.out, self.aux = outcome(name, f(*arguments, **kwargs), has_aux)
        self.outputs = [self._output(p, y) for p, y in tree.paths(self.out)]
        self.outside = self.recorded and self._reaches_outside()

    def _enter(self, where: str, x: Any) -> Tensor:
        check_tensor(self.name, where, x)
        if self.recorded and x._node is not None:
            return argument(x)
        return make(x._backend, x._data, Leaf(x._backend, x._data.shape, x._data.dtype))

    def _output(self, path: str, y: Any) -> Tensor:
        return check_tensor(self.name, f"the function's result{path}", y)

    def _reaches_outside(self) -> bool:
        """Whether a tracked tensor that is not one of ours had a part in the results."""
        results = [*self.outputs, *[t for t in tree.leaves(self.aux) if isinstance(t, Tensor)]]
        roots = [t._node for t in results if t._node is not None]
        ours = {x._node for x in self.inputs}
        nodes: set[Any] = set(roots)
        for node in reachable(roots):
            nodes.update(node.parents)
        return any(isinstance(n, Leaf) and n not in ours for n in nodes)

    def release(self, result: Any) -> Any:
        """A result for the caller: on the graph only if that leads out of this call."""
        if self.outside:
            return result
        return tree.map(lambda t: t.detach() if isinstance(t, Tensor) else t, result)

    def scalar(self) -> Tensor:
        """The output, which must be one number."""
        y = self.out
        if not isinstance(y, Tensor) or y.shape != ():
            got = f"shape {y.shape}" if isinstance(y, Tensor) else type(y).__name__
            raise ValueError(
                f"{self.name}: the function must return a tensor of shape (), got {got}"
            )
        return y

    def create_graph(self, *given: Tensor) -> bool:
        """Whether derivatives, linear in the tensors `given`, are to be recorded themselves."""
        tracked = any(t._node is not None for t in given)
        return is_grad_enabled() and (self.outside or tracked)

    def pull(self, cotangents: list[Any], **options: Any) -> list[Tensor]:
        """The gradients of Σ ⟨cotangent, output⟩ with respect to the inputs."""
        return derivative(self.outputs, self.inputs, cotangents, **options)


def positions_of(name: str, chosen: tuple[int, ...], count: int) -> list[int]:
    for i in chosen:
        if isinstance(i, bool) or not isinstance(i, int):
            raise TypeError(f"{name}: argnums must be an int or a tuple of ints, got {i!r}")
        if not -count <= i < count:
            raise ValueError(f"{name}: argnums names argument {i}, but {count} were passed")
    positions = [i % count for i in chosen]
    if len(set(positions)) < len(positions):
        raise ValueError(f"{name}: argnums must not repeat, got {chosen}")
    return positions


def outcome(name: str, result: Any, has_aux: bool) -> tuple[Any, Any]:
    if not has_aux:
        return result, None
    if not isinstance(result, tuple) or len(result) != 2:
        raise TypeError(
            f"{name}: with has_aux=True the function must return a pair (output, aux), "
            f"got {type(result).__name__}"
        )
    return result


def check_tensor(name: str, where: str, x: Any) -> Tensor:
    """x, if it is a tensor of real floating-point numbers."""
    if not isinstance(x, Tensor):
        raise TypeError(
            f"{name}: {where} must be a tensor, or a nested list, tuple or dict of them, "
            f"got {type(x).__name__}"
        )
    if x.dtype.kind != "f":
        raise TypeError(f"{name}: {where} must be real floating point, got dtype {x.dtype.name}")
    return x


def derivative(
    outputs: list[Tensor], inputs: list[Tensor], cotangents: list[Any], **options: Any
) -> list[Tensor]:
    """`autograd.grad`, with zeros where nothing depends on an input."""
    pairs = [(y, g) for y, g in zip(outputs, cotangents, strict=True) if y._node is not None]
    found: Any = [None] * len(inputs)
    if pairs and inputs:
        ys, gs = zip(*pairs, strict=True)
        found = autograd.grad(ys, inputs, gs, allow_unused=True, **options)
    return [ops.zeros_like(x) if d is None else d for x, d in zip(inputs, found, strict=True)]


def vectors(name: str, what: str, like: Any, given: Any) -> list[Tensor]:
    """The leaves of `given`, which must match the tensors in `like` in structure and shape."""
    found = tree.matching(like, given, name=f"{name}: {what}")
    for (path, x), v in zip(tree.paths(like), found, strict=True):
        if check_tensor(name, f"{what}{path}", v).shape != x.shape:
            raise ValueError(f"{name}: {what}{path} must have the shape {x.shape}, got {v.shape}")
    return found


def tuples(name: str, primals: Any, tangents: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    for what, value in (("primals", primals), ("tangents", tangents)):
        if not isinstance(value, tuple | list):
            raise TypeError(
                f"{name}: {what} must be a tuple, one entry for each argument, "
                f"got {type(value).__name__}"
            )
    return tuple(primals), tuple(tangents)


def leaf_of_zeros(y: Tensor) -> Tensor:
    u = ops.zeros_like(y)
    u.requires_grad = True
    return u
