"""What enters and leaves the modules of a network, and the gradients that come back."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from .. import nn
from ..tensor import Tensor
from .distributions import Array


def layers(model: nn.Module, kind: type[nn.Module]) -> list[str]:
    """The names of all modules of a kind, in the order of `named_modules`."""
    return [name for name, module in model.named_modules() if isinstance(module, kind)]


def find(owner: str, model: nn.Module, names: Iterable[str]) -> dict[str, nn.Module]:
    """The modules of these names; ValueError, with the nearest match, for one there is not."""
    modules = dict(model.named_modules())
    for name in (wanted := list(names)):
        if name not in modules:
            near = difflib.get_close_matches(name, modules, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise ValueError(f"{owner}: {type(model).__name__} has no module {name!r}{hint}")
    return {name: modules[name] for name in wanted}


@dataclass
class Recording:
    """The latest call of a module: arrays of its first input, its output and what came back.

    `gradient` is that of the loss by the output; None until a backward pass, or if not asked for.
    """

    input: Array
    output: Array
    gradient: Array | None = None


class Hooks:
    """Something that watches modules while a `with` block lasts."""

    def __init__(self) -> None:
        self._handles: list[Any] = []

    def _attach(self) -> list[Any]:
        """Register the hooks; returns their handles."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._handles += self._attach()
        return self

    def __exit__(self, *exc: object) -> None:
        while self._handles:
            self._handles.pop().remove()


class Recorder(Hooks):
    """Records the latest call of modules, by name, while the `with` block lasts.

    Args:
        model: any module.
        names: which of its modules, by their dotted names; "" is the model.
        gradients: also record the gradients that arrive at their outputs.

    Raises ValueError for a name that the model has not; KeyError for one that was not called.
    """

    def __init__(self, model: nn.Module, names: Iterable[str], *, gradients: bool = False) -> None:
        super().__init__()
        self._modules = find("Recorder", model, names)
        self._gradients = gradients
        self._recordings: dict[str, Recording] = {}

    def _attach(self) -> list[Any]:
        return [m.register_forward_hook(self._hook(name)) for name, m in self._modules.items()]

    def __getitem__(self, name: str) -> Recording:
        if name not in self._recordings:
            raise KeyError(f"Recorder: {name!r} has not been called; {list(self._recordings)} have")
        return self._recordings[name]

    def _hook(self, name: str) -> Callable[..., None]:
        def record(module: nn.Module, args: tuple[Any, ...], result: Tensor) -> None:
            seen = Recording(_copy(args[0]), _copy(result))
            self._recordings[name] = seen
            if self._gradients and result.requires_grad:
                result.register_hook(lambda g: setattr(seen, "gradient", _copy(g)))

        return record


def _copy(x: Tensor) -> Array:
    return np.array(x.detach().numpy())
