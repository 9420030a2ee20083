"""The two ways to ask for derivatives: `backward` into `.grad`, and `grad` as a function."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..backend import BackendMismatchError
from . import runtime
from .engine import run, run_plain
from .graph import Variable
from .state import watch


def _sequence(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Sequence) else (value,)


def _is_tensors(value: Any) -> bool:
    """Whether a value is a sequence of tensors, not the numbers of one."""
    return isinstance(value, Sequence) and any(isinstance(v, Variable) for v in value)


def _cotangents(caller: str, outputs: Any, given: Any, create_graph: bool) -> list[Any]:
    """Pairs of node and cotangent for the outputs, checked; 1 for a scalar without a cotangent."""
    single = isinstance(outputs, Variable)
    outputs = _sequence(outputs)
    if not outputs:
        raise ValueError(f"{caller}: needs at least one output, got none")
    if given is None:
        cotangents: tuple[Any, ...] = (None,) * len(outputs)
    else:
        cotangents = (given,) if single and not _is_tensors(given) else _sequence(given)
    if len(cotangents) != len(outputs):
        raise ValueError(
            f"{caller}: {len(outputs)} outputs need as many cotangents, got {len(cotangents)}"
        )
    return [_root(caller, y, g, create_graph) for y, g in zip(outputs, cotangents, strict=True)]


def _root(caller: str, y: Any, g: Any, create_graph: bool) -> tuple[Any, Any]:
    """Node and cotangent of one output, checked."""
    if not isinstance(y, Variable):
        raise TypeError(f"{caller}: outputs must be tensors, got {type(y).__name__}")
    if y._node is None:
        raise RuntimeError(
            f"{caller}: the output does not depend on any tensor with requires_grad=True "
            "(or was computed under no_grad)"
        )
    if (
        isinstance(g, Variable)
        and g._backend is y._backend
        and g._data.shape == y._data.shape
        and g._data.dtype == y._data.dtype
    ):
        return y._node, g if create_graph else g._data
    return y._node, _one_cotangent(caller, y, g, create_graph)


def _one_cotangent(caller: str, y: Variable, g: Any, create_graph: bool) -> Any:
    backend = y._backend
    shape = y._data.shape
    if g is None:
        if math.prod(shape) != 1:
            raise RuntimeError(
                f"{caller}: an output of shape {tuple(shape)} needs a cotangent of that shape; "
                "only an output of one element has the default cotangent 1"
            )
        g = runtime.make(backend, backend.ones(shape, dtype=y.dtype), None)  # type: ignore[attr-defined]
    elif not isinstance(g, Variable):
        try:
            g = runtime.make(backend, backend.asarray(g, y.dtype), None)  # type: ignore[attr-defined]
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{caller}: a cotangent must be a tensor or an array-like of numbers, got {g!r}"
            ) from error
    if g._backend is not backend:
        raise BackendMismatchError(
            f"{caller}: the output is on backend {backend.name!r} and its cotangent on "
            f"{g._backend.name!r}; move it with .to({backend.name!r})"
        )
    if g._data.shape != shape:
        raise ValueError(
            f"{caller}: the cotangent of an output of shape {tuple(shape)} must have that shape, "
            f"got {tuple(g._data.shape)}"
        )
    if g._data.dtype != y._data.dtype:
        g = runtime.namespace.astype(g, y.dtype)  # type: ignore[attr-defined]
    return g if create_graph else g._data


def backward(
    outputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Add the gradient of `outputs` with respect to every leaf to the leaf's `.grad`.

    Σᵢ ⟨grad_outputsᵢ, outputsᵢ⟩ is what is differentiated.

    Args:
        outputs: a tensor or a sequence of tensors.
        grad_outputs: the cotangents, of the outputs' shapes; may be left out for one-element
            outputs (then 1).
        retain_graph: keep the saved values for another backward; default: `create_graph`.
        create_graph: record the backward pass itself, so that `.grad` can be differentiated.

    Raises:
        RuntimeError: an output that depends on nothing that requires a gradient, an output of
            several elements without a cotangent, a graph that was freed, or a saved array that
            was modified in place.
        ValueError: no outputs, or a cotangent of the wrong shape.
    """
    backward_from(outputs, grad_outputs, retain_graph, create_graph)


def backward_from(
    outputs: Any, grad_outputs: Any, retain_graph: bool | None, create_graph: bool
) -> None:
    """`backward`, all of its arguments by position: the call that every training step makes."""
    retain = create_graph if retain_graph is None else retain_graph
    if isinstance(outputs, Variable) and (
        grad_outputs is None or isinstance(grad_outputs, Variable)
    ):
        root = _root("backward", outputs, grad_outputs, create_graph)
        if not create_graph and not watch.anomaly:
            run_plain({root[0]: root[1]}, retain)
            return
        roots = [root]
    else:
        roots = _cotangents("backward", outputs, grad_outputs, create_graph)
    run(roots, retain_graph=retain, create_graph=create_graph, capture=None)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    *,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> Any:
    """Gradients of `outputs` with respect to `inputs`, returned instead of accumulated.

    Σᵢ ⟨grad_outputsᵢ, outputsᵢ⟩ is what is differentiated. Only the part of the graph between
    outputs and inputs is walked; `.grad` of all leaves stays as it is.

    Args:
        outputs: a tensor or a sequence of tensors.
        inputs: a tensor or a sequence of tensors, leaves or intermediate results.
        grad_outputs: the cotangents; may be left out for one-element outputs (then 1).
        retain_graph: keep the saved values for another backward; default: `create_graph`.
        create_graph: record the backward pass, so that the results can be differentiated again.
        allow_unused: give None for an input that the outputs do not depend on, not an error.

    Returns:
        A gradient for a single input, a tuple for a sequence; shapes and dtypes of the inputs.

    Raises:
        RuntimeError: as `backward`, and for an input that does not require a gradient or is not
            part of the graph (unless `allow_unused`).
        ValueError: no outputs, or a cotangent of the wrong shape.
    """
    targets = _sequence(inputs)
    for i, x in enumerate(targets):
        if not isinstance(x, Variable):
            raise TypeError(f"grad: inputs must be tensors, got {type(x).__name__} at {i}")
        if x._node is None and not allow_unused:
            raise RuntimeError(f"grad: input {i} does not require a gradient")
    roots = _cotangents("grad", outputs, grad_outputs, create_graph)
    capture: dict[Any, Any] = {x._node: None for x in targets if x._node is not None}
    retain = create_graph if retain_graph is None else retain_graph
    run(roots, retain_graph=retain, create_graph=create_graph, capture=capture)
    results: list[Any] = []
    given: set[Any] = set()
    for i, x in enumerate(targets):
        g = _captured(capture.get(x._node), i, allow_unused)
        results.append(runtime.copied(g) if x._node in given and g is not None else g)
        given.add(x._node)
    return tuple(results) if isinstance(inputs, Sequence) else results[0]


def _captured(g: Any, position: int, allow_unused: bool) -> Any:
    if g is None:
        if allow_unused:
            return None
        raise RuntimeError(
            f"grad: the outputs do not depend on input {position}; "
            "pass allow_unused=True to get None for it"
        )
    return g
