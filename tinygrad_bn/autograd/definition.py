"""`@primitive`: an operation with its derivative beside it, compiled into straight-line calls.

A primitive takes arrays positionally and metadata by keyword; its first argument, `B`, is the
backend. The rules give the derivative, one for each differentiable input, keyed by its name:

    @primitive(
        x=lambda B, g, y: g * y,
        y=lambda B, g, x: g * x,
    )
    def multiply(B, x, y):
        return B.multiply(x, y)

Where the forward has a '/', what stands before it are the arrays, and metadata after it may be
passed by position too, as the Array API standard does: `def reshape(B, x, /, shape)`.

A rule's parameters after `B` and the cotangent `g` name what it needs, and only that is saved:

    an input's name       the input's value (for a variadic `*xs`: the tuple of them)
    out                   the output
    an auxiliary's name   one of the further values that the forward returned (`aux=`)
    a metadata name       the keyword argument
    <input>_shape         the shape of an input, which keeps no data alive
    wants                 which inputs want a gradient, in order (for a rule that serves them all)

One positional rule instead of keywords serves all inputs at once and returns a tuple, `None` where
there is no gradient. An op with several differentiable outputs (`outputs=n`) gives its rules a
tuple of cotangents.

A rule is read in two ways: on raw arrays with `B` the backend (the fast first-order backward), and
on tensors with `B` the namespace of operations (`create_graph=True`), where it is recorded itself.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from .call_path import compile_call
from .graph import Leaf, Node, Variable
from .pull_path import compile_pull

P = ParamSpec("P")
R = TypeVar("R")
Rule = Callable[..., Any]

RESERVED = ("out", "wants")

MANY = sys.maxsize
"""`outputs=MANY`: several outputs, how many depends on the arguments."""


class Primitive:
    """What the engine knows about an operation: its forward, its rules and what they need.

    Attributes:
        name: the operation's name, as errors and `repr` show it: the forward's, less underscores
            in front.
        inputs: the names of the array inputs, in order; one name for all of a variadic `*xs`.
        metadata: the names of the arguments that are no arrays.
        free, keyword: those of them that may be passed by position, and those that may not.
        aux: the names of the auxiliary outputs.
        outputs: the number of differentiable outputs.
        rules: rule by input name; empty if a joint rule serves all or nothing is differentiable.
        joint: the rule that serves all inputs, or None.
        saved: the names kept for the rules, in the order of `Node.saved`.
        pull: the first-order backward, see `pull_path`.
    """

    def __init__(
        self,
        forward: Callable[..., Any],
        rules: dict[str, Rule],
        joint: Rule | None,
        aux: tuple[str, ...],
        outputs: int,
    ) -> None:
        self.forward = forward
        self.name = forward.__name__.lstrip("_")
        self.signature = inspect.signature(forward)
        parameters = list(self.signature.parameters.values())[1:]
        positional = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
        free = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
        if not positional:
            positional, free = free, []
        variadic = [p for p in parameters if p.kind is p.VAR_POSITIONAL]
        self.variadic = bool(variadic)
        self.inputs = tuple(p.name for p in positional or variadic)
        self.optional = tuple(p.name for p in positional if p.default is None)
        self.free = tuple(p.name for p in free)
        self.keyword = tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)
        self.metadata = (*self.free, *self.keyword)
        self.positional_only = any(p.kind is p.POSITIONAL_ONLY for p in parameters)
        self.aux = aux
        self.outputs = outputs
        self.rules = rules
        self.joint = joint
        self._check(positional, variadic, parameters)
        self.needs = {key: _parameter_names(rule)[2:] for key, rule in self._all_rules()}
        self.saved = self._saved_names()
        self.pull: Callable[..., None] = self._first_pull

    def _first_pull(self, *arguments: Any) -> None:
        """Compile the first-order backward, which takes this method's place."""
        self.pull = compile_pull(self)
        self.pull(*arguments)

    @property
    def differentiable(self) -> bool:
        """Whether any input has a derivative."""
        return bool(self.rules) or self.joint is not None

    def _all_rules(self) -> list[tuple[str, Rule]]:
        return [("", self.joint)] if self.joint is not None else list(self.rules.items())

    def _saved_names(self) -> tuple[str, ...]:
        names = dict.fromkeys(n for needs in self.needs.values() for n in needs if n != "wants")
        for name in names:
            base = name.removesuffix("_shape")
            if name in ("out", *self.inputs, *self.metadata, *self.aux) or base in self.inputs:
                continue
            raise TypeError(
                f"primitive {self.name}: a rule asks for {name!r}, which is none of its inputs "
                f"{self.inputs}, metadata {self.metadata}, auxiliary outputs {self.aux}, "
                "'out', 'wants' or '<input>_shape'"
            )
        return tuple(names)

    def _check(self, positional: list[Any], variadic: list[Any], parameters: list[Any]) -> None:
        if positional and variadic:
            raise TypeError(f"primitive {self.name}: inputs are either all named or one '*xs'")
        if not self.inputs:
            raise TypeError(f"primitive {self.name}: needs at least one array input after 'B'")
        for p in positional:
            if p.default not in (p.empty, None):
                raise TypeError(
                    f"primitive {self.name}: array input {p.name!r} may default to None only; "
                    "pass metadata by keyword (after '*')"
                )
        for p in parameters:
            if p.kind is p.VAR_KEYWORD or p.name in RESERVED or p.name.startswith("_"):
                raise TypeError(f"primitive {self.name}: parameter {p.name!r} is not allowed")
        if self.joint is not None and self.rules:
            raise TypeError(f"primitive {self.name}: give one joint rule or named rules, not both")
        for key in self.rules:
            if key not in self.inputs:
                raise TypeError(
                    f"primitive {self.name}: rule for {key!r}, which is not one of its inputs "
                    f"{self.inputs}"
                )

    def parent_groups(self, parents: tuple[Any, ...]) -> dict[str, Any]:
        """The nodes of the inputs, by input name (all of them under a variadic's one name)."""
        if self.variadic:
            return {self.inputs[0]: parents}
        return dict(zip(self.inputs, parents, strict=True))

    def __repr__(self) -> str:
        return f"<primitive {self.name}>"


