"""Module: the base of layers and networks; a tree that knows its parameters and buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Self

from ..autograd.graph import HookHandle, add_hook
from ..autograd.links import move
from ..backend import Backend, resolve_backend
from ..backend.quiet import quiet
from ..dtypes import canonical, is_floating
from ..tensor import Tensor
from .parameter import replace_data
from .state import collect_state, load_state
from .tree import Tree


class Module(Tree):
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
    _forward_hooks: dict[int, Callable[..., Any]]
    _forward_pre_hooks: dict[int, Callable[..., Any]]

    def __init__(self) -> None:
        super().__init__()
        object.__setattr__(self, "_forward_hooks", {})
        object.__setattr__(self, "_forward_pre_hooks", {})
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

    @quiet()
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
