"""Modules that hold modules: in a row, in a list, by name."""

from __future__ import annotations

import operator
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import Any, Self, overload

from .module import Module


class _Numbered(Module):
    """Children called "0", "1", …, in order (or, in `Sequential`, by names of the user's)."""

    def _keys(self) -> list[str]:
        return list(self._module_names)

    def _key(self, index: int) -> str:
        keys = self._keys()
        try:
            number = operator.index(index)
        except TypeError:
            raise TypeError(
                f"{type(self).__name__}: index must be an integer or a slice, got {index!r}"
            ) from None
        if not -len(keys) <= number < len(keys):
            raise IndexError(
                f"{type(self).__name__}: index must be in [-{len(keys)}, {len(keys)}), got {number}"
            )
        return keys[number]

    @overload
    def __getitem__(self, index: int) -> Module: ...
    @overload
    def __getitem__(self, index: slice) -> Self: ...

    def __getitem__(self, index: int | slice) -> Module | Self:
        if isinstance(index, slice):
            return self._sliced(self._keys()[index])
        return getattr(self, self._key(index))

    def _sliced(self, keys: list[str]) -> Self:
        raise NotImplementedError

    def __setitem__(self, index: int, module: Module) -> None:
        self.add_module(self._key(index), module)

    def __len__(self) -> int:
        return len(self._module_names)

    def __iter__(self) -> Iterator[Module]:
        return self.children()

    def append(self, module: Module) -> Self:
        """Add a module at the end, under the first number from the length on that is free."""
        number = len(self)
        while str(number) in self._module_names:  # a slice keeps the numbers of its modules
            number += 1
        self.add_module(str(number), module)
        return self

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add modules at the end."""
        for module in modules:
            self.append(module)
        return self


class Sequential(_Numbered):
    """Modules applied one after the other.

    `Sequential(a, b)` names them "0", "1"; `Sequential({"first": a, "second": b})` takes the
    names given. Indexing gives a module, slicing another Sequential of the same modules.

    Raises TypeError for what is no module.
    """

    def __init__(self, *modules: Module | Mapping[str, Module]) -> None:
        super().__init__()
        if len(modules) == 1 and isinstance(modules[0], Mapping):
            named: Mapping[str, Any] = modules[0]
        else:
            named = {str(i): module for i, module in enumerate(modules)}
        for name, module in named.items():
            self.add_module(name, module)

    def _sliced(self, keys: list[str]) -> Self:
        return type(self)({key: getattr(self, key) for key in keys})

    def forward(self, x: Any) -> Any:
        """The last module's result."""
        for name in self._module_names:
            x = self.__dict__[name](x)
        return x


class ModuleList(_Numbered):
    """A list of modules, registered; it has no forward of its own.

    Raises TypeError for what is no module.
    """

    def __init__(self, modules: Iterable[Module] = ()) -> None:
        super().__init__()
        if not isinstance(modules, Iterable):
            raise TypeError(f"ModuleList: modules must be an iterable of modules, got {modules!r}")
        self.extend(modules)

    def _sliced(self, keys: list[str]) -> Self:
        return type(self)(getattr(self, key) for key in keys)


class ModuleDict(Module):
    """Modules by name, registered; it has no forward of its own.

    Raises TypeError for what is no module.
    """

    def __init__(self, modules: Mapping[str, Module] | None = None) -> None:
        super().__init__()
        if modules is not None and not isinstance(modules, Mapping):
            raise TypeError(f"ModuleDict: modules must be modules by name, got {modules!r}")
        self.update(modules or {})

    def update(self, modules: Mapping[str, Module]) -> None:
        """Add or replace modules."""
        for name, module in modules.items():
            self.add_module(name, module)

    def __getitem__(self, name: str) -> Module:
        if name not in self._module_names:
            raise KeyError(f"ModuleDict: no module {name!r}; there are {list(self._module_names)}")
        return getattr(self, name)

    def __setitem__(self, name: str, module: Module) -> None:
        self.add_module(name, module)

    def __delitem__(self, name: str) -> None:
        self[name]
        delattr(self, name)

    def __len__(self) -> int:
        return len(self._module_names)

    def __iter__(self) -> Iterator[str]:
        return iter(self._module_names)

    def __contains__(self, name: object) -> bool:
        return name in self._module_names

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._module_names.keys()

    def values(self) -> ValuesView[Module]:
        """The modules."""
        return dict(self.named_children()).values()

    def items(self) -> ItemsView[str, Module]:
        """Names and modules."""
        return dict(self.named_children()).items()
