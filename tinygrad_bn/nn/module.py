"""Module: the base of layers and networks; a tree that knows its parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from ..autograd.graph import HookHandle, add_hook
from ..autograd.runtime import move
from ..backend import Backend, resolve_backend
from ..dtypes import canonical, is_floating
from ..tensor import Tensor
from .parameter import Parameter, replace_data
from .state import collect_state, load_state

_KINDS = ("_parameter_names", "_buffer_names", "_module_names")


class Module:
    """A layer or a network: its attributes that are parameters, buffers or modules form a tree.

    A subclass calls `super().__init__()`, assigns them, and defines `forward`; calling the module
    runs `forward` and the hooks. Names are PyTorch's dotted paths ("0.weight"), so are the keys
    of `state_dict`.

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = nn.Linear(2, 3)

            def forward(self, x):
                return tg.tanh(self.layer(x))

    Attributes:
        training: True after `train()`, False after `eval()`; layers that differ look at it.
    """

    training: bool
    _parameter_names: dict[str, None]
    _buffer_names: dict[str, bool]
    _module_names: dict[str, None]
    _forward_hooks: dict[int, Callable[..., Any]]
    _forward_pre_hooks: dict[int, Callable[..., Any]]

    def __init__(self) -> None:
        for kind in (*_KINDS, "_forward_hooks", "_forward_pre_hooks"):
            object.__setattr__(self, kind, {})
        object.__setattr__(self, "training", True)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The computation; every subclass that is called defines it."""
        raise NotImplementedError(f"{type(self).__name__}: defines no forward()")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not self._forward_hooks and not self._forward_pre_hooks:
            return self.forward(*args, **kwargs)
        for pre_hook in tuple(self._forward_pre_hooks.values()):
            changed = pre_hook(self, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
        result = self.forward(*args, **kwargs)
        for hook in tuple(self._forward_hooks.values()):
            changed = hook(self, args, result)
            if changed is not None:
                result = changed
        return result

    # ----------------------------------------------------------------------- registration

    def __setattr__(self, name: str, value: Any) -> None:
        names = self.__dict__
        if _KINDS[0] not in names:
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name!r}"
            )
        if isinstance(value, Parameter):
            self._enlist("_parameter_names", name)
        elif isinstance(value, Module):
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
                f"register_buffer: {name!r} must be a Tensor or None, got {type(tensor).__name__}"
            )
        self._enlist("_buffer_names", name)
        self._buffer_names[name] = persistent
        object.__setattr__(self, name, tensor)

    def add_module(self, name: str, module: Module) -> None:
        """Make `module` the child called `name`.

        Raises TypeError for anything else, ValueError for a name that is taken or has a dot.
        """
        if not isinstance(module, Module):
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

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below, with their names."""
        for name in self._module_names:
            yield name, getattr(self, name)

    def children(self) -> Iterator[Module]:
        """The modules directly below."""
        return (module for _, module in self.named_children())

    def named_modules(self, prefix: str = "") -> Iterator[tuple[str, Module]]:
        """This module and all below it, parents first, each once, with dotted names."""
        return self._walk(prefix, set())

    def _walk(self, prefix: str, seen: set[int]) -> Iterator[tuple[str, Module]]:
        if id(self) in seen:
            return
        seen.add(id(self))
        yield prefix, self
        for name, child in self.named_children():
            yield from child._walk(f"{prefix}.{name}" if prefix else name, seen)

    def modules(self) -> Iterator[Module]:
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

    def named_buffers(
        self, prefix: str = "", recurse: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with dotted names."""
        return self._named("_buffer_names", prefix, recurse)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers, each once."""
        return (b for _, b in self.named_buffers(recurse=recurse))

    # ------------------------------------------------------------------------------ modes

    def train(self, mode: bool = True) -> Self:
        """Set `training` in the whole tree."""
        for module in self.modules():
            object.__setattr__(module, "training", bool(mode))
        return self

    def eval(self) -> Self:
        """`train(False)`."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Whether the parameters gather gradients."""
        for p in self.parameters():
            p.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the parameters' gradients, or set those that exist to zero."""
        for p in self.parameters():
            if p.grad is not None:
                p.grad = None if set_to_none else p.grad.detach() * 0

    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call `fn` on every module of the tree, children first."""
        for child in self.children():
            child.apply(fn)
        fn(self)
        return self

    # ------------------------------------------------------------------------ conversion

    def _tensors(self) -> Iterator[Tensor]:
        yield from self.parameters()
        yield from self.buffers()

    def to(self, target: str | Backend) -> Self:
        """Move parameters and buffers to a backend, or floating-point ones to a dtype.

        The tensors stay the same objects; their gradients are dropped. State that an optimizer
        has gathered for them stays where it is, so move a model before its first step.
        """
        if not isinstance(target, Backend):
            try:
                return self.astype(canonical(target))
            except TypeError:
                target = resolve_backend(target, source="asked for by Module.to")
        for t in self._tensors():
            if t._backend is not target:
                replace_data(t, target, move(t._data, t._backend, target))
        return self

    def astype(self, dtype: Any) -> Self:
        """Convert floating-point parameters and buffers; the tensors stay the same objects.

        Raises TypeError for a dtype that is not real floating point.
        """
        dtype = canonical(dtype)
        if not is_floating(dtype):
            raise TypeError(f"Module.astype: dtype must be real floating point, got {dtype.name}")
        for t in self._tensors():
            if is_floating(t.dtype) and t.dtype != dtype:
                replace_data(t, t._backend, t._backend.astype(t._data, dtype))
        return self

    # ------------------------------------------------------------------------------ state

    def state_dict(self) -> dict[str, Tensor]:
        """Parameters and persistent buffers by dotted name; the memory is the module's own."""
        return collect_state(self)

    def load_state_dict(
        self, state: Mapping[str, Any], strict: bool = True
    ) -> tuple[list[str], list[str]]:
        """Write the values of `state` into the parameters and buffers of the same names.

        Args:
            state: tensors or arrays (PyTorch's too) by name; converted to the dtypes here.
            strict: refuse names that are missing or unexpected.

        Returns:
            The names that were missing and those that were unexpected.

        Raises:
            ValueError: missing or unexpected names, or wrong shapes; all of them are listed, and
                nothing has been changed.
            TypeError: a value that is no array, or that would lose its kind (float to integer).
        """
        return load_state(self, state, strict)

    # ------------------------------------------------------------------------------ hooks

    def register_forward_hook(
        self, hook: Callable[[Module, tuple[Any, ...], Any], Any]
    ) -> HookHandle:
        """Call `hook(module, args, result)` after each forward; what it returns, if not None,
        replaces the result."""
        return add_hook(self._forward_hooks, hook)

    def register_forward_pre_hook(
        self, hook: Callable[[Module, tuple[Any, ...]], Any]
    ) -> HookHandle:
        """Call `hook(module, args)` before each forward; what it returns, if not None, replaces
        the positional arguments."""
        return add_hook(self._forward_pre_hooks, hook)

    # ------------------------------------------------------------------------------- repr

    def extra_repr(self) -> str:
        """What stands between the parentheses of `repr`, besides the children."""
        return ""

    def __repr__(self) -> str:
        name, extra = type(self).__name__, self.extra_repr()
        lines = [f"({key}): {child!r}" for key, child in self.named_children()]
        if not lines:
            return f"{name}({extra})"
        body = "\n".join([extra, *lines] if extra else lines).replace("\n", "\n  ")
        return f"{name}(\n  {body}\n)"
