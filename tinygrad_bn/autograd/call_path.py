"""The call path of a primitive, written as straight-line Python: what users call.

Unwrap the tensors, run the forward, record a node if a gradient is wanted, wrap the result. Fixed
arity and no loops, because on small networks this overhead is what users feel.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from ..backend.quiet import IGNORE, calmly, setting
from . import runtime
from .anomaly import inspect_forward
from .graph import Node, next_sequence
from .links import wrap_outputs
from .source import make_function, tuple_source
from .state import state, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .definition import Primitive

_NAMESAKE = "_namesake"
"""Stands in sources for the primitive's own name, so that they do not differ by it."""

_FIRST_CALL = "def _function(*_args, **_kwargs): return _compile()(*_args, **_kwargs)"
"""Source of a public function that has not been called yet."""


def compile_call(p: Primitive, *, raw: bool = False) -> Callable[..., Any]:
    """The public function of a primitive: tensors in, tensors out, a node recorded if wanted.

    It gets its own code at its first call: compiling is most of what a definition costs, and a
    program uses some of the operations only. If `raw`, auxiliary outputs are left as the backend
    gave them; the public function has that form as its attribute `raw`.
    """
    names: dict[str, Any] = {
        "_P": p,
        "_forward": p.forward,
        "_Node": Node,
        "_new": object.__new__,
        "_next_sequence": next_sequence,
        "_type": type,  # not `.__class__`, which Python looks up in full
        "_float": float,
        "_int": int,
        "_calmly": calmly,
        "_set": setting.set,
        "_reset": setting.reset,
        "_IGNORE": IGNORE,
        "_state": state,
        "_watch": watch,
        "_runtime": runtime,
        "_inspect_forward": inspect_forward,
        "_wrap_outputs": wrap_outputs,
        "_Tensor": runtime.tensor_type,
    }
    parameters = list(p.signature.parameters.values())
    names |= {f"_default_{q.name}": q.default for q in parameters if q.name in p.metadata}
    function = make_function(_FIRST_CALL, "call", names)
    names["_compile"] = functools.partial(_compile_into, function, p, raw)
    if runtime.tensor_type is None:
        runtime.late_bound.append(names)
    function.__name__ = function.__qualname__ = p.name
    function.__doc__ = p.forward.__doc__
    function.__module__ = p.forward.__module__
    function.__signature__ = inspect.Signature(parameters[1:])  # type: ignore[attr-defined]
    function.__wrapped_primitive__ = p  # type: ignore[attr-defined]
    if p.aux and not raw:
        function.raw = compile_call(p, raw=True)  # type: ignore[attr-defined]
    return function


def _compile_into(function: Callable[..., Any], p: Primitive, raw: bool) -> Callable[..., Any]:
    """Give the public function of `p` its straight-line code."""
    body = _call_variadic(p, raw) if p.variadic else _call_fixed(p, raw)
    compiled = make_function("\n".join(body), "call", function.__globals__)
    code = compiled.__code__
    names = tuple([p.name if n == _NAMESAKE else n for n in code.co_names])
    function.__defaults__ = compiled.__defaults__
    function.__kwdefaults__ = compiled.__kwdefaults__
    function.__code__ = code.replace(co_names=names, co_name=p.name)  # last: others may call it
    return function


def _parameters(p: Primitive) -> str:
    """The parameter list of the public function: arrays, free metadata, keyword metadata."""
    parts = [f"*{p.inputs[0]}"] if p.variadic else list(map(_optional(p), p.inputs))
    if p.positional_only:
        parts += ["/", *(_with_default(p, name) for name in p.free)]
    if p.keyword and not p.variadic:
        parts.append("*")
    return ", ".join(parts + [_with_default(p, name) for name in p.keyword])


def _optional(p: Primitive) -> Callable[[str], str]:
    return lambda name: f"{name}=None" if name in p.optional else name


def _with_default(p: Primitive, name: str) -> str:
    required = p.signature.parameters[name].default is inspect.Parameter.empty
    return name if required else f"{name}=_default_{name}"


