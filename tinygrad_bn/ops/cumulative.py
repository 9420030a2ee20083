"""Running sums and products, differences, and the linear recurrence behind their derivatives."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..refusal import named
from .creation import asarray
from .logical import not_equal
from .manipulation import broadcast_to, concat, position

__all__ = [
    "cumulative_prod",
    "cumulative_sum",
    "diff",
    "linear_scan",
]


def part(axis: int, start: int | None, stop: int | None) -> tuple[Any, ...]:
    """The index that cuts [start:stop] out of an axis, which is counted from the front."""
    return (*(slice(None),) * axis, slice(start, stop), ...)


def _scan_axis(name: str, axis: int | None, ndim: int) -> int:
    """The axis of a running operation; None is the only one."""
    if axis is None and ndim != 1:
        raise ValueError(f"{name}: axis must be given for an array of {ndim} axes, got None")
    return 0 if axis is None else position(name, axis, ndim)


def _cumsum_dx(B: Any, g: Any, axis: int, include_initial: bool) -> Any:
    g = g[part(axis, 1, None)] if include_initial else g
    return B.flip(B.cumulative_sum(B.flip(g, axis=axis), axis=axis), axis=axis)


@primitive(x=_cumsum_dx)
def _cumulative_sum(B: Any, x: Any, *, axis: int, dtype: Any, include_initial: bool) -> Any:
    return B.cumulative_sum(x, axis=axis, dtype=dtype, include_initial=include_initial)


@named
def cumulative_sum(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """Σ of the elements up to each one along an axis.   d/dx = Σ of g from each element on.

    Args:
        x: a tensor with at least one axis.
        axis: may be None if there is one only.
        dtype: of the result; small integers are added up in int64 by default.
        include_initial: begin with 0, so that the result is longer by one.

    Raises:
        ValueError: `axis` does not exist, or is None with several axes.
    """
    x = asarray(x)
    axis = _scan_axis("cumulative_sum", axis, x.ndim)
    return _cumulative_sum(x, axis=axis, dtype=dtype, include_initial=include_initial)


def _cumprod_dx(B: Any, g: Any, x: Any, axis: int, include_initial: bool) -> Any:
    """P_{j-1}·S_j with the product P before j and S_j = g_j + x_{j+1}·S_{j+1}: no division."""
    g = g[part(axis, 1, None)] if include_initial else g
    before = B.cumulative_prod(x, axis=axis, include_initial=True)[part(axis, None, -1)]
    following = B.roll(B.flip(x, axis=axis), 1, axis=axis)
    return before * B.flip(B.linear_scan(following, B.flip(g, axis=axis), axis=axis), axis=axis)


@primitive(x=_cumprod_dx)
def _cumulative_prod(B: Any, x: Any, *, axis: int, dtype: Any, include_initial: bool) -> Any:
    return B.cumulative_prod(x, axis=axis, dtype=dtype, include_initial=include_initial)


@named
def cumulative_prod(
    x: Any, /, *, axis: int | None = None, dtype: Any = None, include_initial: bool = False
) -> Any:
    """∏ of the elements up to each one along an axis.   The derivative is right at zeros too.

    d/dxⱼ = Σ_{i≥j} gᵢ·∏_{k≤i, k≠j} xₖ.   Arguments and errors as `cumulative_sum`; the initial
    value is 1.
    """
    x = asarray(x)
    axis = _scan_axis("cumulative_prod", axis, x.ndim)
    return _cumulative_prod(x, axis=axis, dtype=dtype, include_initial=include_initial)


def _scan_rule(B: Any, g: Any, a: Any, out: Any, axis: int) -> Any:
    """λᵢ = gᵢ + aᵢ₊₁·λᵢ₊₁ is the gradient of b; that of a is λᵢ·yᵢ₋₁."""
    following = B.roll(B.flip(a, axis=axis), 1, axis=axis)
    db = B.flip(B.linear_scan(following, B.flip(g, axis=axis), axis=axis), axis=axis)
    widths = ((0, 0),) * axis + ((1, 0),) + ((0, 0),) * (len(out.shape) - axis - 1)
    return db * B.pad_constant(out[part(axis, None, -1)], widths=widths, value=0), db


@primitive(_scan_rule)
def _linear_scan(B: Any, a: Any, b: Any, *, axis: int) -> Any:
    return B.linear_scan(a, b, axis=axis)


def linear_scan(a: Any, b: Any, /, *, axis: int = -1) -> Any:
    """y₀ = b₀,   yᵢ = aᵢ·yᵢ₋₁ + bᵢ along an axis: a linear recurrence, in log₂ n steps.

    Exponential averages and discounted sums are of this form. a₀ is not used.

    Args:
        a: coefficients, of the shape of b.
        b: what is added at every step.
        axis: the axis along which it runs.

    Raises:
        ValueError: the shapes differ, or `axis` does not exist.

    Source: Hillis and Steele, "Data parallel algorithms", 1986.
    """
    a, b = asarray(a), asarray(b)
    if a.shape != b.shape:
        raise ValueError(f"linear_scan: a and b must have one shape, got {a.shape} and {b.shape}")
    return _linear_scan(a, b, axis=position("linear_scan", axis, b.ndim))


@named
def diff(x: Any, /, *, axis: int = -1, n: int = 1, prepend: Any = None, append: Any = None) -> Any:
    """xᵢ₊₁ - xᵢ along an axis, `n` times over; where booleans differ.

    Args:
        x: a tensor with at least one axis.
        axis: the axis.
        n: how often to take differences; 0 gives x as it is.
        prepend: joined to x in front before the first difference; a number is repeated.
        append: joined to x at the end.

    Raises:
        ValueError: n is negative, `axis` does not exist, or shapes do not match.
    """
    x = asarray(x)
    axis = position("diff", axis, x.ndim)
    if n < 0:
        raise ValueError(f"diff: n must not be negative, got {n}")
    if n == 0:
        return x
    parts = [_joined(p, x, axis) for p in (prepend, x, append) if p is not None]
    x = concat(parts, axis=axis) if len(parts) > 1 else x
    logical = x.dtype.kind == "b"
    for _ in range(n):
        later, earlier = x[part(axis, 1, None)], x[part(axis, None, -1)]
        x = not_equal(later, earlier) if logical else later - earlier
    return x


def _joined(value: Any, x: Any, axis: int) -> Any:
    """What `diff` joins to x: a single number as a slice of x's shape."""
    if value is x:
        return x
    value = asarray(value, dtype=x.dtype if isinstance(value, bool | int | float) else None)
    if value.ndim == 0:
        return broadcast_to(value, (*x.shape[:axis], 1, *x.shape[axis + 1 :]))
    return value