def _parameter_names(rule: Rule) -> tuple[str, ...]:
    code = getattr(rule, "__code__", None)
    if code is None:  # a partial or another callable
        return tuple(inspect.signature(rule).parameters)
    return tuple(code.co_varnames[: code.co_argcount])


def primitive(
    joint: Rule | None = None,
    *,
    aux: tuple[str, ...] = (),
    outputs: int = 1,
    **rules: Rule,
) -> Callable[[Callable[Concatenate[Any, P], R]], Callable[P, Any]]:
    """Make an operation of a forward function `f(B, *arrays, **metadata)` and its derivative rules.

    Args:
        joint: one rule `(B, g, ...) -> tuple` for all inputs, instead of named ones.
        aux: names of auxiliary outputs: the forward returns `(out, *aux)`, callers get them as
            untracked tensors, and rules may name them.
        outputs: number of differentiable outputs; the forward returns a tuple of them. `MANY`
            where the number depends on the arguments.
        rules: for each differentiable input, `(B, g, ...) -> gradient`.

    Returns:
        A decorator; the decorated function takes tensors (or scalars and array-likes) and
        returns tensors.

    Raises:
        TypeError: when the definition is inconsistent: a rule for an unknown input, a rule that
            needs an unknown name, array inputs with defaults.

    The gradient that a rule returns need not have the input's exact shape: what was broadcast is
    summed, what was reduced is broadcast, and the dtype is cast, by the engine.
    """

    def decorate(forward: Callable[Concatenate[Any, P], R]) -> Callable[P, Any]:
        for what, function in (("the forward", forward), ("a rule", joint), *rules.items()):
            if function is not None and not callable(function):
                raise TypeError(f"primitive: {what} must be a function, got {function!r}")
        spec = Primitive(forward, rules, joint, aux, outputs)
        return compile_call(spec)

    return decorate


__all__ = ["Leaf", "Node", "Primitive", "Rule", "Variable", "primitive"]
