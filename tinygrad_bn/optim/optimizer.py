"""The base of all optimizers: parameter groups, state, and what both look like when saved."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from ..autograd.mutation import note_mutation
from ..autograd.runtime import make
from ..backend import Backend
from ..backend.quiet import quiet
from ..tensor import Tensor

Group = dict[str, Any]


class Optimizer:
    """Holds parameters in groups, each with its own options, and changes them by their gradients.

    Args:
        params: tensors, or dicts with "params" and options of their own for a group.
        defaults: the options of groups that do not give them.

    Attributes:
        param_groups: dicts of "params" and options; an option may be changed at any time.
        state: what has been gathered for each parameter, by its number in `param_groups` order.

    Raises:
        ValueError: no parameters, one that occurs twice, or an option out of its range.
        TypeError: something that is no tensor, or no leaf; an unknown option.
    """

    slots: tuple[str, ...] = ()
    """Names of the arrays in a parameter's state."""

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self.param_groups: list[Group] = []
        self.state: dict[int, dict[str, Any]] = {}
        if isinstance(params, Tensor | Mapping) or not isinstance(params, Iterable):
            raise TypeError(
                f"{self._name}: params must be an iterable of tensors or of dicts, "
                f"got {type(params).__name__}"
            )
        listed = list(params)
        if not listed:
            raise ValueError(f"{self._name}: params is empty: there is nothing to optimise")
        if not isinstance(listed[0], Mapping):
            listed = [{"params": listed}]
        for group in listed:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    def add_param_group(self, group: Mapping[str, Any]) -> None:
        """Add parameters with options of their own; errors as for the constructor."""
        if not isinstance(group, Mapping):
            raise TypeError(
                f"{self._name}: a group must be a dict with 'params', got {type(group).__name__}"
            )
        if "params" not in group:
            raise ValueError(f"{self._name}: a group needs 'params', got {sorted(group)}")
        unknown = set(group) - {"params", *self.defaults}
        if unknown:
            raise TypeError(
                f"{self._name}: unknown options {sorted(unknown)} in a group; "
                f"known are {sorted(self.defaults)}"
            )
        params = group["params"]
        params = [params] if isinstance(params, Tensor) else list(params)
        taken = {id(p) for g in self.param_groups for p in g["params"]}
        for p in params:
            self._check_param(p)
            if id(p) in taken:
                raise ValueError(f"{self._name}: a parameter of shape {p.shape} is listed twice")
            taken.add(id(p))
        options = {**self.defaults, **group, "params": params}
        self.check_options(options)
        self.param_groups.append(options)

    def _check_param(self, p: Any) -> None:
        if not isinstance(p, Tensor):
            raise TypeError(f"{self._name}: parameters must be tensors, got {type(p).__name__}")
        if not p.is_leaf:
            raise TypeError(
                f"{self._name}: parameters must be leaves, got {p.grad_fn!r} of shape {p.shape}: "
                "the result of an operation"
            )

    def check_options(self, options: Mapping[str, Any]) -> None:
        """Raise ValueError for an option out of its range."""
        raise NotImplementedError

    def _require(self, options: Mapping[str, Any], name: str, least: float = 0.0) -> None:
        value = options[name]
        if not is_number(value):
            raise TypeError(f"{self._name}: {name} must be a number, got {value!r}")
        if not least <= value < math.inf:
            raise ValueError(f"{self._name}: {name} must be >= {least:g} and finite, got {value}")

    # ------------------------------------------------------------------------------- steps

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget all gradients, or set those that exist to zero."""
        for group in self.param_groups:
            for p in group["params"]:
                leaf = p._node  # straight to what `p.grad` reads: this runs for every parameter
                if leaf is not None and leaf.grad is not None:
                    leaf.grad = None if set_to_none else leaf.grad.detach() * 0

    @quiet()
    def step(self) -> None:
        """Change every parameter that has a gradient; the others stay, and so does their state."""
        number = 0
        for group in self.param_groups:
            batches: dict[Backend, list[tuple[int, Tensor, Tensor]]] = {}
            for p in group["params"]:
                g = None if p._node is None else p._node.grad
                if g is not None:
                    batches.setdefault(p._backend, []).append((number, p, g))
                number += 1
            for backend, numbered in batches.items():
                self._update(backend, group, numbered)

    def _update(
        self, backend: Backend, group: Group, numbered: list[tuple[int, Tensor, Tensor]]
    ) -> None:
        states = [self.state.setdefault(i, {}) for i, _, _ in numbered]
        arrays = [p._data for _, p, _ in numbered]
        grads = [g._data for _, _, g in numbered]
        updated = self.update(backend, group, arrays, grads, states)
        for (_, p, _), array in zip(numbered, updated, strict=True):
            p._data = array
        note_mutation(backend, *updated)

    def update(
        self,
        backend: Backend,
        group: Group,
        params: list[Any],
        grads: list[Any],
        states: list[dict[str, Any]],
    ) -> list[Any]:
        """One step over raw arrays of one backend; returns the arrays that hold the new values."""
        raise NotImplementedError

    # ------------------------------------------------------------------------------- state

    def _all_params(self) -> list[Tensor]:
        return [p for group in self.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        """`state`: tensors and numbers by parameter; `param_groups`: options, parameters numbered.

        The tensors share memory with the optimizer's own.
        """
        params = self._all_params()
        state = {
            i: {key: self._exported(params[i], key, value) for key, value in kept.items()}
            for i, kept in self.state.items()
        }
        numbers = iter(range(len(params)))
        groups = [
            {**group, "params": [next(numbers) for _ in group["params"]]}
            for group in self.param_groups
        ]
        return {"state": state, "param_groups": groups}

    def _exported(self, p: Tensor, key: str, value: Any) -> Any:
        if key not in self.slots or value is None:
            return value
        return make(p._backend, value, None)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave, copied onto the backends and dtypes of the parameters.

        Raises ValueError for another number or size of groups, unknown options, and state of
        another shape or kind of optimizer. On an error nothing changes.
        """
        caller = f"{self._name}.load_state_dict"
        if set(state) != {"state", "param_groups"}:
            raise ValueError(
                f"{caller}: keys must be 'state' and 'param_groups', got {sorted(state)}"
            )
        sizes = [len(g["params"]) for g in self.param_groups]
        given = [len(g["params"]) for g in state["param_groups"]]
        if sizes != given:
            raise ValueError(f"{caller}: groups must have {sizes} parameters, got {given}")
        groups = []
        for mine, theirs in zip(self.param_groups, state["param_groups"], strict=True):
            missing = set(self.defaults) - set(theirs)
            if missing:
                raise ValueError(f"{caller}: a group lacks {sorted(missing)}: another optimizer's?")
            unknown = set(theirs) - {"params", *self.defaults}
            if unknown:
                raise ValueError(f"{caller}: a group has unknown options {sorted(unknown)}")
            options = {key: _tupled(value) for key, value in theirs.items()}
            self.check_options(options)
            groups.append({**options, "params": mine["params"]})
        params = self._all_params()
        loaded = {
            int(i): self._imported(caller, int(i), params, kept)
            for i, kept in state["state"].items()
        }
        self.param_groups[:] = groups
        self.state = loaded

    def _imported(
        self, caller: str, i: int, params: list[Tensor], kept: Mapping[str, Any]
    ) -> dict[str, Any]:
        if not 0 <= i < len(params):
            raise ValueError(f"{caller}: no parameter has the number {i}, there are {len(params)}")
        p = params[i]
        result = {}
        for key, value in kept.items():
            if key == "step":
                result[key] = int(value)
                continue
            if key not in self.slots:
                raise ValueError(f"{caller}: parameter {i} has unknown state {key!r}")
            if value is not None:
                tensor = Tensor(value, dtype=p.dtype, backend=p._backend)
                if tensor.shape != p.shape:
                    raise ValueError(
                        f"{caller}: {key} of parameter {i} must have shape {p.shape}, "
                        f"got {tensor.shape}"
                    )
                value = tensor._data
            result[key] = value
        return result

    def __repr__(self) -> str:
        groups = [
            ", ".join(f"{k}={v}" for k, v in g.items() if k != "params") for g in self.param_groups
        ]
        return f"{self._name}({'; '.join(groups)})"


def is_number(value: Any) -> bool:
    """Whether it is a real number, NumPy's included; a tensor is none."""
    return isinstance(value, Real)


def _tupled(value: Any) -> Any:
    """A list as a tuple: JSON knows no tuples."""
    return tuple(value) if isinstance(value, list) else value