def _metadata_arguments(p: Primitive) -> str:
    free = "".join(f", {name}" for name in p.free)
    return free + "".join(f", {name}={name}" for name in p.keyword)


def _call_fixed(p: Primitive, raw: bool) -> list[str]:
    """Source for inputs that are all named."""
    count = range(len(p.inputs))
    arrays, nodes = tuple_source(f"_a{i}" for i in count), tuple_source(f"_n{i}" for i in count)
    lines = [
        f"def _function({_parameters(p)}):",
        "    try:",
        f"        _B = {p.inputs[0]}._backend",
        *(line for i, n in enumerate(p.inputs) for line in _take(p, i, n)),
        "    except AttributeError:",
        f"        _B, {arrays}, {nodes} = _runtime.unwrap(_P, {tuple_source(p.inputs)})",
        *_forward(p, arrays[1:-1].rstrip(","), arrays),
    ]
    tracked = [i for i in count if p.joint is not None or p.inputs[i] in p.rules]
    condition = " or ".join(f"_n{i} is not None" for i in tracked)
    parents = tuple_source(f"_n{i}" if i in tracked else "None" for i in count)
    saved = tuple_source(_saved_expression(p, name) for name in p.saved)
    return lines + _finish(p, condition, parents, saved, arrays, raw)


def _take(p: Primitive, i: int, name: str) -> list[str]:
    """Source that takes apart input `i` where it is a tensor of the first one's backend, a number
    beside it, or absent."""
    tensor = f"_a{i} = {name}._data; _n{i} = {name}._node"
    if not i:
        return [f"        {tensor}"]
    optional = name in p.optional
    return [
        *([f"        if {name} is None: _a{i} = _n{i} = None"] if optional else []),
        f"        {'elif' if optional else 'if'} _type({name}) is _float "
        f"or _type({name}) is _int: _a{i} = {name}; _n{i} = None",
        f"        elif {name}._backend is _B: {tensor}",
        "        else: raise AttributeError",
    ]


def _forward(p: Primitive, arguments: str, arrays: str) -> list[str]:
    """Source that runs the forward, without NumPy's warnings; what it refuses is explained in
    terms of the operation.

    If all that the forward does is call its namesake of B, that is called, past it.
    """
    arguments += _metadata_arguments(p)
    metadata = tuple_source(p.metadata)
    failed = "    except (ValueError, TypeError, IndexError, OverflowError) as _error:"
    explained = f"raise _runtime.explained(_P, _error, {arrays}, {metadata})"
    if _is_direct(p):
        return [
            "    if _B.placed: _B.activate()",
            "    try:",
            f"        _out = _calmly(_B.{_NAMESAKE}, {arguments})",
            failed,
            f"        {explained}",
            "    except RuntimeError:",
            f"        _out = _runtime.once_more(_P, _B, {arrays}, {metadata})",
        ]
    return [
        "    if _B.placed: _B.activate()",
        "    _token = _set(_IGNORE)",
        "    try:",
        f"        _out = _forward(_B, {arguments})",
        failed,
        f"        {explained}",
        "    finally:",
        "        _reset(_token)",
    ]


def _is_direct(p: Primitive) -> bool:
    """Whether all that the forward does is call its namesake of B with its own arguments.

    Read off its bytecode: equal to that of the one-line function.
    """
    if p.variadic:
        return False
    arguments = ", ".join((*p.inputs, *p.free, *(f"{name}={name}" for name in p.keyword)))
    parameters = ", ".join((*p.inputs, *p.free, *(["*", *p.keyword] if p.keyword else [])))
    template = _template(f"def _function(B, {parameters}):\n    return B.{_NAMESAKE}({arguments})")
    code = p.forward.__code__
    constants = [c for c in code.co_consts if c != p.forward.__doc__]
    return (
        code.co_code == template.co_code
        and code.co_names == (p.name,)
        and constants == [c for c in template.co_consts if c is not None]
    )


@functools.cache
def _template(source: str) -> Any:
    return make_function(source, "template", {}).__code__


