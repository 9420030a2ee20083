"""Python's operators on tensors, each an operation of `ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import ops
from .autograd import Variable

if TYPE_CHECKING:
    from .tensor import Tensor


class Operators(Variable):
    """Arithmetic, comparison and bit operators, with their reflected forms.

    The forward forms, and the reflected ones of commutative operations, are the operations
    themselves, not calls of them: one Python frame less on the hottest path. Augmented assignment
    (`x += y`) rebinds the name, as the standard allows.
    """

    __slots__ = ()
    __hash__ = object.__hash__

    __add__ = ops.add
    __sub__ = ops.subtract
    __mul__ = ops.multiply
    __truediv__ = ops.divide
    __floordiv__ = ops.floor_divide
    __mod__ = ops.remainder
    __pow__ = ops.pow
    __matmul__ = ops.matmul
    __and__ = ops.bitwise_and
    __or__ = ops.bitwise_or
    __xor__ = ops.bitwise_xor
    __lshift__ = ops.bitwise_left_shift
    __rshift__ = ops.bitwise_right_shift
    __neg__ = ops.negative
    __pos__ = ops.positive
    __abs__ = ops.abs
    __invert__ = ops.bitwise_invert
    __lt__ = ops.less
    __le__ = ops.less_equal
    __gt__ = ops.greater
    __ge__ = ops.greater_equal
    __eq__ = ops.equal
    __ne__ = ops.not_equal
    __radd__ = ops.add
    __rmul__ = ops.multiply
    __rand__ = ops.bitwise_and
    __ror__ = ops.bitwise_or
    __rxor__ = ops.bitwise_xor

    def __rsub__(self, other: Any) -> Tensor:
        return ops.subtract(other, self)

    def __rtruediv__(self, other: Any) -> Tensor:
        return ops.divide(other, self)

    def __rfloordiv__(self, other: Any) -> Tensor:
        return ops.floor_divide(other, self)

    def __divmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return ops.floor_divide(self, other), ops.remainder(self, other)

    def __rdivmod__(self, other: Any) -> tuple[Tensor, Tensor]:
        return ops.floor_divide(other, self), ops.remainder(other, self)

    def __round__(self, ndigits: int | None = None) -> Tensor:
        """`round(x)` and `round(x, n)`: a tensor of the same dtype, halves to even."""
        return ops.round(self) if ndigits is None else ops.round_digits(self, digits=ndigits)

    def __rmod__(self, other: Any) -> Tensor:
        return ops.remainder(other, self)

    def __rpow__(self, other: Any) -> Tensor:
        return ops.pow(other, self)

    def __rmatmul__(self, other: Any) -> Tensor:
        return ops.matmul(other, self)

    def __rlshift__(self, other: Any) -> Tensor:
        return ops.bitwise_left_shift(other, self)

    def __rrshift__(self, other: Any) -> Tensor:
        return ops.bitwise_right_shift(other, self)
