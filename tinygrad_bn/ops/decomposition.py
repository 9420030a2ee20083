"""Factorizations of matrices: Cholesky, eigenvalues, singular values, QR.

All functions work on stacks of matrices: leading axes are a batch. Derivatives are given for real
matrices. Source: Giles, "Collected Matrix Derivative Results for Forward and Reverse Mode
Algorithmic Differentiation", 2008; others where they are used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ..autograd import primitive
from ..refusal import named
from .linalg import matmul
from .manipulation import concat
from .matrix import columns, floating, reciprocal, square, transpose

__all__ = ["cholesky", "eigh", "eigvalsh", "qr", "svd", "svdvals"]


def _cholesky_dx(B: Any, g: Any, out: Any, upper: bool) -> Any:
    """L⁻ᵀ·Φ(Lᵀ·g)·L⁻¹, symmetrized; Φ keeps the lower triangle and halves the diagonal."""
    low, g = (transpose(B, out), transpose(B, g)) if upper else (out, g)
    product = B.matmul(transpose(B, low), g)
    phi = (B.tril(product) + B.tril(product, k=-1)) / 2
    half = B.solve(transpose(B, low), transpose(B, B.solve(transpose(B, low), transpose(B, phi))))
    return (half + transpose(B, half)) / 2


@primitive(x=_cholesky_dx)
def _cholesky(B: Any, x: Any, *, upper: bool = False) -> Any:
    return B.cholesky(x, upper=upper)


@named
def cholesky(x: Any, /, *, upper: bool = False) -> Any:
    """L with x = L·Lᵀ, lower triangular; with `upper`, its transpose.

    Of a symmetric x one triangle may be all that is read; the gradient is symmetric.

    Raises ValueError for a matrix that is not square or not positive definite.
    Source: Murray, "Differentiation of the Cholesky decomposition", 2016, equation 10.
    """
    return _cholesky(square("cholesky", x), upper=upper)


class EighResult(NamedTuple):
    """What `eigh` returns."""

    eigenvalues: Any
    eigenvectors: Any


def _eigh_dx(B: Any, g: Any, out: Any) -> Any:
    """V·(diag(ḡ) + F∘(Vᵀ·V̄))·Vᵀ, symmetrized; Fᵢⱼ = 1/(λⱼ - λᵢ), 0 where they are equal."""
    gw, gv = g
    w, v = out
    f = reciprocal(B, B.expand_dims(w, axis=-2) - B.expand_dims(w, axis=-1))
    inner = f * B.matmul(transpose(B, v), gv)
    d = B.matmul(v * columns(B, gw) + B.matmul(v, inner), transpose(B, v))
    return (d + transpose(B, d)) / 2


@primitive(x=_eigh_dx, outputs=2)
def _eigh(B: Any, x: Any) -> Any:
    return B.eigh(x)


@named
def eigh(x: Any, /) -> EighResult:
    """Eigenvalues, ascending, and eigenvectors (columns) of a symmetric matrix.

    The gradient is symmetric. Where eigenvalues repeat, single eigenvectors have no derivative:
    the terms that couple exactly equal ones are left out, which is right for functions that do
    not depend on the choice of basis (and of sign).

    Raises ValueError for a matrix that is not square.
    Source: Giles 3.1; Ionescu et al., "Matrix Backpropagation ...", 2015.
    """
    return EighResult(*_eigh(square("eigh", x)))


def _eigvalsh_dx(B: Any, g: Any, x: Any) -> Any:
    v = B.eigh(x)[1]
    return B.matmul(v * columns(B, g), transpose(B, v))


@primitive(x=_eigvalsh_dx)
def _eigvalsh(B: Any, x: Any) -> Any:
    return B.eigvalsh(x)


@named
def eigvalsh(x: Any, /) -> Any:
    """Eigenvalues of a symmetric matrix, ascending.   d/dx = V·diag(g)·Vᵀ; see `eigh`."""
    return _eigvalsh(square("eigvalsh", x))


class SVDResult(NamedTuple):
    """What `svd` returns."""

    U: Any
    S: Any
    Vh: Any


def _svd_dx(B: Any, g: Any, out: Any, x_shape: tuple[int, ...]) -> Any:
    """[U·(F∘skew(Uᵀ·Ū)·S + diag(S̄) + S·F∘skew(Vᵀ·V̄)) + (1 - U·Uᵀ)·Ū·S⁻¹]·Vᵀ + U·S⁻¹·V̄ᵀ·(1 - V·Vᵀ).

    Fᵢⱼ = 1/(sⱼ² - sᵢ²), 0 where they are equal; skew(A) = A - Aᵀ.
    """
    gu, gs, gvh = g
    u, s, vh = out
    m, n = x_shape[-2:]
    if u.shape[-1] != s.shape[-1] or vh.shape[-2] != s.shape[-1]:
        raise ValueError(
            f"svd: with full_matrices=True a matrix of shape {(m, n)} has no derivative, because "
            "the extra columns are arbitrary; use full_matrices=False"
        )
    row, column = B.expand_dims(s, axis=-2), B.expand_dims(s, axis=-1)
    f = reciprocal(B, (row - column) * (row + column))
    inverse = reciprocal(B, s)
    ug, gv = B.matmul(transpose(B, u), gu), B.matmul(gvh, transpose(B, vh))
    core = f * (ug - transpose(B, ug)) * row + column * (f * (transpose(B, gv) - gv))
    left = B.matmul(u, core) + u * columns(B, gs)
    if m > n:
        left = left + (gu - B.matmul(u, ug)) * columns(B, inverse)
    d = B.matmul(left, vh)
    if n > m:
        d = d + B.matmul(u * columns(B, inverse), gvh - B.matmul(gv, vh))
    return d


@primitive(x=_svd_dx, outputs=3)
def _svd(B: Any, x: Any, *, full_matrices: bool = True) -> Any:
    return B.svd(x, full_matrices=full_matrices)


@named
def svd(x: Any, /, *, full_matrices: bool = True) -> SVDResult:
    """x = U·diag(S)·Vh, S descending, U and V orthogonal.

    Shapes: x (..., m, n), k = min(m, n): U (..., m, k), S (..., k), Vh (..., k, n); with
    `full_matrices` U and Vh are square, and only a square x has a derivative then.

    Singular vectors are differentiable where singular values are distinct and nonzero; the terms
    of exactly equal or zero ones are left out, as in `eigh`.

    Source: Giles 3.2; Townsend, "Differentiating the Singular Value Decomposition", 2016.
    """
    return SVDResult(*_svd(floating("svd", x), full_matrices=full_matrices))


def _svdvals_dx(B: Any, g: Any, x: Any) -> Any:
    u, _, vh = B.svd(x, full_matrices=False)
    return B.matmul(u * columns(B, g), vh)


@primitive(x=_svdvals_dx)
def _svdvals(B: Any, x: Any) -> Any:
    return B.svdvals(x)


@named
def svdvals(x: Any, /) -> Any:
    """Singular values, descending.   d/dx = U·diag(g)·Vᵀ; see `svd`."""
    return _svdvals(floating("svdvals", x))


class QRResult(NamedTuple):
    """What `qr` returns."""

    Q: Any
    R: Any


def _qr_dx(B: Any, g: Any, out: Any, x_shape: tuple[int, ...]) -> Any:
    """(Q̄ + Q·copyltu(R·R̄ᵀ - Q̄ᵀ·Q))·R⁻ᵀ; copyltu mirrors the lower triangle to the upper."""
    gq, gr = g
    q, r = out
    if q.shape[-1] != x_shape[-1]:
        raise ValueError(
            f"qr: with mode='complete' a matrix of shape {x_shape[-2:]} has no derivative, "
            "because the extra columns of Q are arbitrary; use mode='reduced'"
        )
    m = B.matmul(r, transpose(B, gr)) - B.matmul(transpose(B, gq), q)
    mirrored = B.tril(m) + transpose(B, B.tril(m, k=-1))
    return transpose(B, B.solve(r, transpose(B, gq + B.matmul(q, mirrored))))


@primitive(x=_qr_dx, outputs=2)
def _qr(B: Any, x: Any, *, mode: str = "reduced") -> Any:
    return B.qr(x, mode=mode)


@named
def qr(x: Any, /, *, mode: str = "reduced") -> QRResult:
    """x = Q·R with orthonormal columns in Q and an upper triangular R.

    Shapes: x (..., m, n), k = min(m, n): Q (..., m, k), R (..., k, n); with mode='complete'
    Q (..., m, m), R (..., m, n), and only m = n has a derivative then, or m < n.
    The derivative needs the first k columns of x to be independent.

    Raises ValueError for another mode.
    Source: Walter & Lehmann, "Algorithmic Differentiation of Linear Algebra Functions ...", 2018.
    """
    x = floating("qr", x)
    if mode not in ("reduced", "complete"):
        raise ValueError(f"qr: mode must be 'reduced' or 'complete', got {mode!r}")
    m, n = x.shape[-2:]
    if m >= n or x.dtype.kind == "c":
        return QRResult(*_qr(x, mode=mode))
    q, r = _qr(x[..., :m], mode=mode)
    rest = matmul(q.mT, x[..., m:])
    return QRResult(q, concat([r, rest], axis=-1))