def _saved_expression(p: Primitive, name: str) -> str:
    """How to fetch a saved value; only if a rule that needs it has a tracked input."""
    value = _value_expression(p, name)
    users = [key for key, needs in p.needs.items() if name in needs]
    if p.joint is not None or len(users) == len(p.inputs):
        return value
    tracked = " or ".join(f"_n{p.inputs.index(u)} is not None" for u in users)
    return f"{value} if {tracked} else None"


def _value_expression(p: Primitive, name: str) -> str:
    if name in p.inputs:
        return f"_a{p.inputs.index(name)}"
    if name in p.metadata:
        return name
    if name == "out":
        return "_out"
    if name in p.aux:
        return f"_x{p.aux.index(name)}"
    return f"_runtime.shape_of(_a{p.inputs.index(name.removesuffix('_shape'))})"


def _call_variadic(p: Primitive, raw: bool) -> list[str]:
    """Source for one variadic input `*xs`."""
    (xs,) = p.inputs
    lines = [
        f"def _function({_parameters(p)}):",
        f"    _B, _a0, _n0 = _runtime.unwrap(_P, {xs})",
        *_forward(p, "*_a0", "_a0"),
    ]
    shapes = {f"{xs}_shape": "tuple([_runtime.shape_of(a) for a in _a0])"}
    saved = tuple_source(shapes.get(name) or _value_expression(p, name) for name in p.saved)
    condition = "any([n is not None for n in _n0])" if p.differentiable else ""
    return lines + _finish(p, condition, "_n0", saved, "_a0", raw)


def _finish(
    p: Primitive, tracked: str, parents: str, saved: str, originals: str, raw: bool
) -> list[str]:
    """Source of what all calls share: normalise the output, record a node, wrap into tensors."""
    auxiliary = [f"_x{i}" for i in range(len(p.aux))]
    lines = [f"    _out, {', '.join(auxiliary)} = _out"] if p.aux else []
    shape, dtype = "_out.shape", "_out.dtype"
    no_derivative = [
        "        if _dtype is not _B.usual and _dtype not in _B.differentiable:",
        "            _node = _runtime.unrecorded(_P, _node)",
    ]
    if p.outputs > 1:
        normal = "o if _type(o) is _B.array_type else _B.wrap(o)"
        lines.append(f"    _out = tuple([{normal} for o in _out])")
        shape, dtype = "tuple([o.shape for o in _out])", "tuple([o.dtype for o in _out])"
        no_derivative = []  # asked for each output where it is wrapped
    else:
        lines.append("    if _type(_out) is not _B.array_type: _out = _B.wrap(_out)")
    lines.append("    _node = None")
    if tracked:
        lines += [
            f"    if ({tracked}) and (not _watch.paused or _state.grad):",
            "        _node = _new(_Node)",
            "        _node.seq = _next_sequence()",
            "        _node.primitive = _P",
            "        _node.backend = _B",
            f"        _node.shape = {shape}",
            f"        _node.dtype = _dtype = {dtype}",
            f"        _node.parents = {parents}",
            f"        _node.saved = {saved}",
            "        _node.hooks = None",
            "        _node.trace = None",
            *no_derivative,
        ]
    lines.append(f"    if _watch.anomaly: _inspect_forward(_P, _B, {originals}, _out, _node)")
    if p.outputs > 1:
        return [*lines, "    return _wrap_outputs(_B, _out, _node)"]
    for x in () if raw else auxiliary:  # `_runtime.plain`, written out
        lines += [
            f"    if {x} is not None:",
            f"        if _type({x}) is not _B.array_type: {x} = _B.wrap({x})",
            "        _t = _new(_Tensor)",
            f"        _t._data = {x}; _t._node = None; _t._backend = _B",
            f"        {x} = _t",
        ]
    return [
        *lines,
        "    _t = _new(_Tensor)",
        "    _t._data = _out; _t._node = _node; _t._backend = _B",
        f"    return {', '.join(['_t', *auxiliary])}",
    ]
