"""What compiled call paths call off the straight line: odd arguments, freed values, fitting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..backend import Backend, BackendMismatchError, default_backend
from ..backend.quiet import quiet
from ..refusal import described
from .graph import Node, Variable

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
    become arrays of the tensors' backend (the default one if there is no tensor), of their own
    memory where a rule may save them: the caller may write to his before the backward pass.
    """
    backend = None
    copy = None
    for a in arguments:
        if isinstance(a, Variable):
            copy = copy or a._node is not None or None
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
            arrays.append(_as_array(p, position, backend, a, copy))
    return backend, tuple(arrays), tuple(nodes)


def _argument(p: Primitive, position: int) -> str:
    return f"input {position}" if p.variadic else f"argument {p.inputs[position]!r}"


def _as_array(p: Primitive, position: int, backend: Backend, value: Any, copy: bool | None) -> Any:
    try:
        return backend.asarray(value, copy=copy)
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"{p.name}: {_argument(p, position)} must be a tensor, a number or an array-like, "
            f"got {type(value).__name__}: {error}"
        ) from None


def explained(
    p: Primitive, error: Exception, arrays: tuple[Any, ...], metadata: tuple[Any, ...]
) -> Exception:
    """The error of a forward with the operation's name and arguments, unless it names one already.

    Errors of a class of their own (a matrix that cannot be factored, say) are left as they are.
    """
    axis = isinstance(error, ValueError) and isinstance(error, IndexError)  # NumPy's AxisError
    kind = ValueError if axis else TypeError if isinstance(error, TypeError) else type(error)
    if kind not in (ValueError, TypeError, IndexError, OverflowError):
        return error
    named = str(error).partition(":")[0]
    if named == p.name or hasattr(namespace, named):
        return error
    names = p.inputs * len(arrays) if p.variadic else p.inputs
    given = [described(n, a) for n, a in zip(names, arrays, strict=True) if a is not None]
    for name, value in zip(p.metadata, metadata, strict=True):
        default = p.signature.parameters[name].default
        if value is not default:
            given.append(described(name, value))
    explanation = kind(f"{p.name}: {error} ({', '.join(given)})")
    explanation.__cause__ = error
    return explanation


def once_more(
    p: Primitive, backend: Backend, arrays: tuple[Any, ...], metadata: tuple[Any, ...]
) -> Any:
    """The forward again, after a RuntimeError: another thread had just been in `calmly`."""
    try:
        with quiet():
            return p.forward(backend, *arrays, **dict(zip(p.metadata, metadata, strict=True)))
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise explained(p, error, arrays, metadata) from None


def unrecorded(p: Primitive, node: Node) -> None:
    """No node for an output of integers or booleans, which has no derivative.

    Complex outputs have one that is not offered: leaving them out would lose gradients silently.
    """
    if node.dtype in node.backend.floating:
        raise TypeError(
            f"{p.name}: the result of a tensor that requires a gradient is complex, and complex "
            "tensors carry no gradients; use detach(), or no_grad()"
        )


def shape_of(array: Any) -> Any:
    """The shape of an input as a rule sees it: () for a Python scalar, None where it is absent."""
    if array is None:
        return None
    return () if type(array) in SCALARS else array.shape


def plain(backend: Backend, array: Any) -> Any:
    """An untracked tensor around `array` (None stays None)."""
    if array is None:
        return None
    t = _new(tensor_type)
    t._data = array if type(array) is backend.array_type else backend.wrap(array)
    t._node = None
    t._backend = backend
    return t


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


# ----------------------------------------------------------------------------------- backward


def restore(node: Node) -> tuple[Any, ...]:
    """The saved values of a node that does not hold them: recomputed, or an error if freed."""
    if node.saved is None:
        raise RuntimeError(
            f"{node.name}: backward a second time through a graph whose saved values were freed; "
            "pass retain_graph=True to the first backward"
        )
    return node.saved.recompute()


def no_gradient(node: Node, d: Any) -> TypeError:
    """The error for what a rule returned in place of an array."""
    return TypeError(f"{node.name}: a rule must return a gradient, got {type(d).__name__}")


def miscounted(node: Node, results: Any) -> ValueError:
    """The error for a joint rule that returned too few gradients or too many."""
    return ValueError(
        f"{node.name}: a rule must return one gradient (or None) for each of {len(node.parents)} "
        f"inputs, got {len(results)}"
    )


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
