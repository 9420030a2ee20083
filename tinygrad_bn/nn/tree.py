"""What a module knows of its attributes: which are parameters, buffers and modules; the tree."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..tensor import Tensor
from .parameter import Parameter

_KINDS = ("_parameter_names", "_buffer_names", "_module_names")


class Tree:
    """Files attributes by kind; the values themselves are ordinary attributes, quick to reach."""

    _parameter_names: dict[str, None]
    _buffer_names: dict[str, bool]  # whether it is persistent
    _module_names: dict[str, None]

    def __init__(self) -> None:
        for kind in _KINDS:
            object.__setattr__(self, kind, {})

    # ----------------------------------------------------------------------- registration

    def __setattr__(self, name: str, value: Any) -> None:
        names = self.__dict__
        if _KINDS[0] not in names:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        if isinstance(value, Parameter):
            self._enlist("_parameter_names", name)
        elif isinstance(value, Tree):
            self._enlist("_module_names", name)
        elif name in self._buffer_names or name in self._parameter_names:
            kind = "buffer" if name in self._buffer_names else "parameter"
            if value is not None and (kind == "parameter" or not isinstance(value, Tensor)):
                wanted = "a Parameter" if kind == "parameter" else "a Tensor"
                raise TypeError(
                    f"{type(self).__name__}: {kind} {name!r} must be {wanted} or None, "
                    f"got {type(value).__name__}"
                )
        else:
            self._module_names.pop(name, None)
        object.__setattr__(self, name, value)

    def _enlist(self, kind: str, name: str) -> None:
        """File `name` under one kind: an attribute that changes its kind leaves the old one."""
        if not name or "." in name:
            raise ValueError(
                f"{type(self).__name__}: a name must be a non-empty word without dots, got {name!r}"
            )
        for other in _KINDS:
            if other != kind:
                self.__dict__[other].pop(name, None)
        self.__dict__[kind].setdefault(name, None)

    def __delattr__(self, name: str) -> None:
        object.__delattr__(self, name)
        for kind in _KINDS:
            self.__dict__[kind].pop(name, None)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make `param` the parameter called `name`; None keeps the name for one that is absent.

        Raises TypeError for anything else, ValueError for a name that is taken or has a dot.
        """
        self._check_new("register_parameter", name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"register_parameter: {name!r} must be a Parameter or None, "
                f"got {type(param).__name__}"
            )
        self._enlist("_parameter_names", name)
        object.__setattr__(self, name, param)

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make `tensor` state that is no parameter; part of `state_dict` unless not `persistent`.

        Raises TypeError for anything else, ValueError for a name that is taken or has a dot.
        """
        self._check_new("register_buffer", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"{type(self).__name__}.register_buffer: {name!r} must be a Tensor or None, "
                f"got {type(tensor).__name__}"
            )
        self._enlist("_buffer_names", name)
        self._buffer_names[name] = persistent
        object.__setattr__(self, name, tensor)

    def add_module(self, name: str, module: Tree) -> None:
        """Make `module` the child called `name`.

        Raises TypeError for anything else, ValueError for a name that is taken or has a dot.
        """
        if not isinstance(module, Tree):
            raise TypeError(
                f"add_module: {name!r} must be a Module, got {type(module).__name__}: "
                f"{module!r:.60}"
            )
        if name not in self._module_names:
            self._check_new("add_module", name)
        setattr(self, name, module)

    register_module = add_module

    def _check_new(self, caller: str, name: str) -> None:
        if hasattr(self, name) and name not in self._parameter_names | self._buffer_names:
            raise ValueError(f"{caller}: {type(self).__name__} already has an attribute {name!r}")

    # --------------------------------------------------------------------------- the tree

    def named_children(self) -> Iterator[tuple[str, Any]]:
        """The modules directly below, with their names."""
        for name in self._module_names:
            yield name, getattr(self, name)

    def children(self) -> Iterator[Any]:
        """The modules directly below."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Any]]:
        """This module and all below it, parents first, each once, with dotted names."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator[Any]:
        """This module and all below it, parents first, each once."""
        return (module for _, module in self.named_modules())

    def _named(self, kind: str, prefix: str, recurse: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        for path, module in self.named_modules(prefix) if recurse else ((prefix, self),):
            for name in module.__dict__[kind]:
                tensor = getattr(module, name)
                if tensor is not None and id(tensor) not in seen:
                    seen.add(id(tensor))
                    yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with dotted names; one that is shared comes once, under its first."""
        return self._named("_parameter_names", prefix, recurse)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters, each once."""
        return (p for _, p in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        return self._named("_buffer_names", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))
