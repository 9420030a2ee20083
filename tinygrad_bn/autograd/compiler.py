"""Writes the two call paths of a primitive as straight-line Python, once, when it is defined.

`compile_call` makes the function that users call: unwrap the tensors, run the forward, record a
node. `compile_pull` makes the first-order backward: take the cotangent, evaluate the wanted rules
on raw arrays, pass the results on. Fixed arity and no loops, because on small networks this
overhead is what users feel. Sources are cached by text: primitives of the same form share code.
"""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

from . import runtime
from .graph import Node, Variable, next_sequence
from .state import state, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .primitive import Primitive


@functools.cache
def _compiled(source: str, kind: str) -> Any:
    return compile(source, f"<tinygrad_bn {kind}>", "exec")


def _function(source: str, kind: str, names: dict[str, Any]) -> Callable[..., Any]:
    exec(_compiled(source, kind), names)
    return names["function"]


# ------------------------------------------------------------------------------------ forward


def compile_call(p: Primitive) -> Callable[..., Any]:
    """The public function of a primitive: tensors in, tensors out, a node recorded if wanted."""
    body = _call_variadic(p) if p.variadic else _call_fixed(p)
    names = {
        "P": p,
        "forward": p.forward,
        "Variable": Variable,
        "Node": Node,
        "new": object.__new__,
        "next_sequence": next_sequence,
        "state": state,
        "watch": watch,
        "runtime": runtime,
        "T": runtime.tensor_type,
    }
    parameters = list(p.signature.parameters.values())
    names |= {f"d_{q.name}": q.default for q in parameters if q.name in p.metadata}
    function = _function(body, "call", names)
    runtime.late_bound.append(names)
    function.__name__ = function.__qualname__ = p.name
    function.__doc__ = p.forward.__doc__
    function.__module__ = p.forward.__module__
    function.__signature__ = inspect.Signature(parameters[1:])  # type: ignore[attr-defined]
    function.__wrapped_primitive__ = p  # type: ignore[attr-defined]
    return function


def _parameters(p: Primitive, inputs: str) -> str:
    """The parameter list of the public function: arrays, free metadata, keyword metadata."""
    keyword = [name for name in p.metadata if name not in p.free]
    parts = [inputs]
    if p.free:
        parts += ["/", *(_with_default(p, name) for name in p.free)]
    if keyword and not p.variadic:
        parts.append("*")
    return ", ".join(parts + [_with_default(p, name) for name in keyword])


def _with_default(p: Primitive, name: str) -> str:
    required = p.signature.parameters[name].default is inspect.Parameter.empty
    return name if required else f"{name}=d_{name}"


def _metadata_arguments(p: Primitive) -> str:
    keyword = "".join(f", {name}={name}" for name in p.metadata if name not in p.free)
    return "".join(f", {name}" for name in p.free) + keyword


def _call_fixed(p: Primitive) -> str:
    """Source for inputs that are all named."""
    inputs = p.inputs
    arguments = ", ".join(f"{n}=None" if n in p.optional else n for n in inputs)
    many = ", ".join
    arrays, nodes = many(f"{n}_a" for n in inputs), many(f"{n}_n" for n in inputs)
    lines = [
        f"def function({_parameters(p, arguments)}):",
        "    try:",
        f"        B = {inputs[0]}._backend",
        *(f"        if {n}._backend is not B: raise AttributeError" for n in inputs[1:]),
        *(f"        {n}_a = {n}._data; {n}_n = {n}._node" for n in inputs),
        "    except AttributeError:",
        f"        B, ({arrays},), ({nodes},) = runtime.unwrap(P, ({many(inputs)},))",
        f"    out = {_forward_call(p)}{arrays}{_metadata_arguments(p)})",
    ]
    tracked = [n for n in inputs if p.joint is not None or n in p.rules]
    any_tracked = " or ".join(f"{n}_n is not None" for n in tracked)
    parents = many(f"{n}_n" if n in tracked else "None" for n in inputs)
    saved = many(_saved_expression(p, name) for name in p.saved)
    originals = f"({many(f'{n}_a' for n in inputs)},)"
    return "\n".join(lines + _finish(p, any_tracked, f"({parents},)", saved, originals))


