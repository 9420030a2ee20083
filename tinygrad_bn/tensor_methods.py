"""The common functions as methods of a tensor, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import ops
from .autograd import Variable

if TYPE_CHECKING:
    from .tensor import Tensor

Axis = int | tuple[int, ...] | None


class Methods(Variable):
    """`x.sum(axis=0)` for `sum(x, axis=0)`; see the functions for their documentation."""

    __slots__ = ()

    def sum(self, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """Σ over `axis`."""
        return ops.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Mean over `axis`."""
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, given as numbers or one tuple."""
        return ops.reshape(
            self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        )

    def exp(self) -> Tensor:
        """eˣ."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """ln x."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """√x."""
        return ops.sqrt(self)
