"""What compiled call paths call when the straight line bends: odd arguments, fitting, anomalies."""

from __future__ import annotations

import functools
import math
import sys
import traceback
from types import FrameType
from typing import TYPE_CHECKING, Any

from ..backend import Backend, BackendMismatchError, default_backend
from .graph import Node, Variable, next_sequence
from .mutation import check_unmodified
from .state import state

if TYPE_CHECKING:
    from .definition import Primitive

SCALARS = (int, float, bool, complex)
_new = object.__new__

tensor_type: Any = None  # the Tensor class, bound when tensor.py is imported
namespace: Any = None  # the operations, `B` in the second reading of a rule
late_bound: list[dict[str, Any]] = []


def bind(tensor: type[Variable], operations: Any) -> None:
    """Tell the engine the tensor class and the namespace of operations, which are built on it."""
    global tensor_type, namespace
    tensor_type, namespace = tensor, operations
    for names in late_bound:
        names["_Tensor"] = tensor
    late_bound.clear()


def unwrap(
    p: Primitive, arguments: tuple[Any, ...]
) -> tuple[Backend, tuple[Any, ...], tuple[Any, ...]]:
    """Backend, raw arrays and nodes of a mixture of tensors, scalars and array-likes.

    Python scalars next to an array stay what they are: they take the array's dtype. Array-likes
    become arrays of the tensors' backend (the default one if there is no tensor).
    """
    backend = None
    for a in arguments:
        if isinstance(a, Variable):
            if backend is None:
                backend = a._backend
            elif a._backend is not backend:
                raise BackendMismatchError(
                    f"{p.name}: inputs are on backends {backend.name!r} and {a._backend.name!r}; "
                    f"move one with .to({backend.name!r})"
                )
    scalars_stay = backend is not None or any(
        a is not None and type(a) not in SCALARS for a in arguments
    )
    if backend is None:
        backend = default_backend()
    arrays = []
    nodes = []
    for position, a in enumerate(arguments):
        if isinstance(a, Variable):
            arrays.append(a._data)
            nodes.append(a._node)
            continue
        nodes.append(None)
        if type(a) in SCALARS and scalars_stay:
            arrays.append(a)
        elif a is None:
            if not p.variadic and p.inputs[position] in p.optional:
                arrays.append(a)
            else:
                raise TypeError(f"{p.name}: {_argument(p, position)} must be a tensor, got None")
        else:
            arrays.append(_as_array(p, position, backend, a))
    return backend, tuple(arrays), tuple(nodes)


def _argument(p: Primitive, position: int) -> str:
    return f"input {position}" if p.variadic else f"argument {p.inputs[position]!r}"


def _as_array(p: Primitive, position: int, backend: Backend, value: Any) -> Any:
    try:
        return backend.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{p.name}: {_argument(p, position)} must be a tensor, a number or an array-like, "
            f"got {type(value).__name__}: {error}"
        ) from None


def explained(
    p: Primitive, error: Exception, arrays: tuple[Any, ...], metadata: tuple[Any, ...]
) -> Exception:
    """The error of a forward with the operation's name and arguments, unless it names it already.

    Errors of a class of their own (a matrix that cannot be factored, say) are left as they are.
    """
    axis = isinstance(error, ValueError) and isinstance(error, IndexError)  # NumPy's AxisError
    kind = ValueError if axis else TypeError if isinstance(error, TypeError) else type(error)
    if kind not in (ValueError, TypeError, IndexError) or str(error).startswith(f"{p.name}:"):
        return error
    names = p.inputs * len(arrays) if p.variadic else p.inputs
    given = [_described(n, a) for n, a in zip(names, arrays, strict=True) if a is not None]
    for name, value in zip(p.metadata, metadata, strict=True):
        default = p.signature.parameters[name].default
        if value is not default:
            given.append(_described(name, value))
    explanation = kind(f"{p.name}: {error} ({', '.join(given)})")
    explanation.__cause__ = error
    return explanation


def _described(name: str, value: Any) -> str:
    if hasattr(value, "shape"):
        return f"{name} of shape {tuple(value.shape)}"
    text = repr(value)
    return f"{name}={text if len(text) <= 80 else text[:77] + '...'}"


def shape_of(array: Any) -> Any:
    """The shape of an input as a rule sees it: () for a Python scalar, None where it is absent."""
    if array is None:
        return None
    return () if type(array) in SCALARS else array.shape


def plain(backend: Backend, array: Any) -> Any:
    """An untracked tensor around `array` (None stays None)."""
    return None if array is None else make(backend, backend.wrap(array), None)


def make(backend: Backend, array: Any, node: Any) -> Any:
    """A tensor of its three parts, past the constructor."""
    t = _new(tensor_type)
    t._data = array
    t._node = node
    t._backend = backend
    return t


def copied(x: Variable) -> Any:
    """A tensor with the same values in memory of its own, recorded if recording is on."""
    return namespace.astype(x, x.dtype, copy=True)  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------- several outputs


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
            make(b, a, _link(_selector(i), b, a, node) if a.dtype in b.floating else None)
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


# ----------------------------------------------------------------------------------- backward


def restore(node: Node) -> tuple[Any, ...]:
    """The saved values of a node that does not hold them: recomputed, or an error if freed."""
    if node.saved is None:
        raise RuntimeError(
            f"{node.name}: backward a second time through a graph whose saved values were freed; "
            "pass retain_graph=True to the first backward"
        )
    return node.saved.recompute()


def fit(node: Node, d: Any, parent: Any) -> Any:
    """Bring a gradient to its input's shape and dtype, or say which rule is wrong."""
    operations = namespace if isinstance(d, Variable) else node.backend
    try:
        return operations.fit(d, shape=parent.shape, dtype=parent.dtype)
    except ValueError:
        raise ValueError(
            f"{node.name}: a rule returned a gradient of shape {tuple(d.shape)} for an input of "
            f"shape {tuple(parent.shape)}"
        ) from None


# ------------------------------------------------------------------------------------ anomaly


class AnomalyError(FloatingPointError):
    """A NaN or an infinity was born while `detect_anomaly()` was on."""


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
                f"the operation was recorded at {node.trace or '(outside detect_anomaly)'}"
            )


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


__all__ = [
    "AnomalyError",
    "bind",
    "check_unmodified",
    "complete",
    "explained",
    "fit",
    "inspect_backward",
    "inspect_forward",
    "make",
    "plain",
    "restore",
    "shape_of",
    "transfer",
    "unwrap",
    "user_line",
    "wrap_outputs",
]