def _forward_call(p: Primitive) -> str:
    """How to begin the call of the forward: past it, if all it does is call its namesake of B.

    Whether it does is read off its bytecode: equal to that of the one-line function.
    """
    keyword = [name for name in p.metadata if name not in p.free]
    arguments = ", ".join((*p.inputs, *p.free, *(f"{name}={name}" for name in keyword)))
    parameters = ", ".join((*p.inputs, *p.free, *(["*", *keyword] if keyword else [])))
    source = f"def function(B, {parameters}):\n    return B.{p.name}({arguments})"
    template = _template(source)
    code = p.forward.__code__
    constants = [c for c in code.co_consts if c != p.forward.__doc__]
    same = code.co_code == template.co_code and code.co_names == template.co_names
    direct = same and constants == [c for c in template.co_consts if c is not None]
    return f"B.{p.name}(" if direct else "forward(B, "


@functools.cache
def _template(source: str) -> Any:
    names: dict[str, Any] = {}
    exec(source, names)
    return names["function"].__code__


def _saved_expression(p: Primitive, name: str) -> str:
    """How to fetch a saved value; only if a rule that needs it has a tracked input."""
    value = _value_expression(p, name)
    users = [key for key, needs in p.needs.items() if name in needs]
    if p.joint is not None or len(users) == len(p.inputs):
        return value
    return f"{value} if {' or '.join(f'{u}_n is not None' for u in users)} else None"


def _value_expression(p: Primitive, name: str) -> str:
    if name in p.inputs:
        return f"{name}_a"
    if name in p.metadata or name in p.aux or name == "out":
        return name
    return f"runtime.shape_of({name.removesuffix('_shape')}_a)"


def _call_variadic(p: Primitive) -> str:
    """Source for one variadic input `*xs`."""
    (xs,) = p.inputs
    lines = [
        f"def function({_parameters(p, f'*{xs}')}):",
        f"    B, {xs}_a, {xs}_n = runtime.unwrap(P, {xs})",
        f"    out = forward(B, *{xs}_a{_metadata_arguments(p)})",
    ]
    values = {f"{xs}_shape": f"tuple([runtime.shape_of(a) for a in {xs}_a])"}
    saved = ", ".join(values.get(name) or _value_expression(p, name) for name in p.saved)
    tracked = f"any([n is not None for n in {xs}_n])" if p.differentiable else ""
    return "\n".join(lines + _finish(p, tracked, f"{xs}_n", saved, f"{xs}_a"))


def _finish(p: Primitive, tracked: str, parents: str, saved: str, originals: str) -> list[str]:
    """Source of what all calls share: normalise the output, record a node, wrap into tensors."""
    if p.aux:
        lines = [f"    out, {', '.join(p.aux)} = out"]
    else:
        lines = []
    if p.outputs > 1:
        lines += ["    out = tuple([a if a.__class__ is B.array_type else B.wrap(a) for a in out])"]
        shape, dtype = "tuple([a.shape for a in out])", "tuple([a.dtype for a in out])"
    else:
        lines += ["    if out.__class__ is not B.array_type: out = B.wrap(out)"]
        shape, dtype = "out.shape", "out.dtype"
    if tracked:
        lines += [
            f"    if ({tracked}) and (not watch.paused or state.grad):",
            "        node = new(Node)",
            "        node.seq = next_sequence()",
            "        node.primitive = P",
            "        node.backend = B",
            f"        node.shape = {shape}",
            f"        node.dtype = {dtype}",
            f"        node.parents = {parents}",
            f"        node.saved = ({saved}{',' if saved else ''})",
            "        node.hooks = None",
            "        node.trace = None",
            "    else:",
            "        node = None",
        ]
    else:
        lines += ["    node = None"]
    lines += [f"    if watch.anomaly: runtime.inspect_forward(P, B, {originals}, out, node)"]
    if p.outputs > 1:
        return [*lines, "    return runtime.wrap_outputs(B, out, node)"]
    lines += [
        "    t = new(T)",
        "    t._data = out; t._node = node; t._backend = B",
    ]
    auxiliary = "".join(f", runtime.plain(B, {a})" for a in p.aux)
    return [*lines, f"    return t{auxiliary}"]


