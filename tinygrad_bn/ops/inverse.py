"""Inverses, linear equations, powers, ranks and determinants of matrices.

All functions work on stacks of matrices: leading axes are a batch. Derivatives are given for real
matrices. Source: Giles, "Collected Matrix Derivative Results for Forward and Reverse Mode
Algorithmic Differentiation", 2008; others where they are used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..autograd import Variable, primitive
from ..refusal import named
from .creation import asarray, eye
from .linalg import matmul
from .manipulation import broadcast_to
from .matrix import check_matrix, floating, scalar, square, transpose

__all__ = ["det", "inv", "matrix_power", "matrix_rank", "pinv", "slogdet", "solve"]

# ------------------------------------------------------------------------ inverses, equations


@primitive(
    x=lambda B, g, out: -B.matmul(B.matmul(transpose(B, out), g), transpose(B, out)),
)
def _inv(B: Any, x: Any) -> Any:
    return B.inv(x)


@named
def inv(x: Any, /) -> Any:
    """Inverse of a square matrix.   d/dx = -outᵀ·g·outᵀ (Giles 2.2.3).

    Raises ValueError for a matrix that is not square or is singular.
    """
    return _inv(square("inv", x))


def _solve_joint(B: Any, g: Any, x: Any, out: Any, y_shape: Any, wants: Any) -> Any:
    if len(y_shape) == 1:  # one column
        g, out = B.expand_dims(g, axis=-1), B.expand_dims(out, axis=-1)
    dy = B.solve(transpose(B, x), g)
    dx = -B.matmul(dy, transpose(B, out)) if wants[0] else None
    return dx, B.reshape(dy, tuple(dy.shape)[:-1]) if len(y_shape) == 1 else dy


@primitive(_solve_joint)
def _solve(B: Any, x: Any, y: Any) -> Any:
    return B.solve(x, y)


@named
def solve(x: Any, y: Any, /) -> Any:
    """x⁻¹·y: the solution of x·out = y.

    Shapes: x (..., n, n), y (..., n, k) or exactly (n,).
    d/dy = x⁻ᵀ·g,   d/dx = -(d/dy)·outᵀ (Giles 2.3.1).

    Raises ValueError for an x that is not square or is singular, and shapes that do not fit.
    """
    x = square("solve", x)
    y = y if isinstance(y, Variable) else asarray(y, device=x.device)
    shape = y.shape
    if not shape or shape[-2 if len(shape) > 1 else 0] != x.shape[-1]:
        raise ValueError(f"solve: x (..., n, n) and y (..., n, k) do not fit: {x.shape}, {shape}")
    return _solve(x, y)


def _pinv_dx(B: Any, g: Any, x: Any, out: Any) -> Any:
    p, pt, gt = out, transpose(B, out), transpose(B, g)
    left = B.matmul(B.matmul(gt, p), pt)
    right = B.matmul(B.matmul(pt, p), gt)
    return (
        (left - B.matmul(x, B.matmul(p, left)))
        + (right - B.matmul(B.matmul(right, p), x))
        - B.matmul(B.matmul(pt, g), pt)
    )


@primitive(x=_pinv_dx)
def _pinv(B: Any, x: Any, *, rtol: Any = None) -> Any:
    return B.pinv(x, rtol=rtol)


@named
def pinv(x: Any, /, *, rtol: Any = None) -> Any:
    """Moore-Penrose inverse P of a matrix of any shape: (..., m, n) gives (..., n, m).

    d/dx = -Pᵀ·g·Pᵀ + (1 - x·P)·gᵀ·P·Pᵀ + Pᵀ·P·gᵀ·(1 - P·x), where the rank does not change.

    Args:
        x: the matrix.
        rtol: singular values up to rtol times the largest count as zero; a number or one for
            each matrix of the stack. Default: max(m, n)·eps.

    Source: Golub & Pereyra, "The Differentiation of Pseudo-Inverses ...", 1973.
    """
    return _pinv(floating("pinv", x), rtol=_tolerance(rtol))


def _tolerance(rtol: Any) -> Any:
    return rtol._data if isinstance(rtol, Variable) else rtol


@primitive()
def _matrix_rank(B: Any, x: Any, *, rtol: Any = None) -> Any:
    return B.matrix_rank(x, rtol=rtol)


@named
def matrix_rank(x: Any, /, *, rtol: Any = None) -> Any:
    """How many singular values exceed rtol times the largest (default max(m, n)·eps); int64."""
    return _matrix_rank(floating("matrix_rank", x), rtol=_tolerance(rtol))


@named
def matrix_power(x: Any, n: int, /) -> Any:
    """x·x···x, n factors, by repeated squaring.

    n = 0 gives the identity, n < 0 the power of the inverse.

    Raises ValueError for a matrix that is not square, or is singular where n < 0; TypeError for
    an n that is no integer.
    """
    x = check_matrix("matrix_power", x)
    if x.shape[-1] != x.shape[-2]:
        raise ValueError(f"matrix_power: x must be square, got shape {x.shape}")
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"matrix_power: n must be an integer, got {n!r}")
    if n == 0:
        return broadcast_to(eye(x.shape[-1], dtype=x.dtype, device=x.device), x.shape)
    base = inv(x) if n < 0 else x
    out = None
    n = -n if n < 0 else n
    while n:
        if n & 1:
            out = base if out is None else matmul(out, base)
        n >>= 1
        base = matmul(base, base) if n else base
    return out


# ------------------------------------------------------------------------------- determinants


@primitive(x=lambda B, g, x: scalar(B, g) * B.cofactor(x))
def _det(B: Any, x: Any) -> Any:
    return B.det(x)


@named
def det(x: Any, /) -> Any:
    """Determinant.   d/dx = g·cofactor(x), which is g·det·x⁻ᵀ (Giles 2.2.4).

    The first derivative holds for singular matrices too; a second one needs a regular x.

    Raises ValueError for a matrix that is not square.
    """
    return _det(square("det", x))


def _cofactor_dx(B: Any, g: Any, x: Any) -> Any:
    """det·(⟨g, x⁻ᵀ⟩·x⁻ᵀ - x⁻ᵀ·gᵀ·x⁻ᵀ), the product rule on det·x⁻ᵀ."""
    y = transpose(B, B.inv(x))
    inner = B.sum(g * y, axis=(-2, -1))
    return scalar(B, B.det(x)) * (scalar(B, inner) * y - B.matmul(B.matmul(y, transpose(B, g)), y))


@primitive(x=_cofactor_dx)
def cofactor(B: Any, x: Any) -> Any:
    """Matrix of cofactors: det(x)·x⁻ᵀ, defined for singular matrices too."""
    return B.cofactor(x)


class SlogdetResult(NamedTuple):
    """What `slogdet` returns."""

    sign: Any
    logabsdet: Any


@primitive(x=lambda B, g, x: scalar(B, g) * transpose(B, B.inv(x)), aux=("sign",))
def _slogdet(B: Any, x: Any) -> Any:
    sign, logabsdet = B.slogdet(x)
    return logabsdet, sign


@named
def slogdet(x: Any, /) -> SlogdetResult:
    """Sign of the determinant and ln |determinant|, without overflow.

    d logabsdet/dx = g·x⁻ᵀ;   the sign is a constant.

    Raises ValueError for a matrix that is not square, and from the derivative for a singular one.
    """
    logabsdet, sign = _slogdet(square("slogdet", x))
    return SlogdetResult(sign, logabsdet)
