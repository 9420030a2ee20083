"""The common functions as methods of a tensor, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import ops
from .autograd import Variable

if TYPE_CHECKING:
    from .tensor import Tensor

Axis = int | tuple[int, ...] | None


def _spelled(numbers: tuple[Any, ...]) -> Any:
    """One tuple out of numbers or a tuple."""
    return numbers[0] if len(numbers) == 1 and not isinstance(numbers[0], int) else numbers


class Methods(Variable):
    """`x.sum(axis=0)` for `sum(x, axis=0)`; see the functions for their documentation."""

    __slots__ = ()

    def sum(self, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """Σ over `axis`."""
        return ops.sum(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def mean(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Mean over `axis`."""
        return ops.mean(self, axis=axis, keepdims=keepdims)

    def prod(self, axis: Axis = None, *, dtype: Any = None, keepdims: bool = False) -> Tensor:
        """∏ over `axis`."""
        return ops.prod(self, axis=axis, dtype=dtype, keepdims=keepdims)

    def max(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Greatest element over `axis`."""
        return ops.max(self, axis=axis, keepdims=keepdims)

    def min(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Smallest element over `axis`."""
        return ops.min(self, axis=axis, keepdims=keepdims)

    def var(self, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """Variance over `axis`."""
        return ops.var(self, axis=axis, correction=correction, keepdims=keepdims)

    def std(self, axis: Axis = None, *, correction: float = 0.0, keepdims: bool = False) -> Tensor:
        """Standard deviation over `axis`."""
        return ops.std(self, axis=axis, correction=correction, keepdims=keepdims)

    def all(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Whether all elements over `axis` are nonzero."""
        return ops.all(self, axis=axis, keepdims=keepdims)

    def any(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """Whether any element over `axis` is nonzero."""
        return ops.any(self, axis=axis, keepdims=keepdims)

    def cumulative_sum(self, axis: int | None = None, *, dtype: Any = None) -> Tensor:
        """Running sum along `axis`."""
        return ops.cumulative_sum(self, axis=axis, dtype=dtype)

    def cumulative_prod(self, axis: int | None = None, *, dtype: Any = None) -> Tensor:
        """Running product along `axis`."""
        return ops.cumulative_prod(self, axis=axis, dtype=dtype)

    def argmax(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Position of the greatest element along `axis`."""
        return ops.argmax(self, axis=axis, keepdims=keepdims)

    def argmin(self, axis: int | None = None, *, keepdims: bool = False) -> Tensor:
        """Position of the smallest element along `axis`."""
        return ops.argmin(self, axis=axis, keepdims=keepdims)

    def nonzero(self) -> tuple[Tensor, ...]:
        """Positions of the nonzero elements, a vector for each axis."""
        return ops.nonzero(self)

    def sort(self, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
        """The elements along `axis` in order (a new tensor)."""
        return ops.sort(self, axis=axis, descending=descending, stable=stable)

    def argsort(self, axis: int = -1, *, descending: bool = False, stable: bool = True) -> Tensor:
        """Positions along `axis` in the order of their elements."""
        return ops.argsort(self, axis=axis, descending=descending, stable=stable)

    def take(self, indices: Any, axis: int | None = None) -> Tensor:
        """The elements at positions of an axis."""
        return ops.take(self, indices, axis=axis)

    def reshape(self, *shape: Any) -> Tensor:
        """The same elements in another shape, given as numbers or one tuple."""
        return ops.reshape(self, _spelled(shape))

    def flatten(self) -> Tensor:
        """The elements in one axis, in row-major order."""
        return ops.reshape(self, (-1,))

    def permute_dims(self, *axes: Any) -> Tensor:
        """Axes in another order, given as numbers or one tuple."""
        return ops.permute_dims(self, _spelled(axes))

    def broadcast_to(self, *shape: Any) -> Tensor:
        """Repeated along new axes and axes of length 1; the shape as numbers or one tuple."""
        return ops.broadcast_to(self, _spelled(shape))

    def expand_dims(self, axis: int | tuple[int, ...]) -> Tensor:
        """New axes of length 1."""
        return ops.expand_dims(self, axis)

    def squeeze(self, axis: int | tuple[int, ...] | None = None) -> Tensor:
        """Without the axes `axis` of length 1; None: without all such axes."""
        if axis is None:
            axis = tuple([i for i, n in enumerate(self._data.shape) if n == 1])
        return ops.squeeze(self, axis)

    def flip(self, axis: Axis = None) -> Tensor:
        """The order of elements reversed along `axis`."""
        return ops.flip(self, axis=axis)

    def roll(self, shift: int | tuple[int, ...], axis: Axis = None) -> Tensor:
        """Elements moved along `axis`, around its end."""
        return ops.roll(self, shift, axis=axis)

    def repeat(self, repeats: Any, axis: int | None = None) -> Tensor:
        """Every element several times in a row."""
        return ops.repeat(self, repeats, axis=axis)

    def exp(self) -> Tensor:
        """eˣ."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """ln x."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """√x."""
        return ops.sqrt(self)

    def square(self) -> Tensor:
        """x²."""
        return ops.square(self)

    def abs(self) -> Tensor:
        """|x|."""
        return ops.abs(self)

    def sign(self) -> Tensor:
        """-1, 0 or 1."""
        return ops.sign(self)

    def reciprocal(self) -> Tensor:
        """1/x."""
        return ops.reciprocal(self)

    def sin(self) -> Tensor:
        """sin x."""
        return ops.sin(self)

    def cos(self) -> Tensor:
        """cos x."""
        return ops.cos(self)

    def tan(self) -> Tensor:
        """tan x."""
        return ops.tan(self)

    def sinh(self) -> Tensor:
        """sinh x."""
        return ops.sinh(self)

    def cosh(self) -> Tensor:
        """cosh x."""
        return ops.cosh(self)

    def tanh(self) -> Tensor:
        """tanh x."""
        return ops.tanh(self)

    def expm1(self) -> Tensor:
        """eˣ - 1."""
        return ops.expm1(self)

    def log1p(self) -> Tensor:
        """ln(1 + x)."""
        return ops.log1p(self)

    def floor(self) -> Tensor:
        """⌊x⌋."""
        return ops.floor(self)

    def ceil(self) -> Tensor:
        """⌈x⌉."""
        return ops.ceil(self)

    def round(self) -> Tensor:
        """The nearest integer, halves to even."""
        return ops.round(self)

    def trunc(self) -> Tensor:
        """The integer part."""
        return ops.trunc(self)

    def conj(self) -> Tensor:
        """Complex conjugate."""
        return ops.conj(self)

    def isnan(self) -> Tensor:
        """Where it is not a number."""
        return ops.isnan(self)

    def isinf(self) -> Tensor:
        """Where it is infinite."""
        return ops.isinf(self)

    def isfinite(self) -> Tensor:
        """Where it is neither NaN nor infinite."""
        return ops.isfinite(self)

    def sigmoid(self) -> Tensor:
        """1/(1 + e⁻ˣ)."""
        return ops.sigmoid(self)

    def relu(self) -> Tensor:
        """max(x, 0)."""
        return ops.relu(self)

    def erf(self) -> Tensor:
        """The error function."""
        return ops.erf(self)

    def gelu(self, approximate: str = "none") -> Tensor:
        """x·Φ(x)."""
        return ops.gelu(self, approximate)

    def softmax(self, axis: Axis = -1) -> Tensor:
        """eˣ/Σ eˣ along `axis`."""
        return ops.softmax(self, axis)

    def log_softmax(self, axis: Axis = -1) -> Tensor:
        """ln(eˣ/Σ eˣ) along `axis`."""
        return ops.log_softmax(self, axis)

    def logsumexp(self, axis: Axis = None, *, keepdims: bool = False) -> Tensor:
        """ln Σ eˣ over `axis`."""
        return ops.logsumexp(self, axis, keepdims=keepdims)

    def clip(self, min: Any = None, max: Any = None) -> Tensor:
        """Limited to [min, max]."""
        return ops.clip(self, min, max)

    def maximum(self, other: Any) -> Tensor:
        """The greater of the two, elementwise."""
        return ops.maximum(self, other)

    def minimum(self, other: Any) -> Tensor:
        """The smaller of the two, elementwise."""
        return ops.minimum(self, other)

    def pow(self, exponent: Any) -> Tensor:
        """x to the power of `exponent`."""
        return ops.pow(self, exponent)
