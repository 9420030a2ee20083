"""Parameters: the tensors of a module that an optimizer changes."""

from __future__ import annotations

from typing import Any

from ..autograd.graph import Leaf
from ..backend import Backend
from ..tensor import Tensor

_HEAD = len("Parameter") - len("Tensor")


class Parameter(Tensor):
    """A tensor that a module registers as trainable when it becomes an attribute.

    Args:
        data: as for `Tensor`; copied.
        requires_grad: whether gradients gather in `.grad`.
        dtype, backend: as for `Tensor`.

    Raises:
        TypeError: `requires_grad` with a dtype that is not real floating point.
    """

    __slots__ = ()

    def __init__(
        self,
        data: Any,
        requires_grad: bool = True,
        *,
        dtype: Any = None,
        backend: str | Backend | None = None,
    ) -> None:
        super().__init__(data, dtype=dtype, backend=backend, requires_grad=requires_grad)

    def __repr__(self) -> str:
        text = super().__repr__().removeprefix("Tensor").replace("\n", "\n" + " " * _HEAD)
        return f"Parameter{text}"


def replace_data(tensor: Tensor, backend: Backend, array: Any) -> None:
    """Give a leaf another array, of any backend and dtype; a gradient it has is dropped.

    The object stays the same, so whoever holds it (a module, an optimizer) sees the change.
    """
    assert tensor.is_leaf, tensor
    requires_grad = tensor.requires_grad
    tensor._backend, tensor._data = backend, array
    tensor._node = Leaf(backend, array.shape, array.dtype) if requires_grad else None