# ----------------------------------------------------------------------------------- backward


def compile_pull(p: Primitive) -> Callable[..., None]:
    """The first-order backward of a primitive: `pull(node, g, grads, owned, wanted)`.

    `grads` maps nodes to cotangents gathered so far, `owned` holds the nodes whose cotangent is a
    buffer of the engine's own, and `wanted` is None or the set of nodes that lead to an input.
    """
    names: dict[str, Any] = {"runtime": runtime, "watch": watch}
    lines = [
        "def function(node, g, grads, owned, wanted):",
        "    B = node.backend",
    ]
    if p.saved:
        lines += [
            "    saved = node.saved",
            "    if saved.__class__ is not tuple: saved = runtime.restore(node)",
            "    if node.seq < watch.latest_mutation: runtime.check_unmodified(node, saved)",
            f"    {', '.join(p.saved)}, = saved",
        ]
    if p.joint is not None or p.variadic:
        lines += _pull_joint(p, names)
    else:
        lines.append(f"    {', '.join(f'{n}_n' for n in p.inputs)}, = node.parents")
        for key, rule in p.rules.items():
            names[f"rule_{key}"] = rule
            arguments = "".join(f", {n}" for n in p.needs[key])
            if len(p.inputs) == 1:
                lines.append(f"    if wanted is None or {key}_n in wanted:")
            else:
                lines.append(
                    f"    if {key}_n is not None and (wanted is None or {key}_n in wanted):"
                )
            lines.append(f"        d = {_rule_call(key, rule, arguments)}")
            lines += [f"        {line}" for line in _deliver(f"{key}_n")]
    return _function("\n".join(lines), "pull", names)


_IDENTITY = (lambda B, g: g).__code__.co_code


def _rule_call(key: str, rule: Callable[..., Any], arguments: str) -> str:
    """The expression that evaluates a rule; plain `g` if that is all the rule says."""
    code = getattr(rule, "__code__", None)
    passes = code is not None and code.co_code == _IDENTITY and code.co_varnames[1:] == ("g",)
    return "g" if passes else f"rule_{key}(B, g{arguments})"


def _pull_joint(p: Primitive, names: dict[str, Any]) -> list[str]:
    key = "" if p.joint is not None else p.inputs[0]
    names["rule"] = p.joint if p.joint is not None else p.rules.get(key)
    if names["rule"] is None:
        return ["    pass"]
    needs = p.needs[key]
    wants = "tuple([n is not None and (wanted is None or n in wanted) for n in node.parents])"
    arguments = "".join(f", {n}" for n in needs)
    return [
        *([f"    wants = {wants}"] if "wants" in needs else []),
        f"    for n, d in zip(node.parents, rule(B, g{arguments}), strict=True):",
        "        if n is not None and d is not None and (wanted is None or n in wanted):",
        *[f"            {line}" for line in _deliver("n")],
    ]


def _deliver(parent: str) -> list[str]:
    """Source that fits gradient `d` to its parent and adds it to what has gathered there."""
    return [
        f"if d.shape != {parent}.shape or ("
        f"d.dtype is not {parent}.dtype and d.dtype != {parent}.dtype"
        f"): d = runtime.fit(node, d, {parent})",
        f"if {parent} not in grads: grads[{parent}] = d",
        f"elif {parent} in owned: grads[{parent}] += d",
        f"else: grads[{parent}] = grads[{parent}] + d; owned.add({parent})",
    ]
