"""Taking the state of a module out, and putting one in: names, shapes and kinds are checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ..autograd.links import move
from ..backend.quiet import quiet
from ..tensor import Tensor

if TYPE_CHECKING:
    from .module import Module


def _entries(module: Module) -> Iterator[tuple[str, Tensor]]:
    """Every name of every parameter and persistent buffer; a shared one under all its names."""
    stack = [("", module)]
    while stack:
        prefix, current = stack.pop()
        persistent = [n for n, kept in current._buffer_names.items() if kept]
        for name in (*current._parameter_names, *persistent):
            tensor = getattr(current, name)
            if tensor is not None:
                yield prefix + name, tensor
        stack += [(f"{prefix}{name}.", child) for name, child in current.named_children()][::-1]


def collect_state(module: Module) -> dict[str, Tensor]:
    """The values by name, outside the graph; see `Module.state_dict`."""
    return {name: tensor.detach() for name, tensor in _entries(module)}


def load_state(
    module: Module, state: Mapping[str, Any], strict: bool
) -> tuple[list[str], list[str]]:
    """Check everything, then write everything; see `Module.load_state_dict`."""
    writes, missing, unexpected = check_state(module, state, strict)
    for target, array in writes:
        target._write(..., array)
    return missing, unexpected


def check_state(
    module: Module, state: Mapping[str, Any], strict: bool = True
) -> tuple[list[tuple[Tensor, Any]], list[str], list[str]]:
    """What `load_state` would write (tensor, raw array), and the names missing and unexpected.

    Raises as `Module.load_state_dict` does.
    """
    if not isinstance(state, Mapping):
        raise TypeError(f"load_state_dict: state must be a mapping, got {type(state).__name__}")
    targets = dict(_entries(module))
    missing = [name for name in targets if name not in state]
    unexpected = [name for name in state if name not in targets]
    arrays = {
        name: _fitting(name, targets[name], value)
        for name, value in state.items()
        if name in targets
    }
    wrong = [
        f"{name}: expected {targets[name].shape}, got {tuple(array.shape)}"
        for name, array in arrays.items()
        if tuple(array.shape) != targets[name].shape
    ]
    problems = [f"wrong shapes: {'; '.join(wrong)}"] if wrong else []
    if strict:
        problems += [f"missing: {', '.join(missing)}"] if missing else []
        problems += [f"unexpected: {', '.join(unexpected)}"] if unexpected else []
    if problems:
        raise ValueError(
            f"load_state_dict: the state does not fit {type(module).__name__}: "
            + ". ".join(problems)
        )
    return [(targets[name], array) for name, array in arrays.items()], missing, unexpected


@quiet()
def _fitting(name: str, target: Tensor, value: Any) -> Any:
    """`value` as a raw array of the target's backend and dtype."""
    backend = target._backend
    if isinstance(value, Tensor):
        array = move(value._data, value._backend, backend)
    else:
        if getattr(value, "requires_grad", False):
            value = value.detach()
        try:
            array = backend.asarray(value)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"load_state_dict: {name} must be an array, got {type(value).__name__}: {error}"
            ) from None
    given = backend.dtype_of(array)
    if given.kind not in "biu" and given.kind != target.dtype.kind:
        raise TypeError(
            f"load_state_dict: {name} has dtype {target.dtype.name}, got {given.name} values"
        )
    return array if given == target.dtype else backend.astype(array, target.dtype)
