"""The first-order backward of a primitive, written as straight-line Python.

Take the cotangent, evaluate the wanted rules on raw arrays, pass the results on to the parents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import runtime
from .mutation import check_unmodified
from .source import make_function, tuple_source
from .state import watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from .definition import Primitive


def compile_pull(p: Primitive) -> Callable[..., None]:
    """The first-order backward of a primitive: `pull(node, g, grads, owned, wanted)`.

    `grads` maps nodes to cotangents gathered so far, `owned` holds the nodes whose cotangent is a
    buffer of the engine's own, and `wanted` is None or the set of nodes that lead to an input.
    """
    names: dict[str, Any] = {
        "_runtime": runtime,
        "_watch": watch,
        "_check_unmodified": check_unmodified,
    }
    lines = [
        "def _function(node, g, grads, owned, wanted):",
        "    B = node.backend",
        "    if B.placed: B.activate()",
    ]
    if p.saved:
        lines += [
            "    saved = node.saved",
            "    if type(saved) is not tuple: saved = _runtime.restore(node)",
            "    if node.seq < _watch.latest_mutation: _check_unmodified(node, saved)",
            f"    {tuple_source(f'_s{i}' for i in range(len(p.saved)))} = saved",
        ]
    if p.joint is not None or p.variadic:
        lines += _pull_joint(p, names)
    else:
        lines += _pull_each(p, names)
    return make_function("\n".join(lines), "pull", names)


def _pull_each(p: Primitive, names: dict[str, Any]) -> list[str]:
    """Source that evaluates one rule for each wanted input."""
    lines = [f"    {tuple_source(f'_n{i}' for i in range(len(p.inputs)))} = node.parents"]
    for key, rule in p.rules.items():
        i = p.inputs.index(key)
        names[f"_rule{i}"] = rule
        wanted = f"(wanted is None or _n{i} in wanted)"
        tracked = f"_n{i} is not None and " if len(p.inputs) > 1 else ""
        lines.append(f"    if {tracked}{wanted}:")
        lines.append(f"        d = {_rule_call(i, rule, _rule_arguments(p, key))}")
        lines += [f"        {line}" for line in _deliver(f"_n{i}")]
    return lines if p.rules else [*lines, "    pass"]


def _rule_arguments(p: Primitive, key: str) -> str:
    return "".join(
        ", wants" if name == "wants" else f", _s{p.saved.index(name)}" for name in p.needs[key]
    )


_IDENTITY = (lambda B, g: g).__code__.co_code


def _rule_call(index: int, rule: Callable[..., Any], arguments: str) -> str:
    """The expression that evaluates a rule; plain `g` if that is all the rule says."""
    code = getattr(rule, "__code__", None)
    passes = code is not None and code.co_code == _IDENTITY and code.co_argcount == 2
    return "g" if passes else f"_rule{index}(B, g{arguments})"


def _pull_joint(p: Primitive, names: dict[str, Any]) -> list[str]:
    """Source that evaluates the one rule which serves all inputs."""
    key = "" if p.joint is not None else p.inputs[0]
    if key and key not in p.rules:
        return ["    pass"]
    names["_rule"] = p.joint if p.joint is not None else p.rules[key]
    wants = "tuple([n is not None and (wanted is None or n in wanted) for n in node.parents])"
    return [
        *([f"    wants = {wants}"] if "wants" in p.needs[key] else []),
        f"    results = _rule(B, g{_rule_arguments(p, key)})",
        "    if len(results) != len(node.parents): raise _runtime.miscounted(node, results)",
        "    i = 0",
        "    for n in node.parents:",
        "        d = results[i]",
        "        i += 1",
        "        if n is not None and d is not None and (wanted is None or n in wanted):",
        *[f"            {line}" for line in _deliver("n")],
    ]


def _deliver(parent: str) -> list[str]:
    """Source that fits gradient `d` to its parent and adds it to what has gathered there."""
    return [
        "try:",
        f"    misfit = d.shape != {parent}.shape or ("
        f"d.dtype is not {parent}.dtype and d.dtype != {parent}.dtype)",
        "except AttributeError:",
        "    raise _runtime.no_gradient(node, d) from None",
        f"if misfit: d = _runtime.fit(node, d, {parent})",
        f"if {parent} not in grads: grads[{parent}] = d",
        f"elif {parent} in owned: grads[{parent}] += d",
        f"else: grads[{parent}] = grads[{parent}] + d; owned.add({parent})",
    ]
