"""Linear algebra: products and diagonals.

Norms stand in `norm.py`, factorizations in `decomposition.py`. All functions work on
stacks of matrices: leading axes are a batch.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..autograd import Variable, primitive
from ..refusal import check_integer, named
from .creation import asarray
from .elementwise import multiply
from .manipulation import expand_dims, permute_dims, reshape
from .matrix import check_matrix
from .reduction import sum

__all__ = [
    "matmul",
    "matrix_transpose",
    "outer",
    "tensordot",
    "vecdot",
]

# ----------------------------------------------------------------------------------- products


def _rows(B: Any, x: Any, shape: tuple[int, ...]) -> Any:
    """All axes but the last in one: a matrix."""
    return B.reshape(x, (math.prod(shape[:-1]), shape[-1]))


def _matmul_dx(B: Any, g: Any, y: Any, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Any:
    """g·yᵀ; a vector is a matrix with one row (x) or one column (y)."""
    if len(x_shape) > 1 and len(y_shape) > 1:
        return B.matmul(g, B.matrix_transpose(y))
    if len(y_shape) == 1:
        return B.expand_dims(g, axis=-1) * y
    return B.matmul(B.expand_dims(g, axis=-2), B.matrix_transpose(y))


def _matmul_dy(B: Any, g: Any, x: Any, x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Any:
    """xᵀ·g; a stack of x against one y is one tall matrix, and its sum one product."""
    if len(x_shape) == 1:
        x, g = B.expand_dims(x, axis=-1), B.expand_dims(g, axis=-2 if len(y_shape) > 1 else -1)
        return B.reshape(x * g, y_shape) if len(y_shape) == 1 else x * g
    if len(y_shape) == 1:
        return B.matmul(B.reshape(g, (math.prod(x_shape[:-1]),)), _rows(B, x, x_shape))
    if len(y_shape) == 2 and len(x_shape) > 2:
        x, g = _rows(B, x, x_shape), _rows(B, g, (*x_shape[:-1], y_shape[-1]))
    return B.matmul(B.matrix_transpose(x), g)


@primitive(x=_matmul_dx, y=_matmul_dy)
def matmul(B: Any, x: Any, y: Any, /) -> Any:
    """Matrix product over the last two axes, batched over the others, which broadcast.

    Shapes: (..., n, k) and (..., k, m) give (..., n, m); a one-dimensional x is a row and a
    one-dimensional y a column, and their axis is dropped from the result.
    d/dx = g·yᵀ,   d/dy = xᵀ·g.

    Raises ValueError for scalars and for shapes that do not fit.
    """
    try:
        return B.matmul(x, y)
    except (ValueError, TypeError, AttributeError):
        _check_matmul(x, y)
        raise


def _check_matmul(x: Any, y: Any) -> None:
    shapes = tuple(getattr(x, "shape", ())), tuple(getattr(y, "shape", ()))
    for name, shape in zip("xy", shapes, strict=True):
        if not shape:
            raise ValueError(f"matmul: {name} must have at least one axis, got a scalar; use *")
    a, b = shapes
    if a[-1] != b[-2 if len(b) > 1 else -1]:
        raise ValueError(
            f"matmul: the last axis of x must match the {'second last' if len(b) > 1 else 'only'} "
            f"axis of y, got shapes {a} and {b}"
        )
    for m, n in zip(a[-3::-1], b[-3::-1], strict=False):
        if m != n and 1 not in (m, n):
            raise ValueError(f"matmul: leading axes must broadcast, got shapes {a} and {b}")


@primitive(x=lambda B, g: B.matrix_transpose(g))
def matrix_transpose(B: Any, x: Any, /) -> Any:
    """The last two axes exchanged.   d/dx = gᵀ.

    Raises ValueError for fewer than two axes.
    """
    if len(x.shape) < 2:
        raise ValueError(f"matrix_transpose: needs at least 2 axes, got shape {tuple(x.shape)}")
    return B.matrix_transpose(x)


@primitive(
    x=lambda B, g, y, axis: B.expand_dims(g, axis=axis) * y,
    y=lambda B, g, x, axis: B.expand_dims(g, axis=axis) * x,
)
def _vecdot(B: Any, x: Any, y: Any, *, axis: int) -> Any:
    return B.vecdot(x, y, axis=axis)


@named
def vecdot(x: Any, y: Any, /, *, axis: int = -1) -> Any:
    """Σ conj(x)·y over `axis`, batched over the other axes, which broadcast.

    `axis` counts from the end, so it is negative.   d/dx = g·y,   d/dy = g·x.

    Raises ValueError for an axis that is not in both, and lengths that differ.
    """
    x, y = _pair(x, y)
    _check_vectors("vecdot", x.shape, y.shape, axis)
    return _vecdot(x, y, axis=axis)


def _pair(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as tensors, on the backend of the one that is a tensor."""
    if isinstance(y, Variable) and not isinstance(x, Variable):
        return asarray(x, device=y._backend.name), y
    x = asarray(x)
    return x, y if isinstance(y, Variable) else asarray(y, device=x.device)


def _check_vectors(name: str, a: tuple[int, ...], b: tuple[int, ...], axis: int) -> None:
    ranks = (len(a), len(b))
    if not -(ranks[0] if ranks[0] < ranks[1] else ranks[1]) <= axis <= -1:
        raise ValueError(
            f"{name}: axis counts from the end and must be one of both inputs, "
            f"got {axis} for shapes {a} and {b}"
        )
    if a[axis] != b[axis]:
        raise ValueError(f"{name}: lengths along axis {axis} must match, got shapes {a} and {b}")


@named
def tensordot(x: Any, y: Any, /, *, axes: int | tuple[Sequence[int], Sequence[int]] = 2) -> Any:
    """Σ x·y over pairs of axes; the other axes of x, then those of y, remain.

    Args:
        x: shape (..., contracted axes anywhere).
        y: the same.
        axes: two sequences of axes that pair up, or n: the last n of x with the first n of y.

    Raises ValueError for axes that do not exist or lengths that do not match.
    """
    x, y = _pair(x, y)
    left, right = _contracted_axes(axes, x.shape, y.shape)
    keep_x = [i for i in range(x.ndim) if i not in left]
    keep_y = [i for i in range(y.ndim) if i not in right]
    rows = [x.shape[i] for i in keep_x]
    columns = [y.shape[i] for i in keep_y]
    inner = math.prod([x.shape[i] for i in left])
    a = reshape(permute_dims(x, (*keep_x, *left)), (math.prod(rows), inner))
    b = reshape(permute_dims(y, (*right, *keep_y)), (inner, math.prod(columns)))
    return reshape(matmul(a, b), (*rows, *columns))


def _contracted_axes(axes: Any, a: tuple[int, ...], b: tuple[int, ...]) -> Any:
    """The axes of both that are summed over, non-negative and checked."""
    if isinstance(axes, int):
        if not (0 <= axes <= len(a) and axes <= len(b)):
            raise ValueError(f"tensordot: axes={axes} must be in range for shapes {a} and {b}")
        pair: Any = (range(len(a) - axes, len(a)), range(axes))
    else:
        pair = axes
    left, right = (tuple(one) for one in pair)
    if len(left) != len(right):
        raise ValueError(f"tensordot: axes must pair up, got {left} and {right}")
    for shape, chosen in ((a, left), (b, right)):
        if any(not -len(shape) <= i < len(shape) for i in chosen):
            raise ValueError(f"tensordot: axes {chosen} do not all exist in shape {shape}")
    left, right = tuple(i % len(a) for i in left), tuple(i % len(b) for i in right)
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError(f"tensordot: axes must not repeat, got {axes}")
    if any(a[i] != b[j] for i, j in zip(left, right, strict=True)):
        raise ValueError(f"tensordot: lengths of paired axes differ: shapes {a} and {b}, {axes=}")
    return left, right


@named
def outer(x: Any, y: Any, /) -> Any:
    """xᵢ·yⱼ of two vectors: shapes (n,) and (m,) give (n, m).

    Raises ValueError for inputs that are not one-dimensional.
    """
    x, y = _pair(x, y)
    if x.ndim != 1 or y.ndim != 1:
        raise ValueError(f"outer: needs two vectors, got shapes {x.shape} and {y.shape}")
    return multiply(expand_dims(x, axis=1), y)


@primitive(
    x=lambda B, g, y, axis: B.cross(y, g, axis=axis),
    y=lambda B, g, x, axis: B.cross(g, x, axis=axis),
)
def _cross(B: Any, x: Any, y: Any, *, axis: int) -> Any:
    return B.cross(x, y, axis=axis)


@named
def cross(x: Any, y: Any, /, *, axis: int = -1) -> Any:
    """Vector product of three-vectors along `axis`; other axes broadcast.

    d/dx = y×g,   d/dy = g×x.

    Raises ValueError if `axis` does not have length 3 in both, or is not counted from the end.
    """
    x, y = _pair(x, y)
    if x.ndim == y.ndim and 0 <= axis < x.ndim:
        axis -= x.ndim
    _check_vectors("cross", x.shape, y.shape, axis)
    if x.shape[axis] != 3:
        raise ValueError(f"cross: length along axis {axis} must be 3, got shape {x.shape}")
    return _cross(x, y, axis=axis)


# ---------------------------------------------------------------------------------- diagonals


@primitive(x=lambda B, g, x_shape, offset: B.diagonal_embed(g, offset=offset, shape=x_shape))
def _diagonal(B: Any, x: Any, *, offset: int = 0) -> Any:
    return B.diagonal(x, offset=offset)


@named
def diagonal(x: Any, /, *, offset: int = 0) -> Any:
    """x[..., i, i + offset], the last axis of the result.   d/dx = zeros with g on the diagonal."""
    check_integer("diagonal", "offset", offset)
    return _diagonal(check_matrix("diagonal", x), offset=offset)


@primitive(x=lambda B, g, offset: B.diagonal(g, offset=offset))
def diagonal_embed(B: Any, x: Any, *, offset: int = 0, shape: tuple[int, ...]) -> Any:
    """Zeros of `shape` with the last axis of x on a diagonal of the last two.

    d/dx = diagonal(g).
    """
    return B.diagonal_embed(x, offset=offset, shape=shape)


@named
def trace(x: Any, /, *, offset: int = 0, dtype: Any = None) -> Any:
    """Σᵢ x[..., i, i + offset].   d/dx = g on the diagonal."""
    check_integer("trace", "offset", offset)
    return sum(diagonal(check_matrix("trace", x), offset=offset), axis=-1, dtype=dtype)
