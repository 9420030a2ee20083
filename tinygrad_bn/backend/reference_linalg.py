"""Reference: linear algebra over `xp` and its extension `xp.linalg`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class LinalgReference:
    """The standard's linear algebra under one roof, with the library's failures named.

    Libraries report a matrix that cannot be factored as a `ValueError` of their own; it is raised
    again with the name of the function.
    """

    xp: Any
    zeros: Any
    arange: Any

    def matrix_transpose(self, x: Any) -> Any:
        """The last two axes exchanged; a view where the library has views."""
        return x.mT

    def diagonal(self, x: Any, *, offset: int = 0) -> Any:
        """x[..., i, i + offset]."""
        return self.xp.linalg.diagonal(x, offset=offset)

    def diagonal_embed(self, x: Any, *, offset: int = 0, shape: tuple[int, ...]) -> Any:
        """Zeros of `shape` with the last axis of x on a diagonal of the last two axes."""
        rows, columns = shape[-2:]
        length = x.shape[-1]
        out = self.zeros((*shape[:-2], rows * columns), dtype=x.dtype)
        if length:
            start = offset if offset >= 0 else -offset * columns
            stop = start + (length - 1) * (columns + 1) + 1
            out[..., start : stop : columns + 1] = x
        return self.xp.reshape(out, shape)

    def cross(self, x: Any, y: Any, *, axis: int = -1) -> Any:
        """Cross product along `axis`, counted from the end, with broadcasting."""
        roll = self.xp.roll
        return roll(x, -1, axis=axis) * roll(y, -2, axis=axis) - (
            roll(x, -2, axis=axis) * roll(y, -1, axis=axis)
        )

    def power_norm(self, x: Any, *, axis: Any, ord: float, keepdims: bool) -> Any:
        """(Σ |x|^ord)^(1/ord)."""
        return self.xp.linalg.vector_norm(x, axis=axis, ord=ord, keepdims=keepdims)

    def inv(self, x: Any) -> Any:
        """Inverse matrix."""
        return _named("inv", self.xp.linalg.inv, x)

    def solve(self, x: Any, y: Any) -> Any:
        """x⁻¹·y."""
        return _named("solve", self.xp.linalg.solve, x, y)

    def det(self, x: Any) -> Any:
        """Determinant."""
        return self.xp.linalg.det(x)

    def slogdet(self, x: Any) -> tuple[Any, Any]:
        """Sign of the determinant, and the logarithm of its absolute value."""
        sign, logabsdet = self.xp.linalg.slogdet(x)
        return sign, logabsdet

    def cofactor(self, x: Any) -> Any:
        """Matrix of cofactors, det(x)·x⁻ᵀ, also where x is singular.

        With x = U·diag(s)·Vᵀ it is det(U·Vᵀ)·U·diag(∏_{j≠i} sⱼ)·Vᵀ: no division.
        """
        xp = self.xp
        u, s, vh = _named("det", xp.linalg.svd, x, full_matrices=False)
        n = self.arange(s.shape[-1], dtype="int64")
        itself = xp.expand_dims(n, axis=1) == xp.expand_dims(n, axis=0)
        others = xp.where(itself, xp.ones_like(s)[..., None, :], s[..., None, :])
        orientation = xp.linalg.det(xp.matmul(u, vh))
        scale = xp.prod(others, axis=-1) * orientation[..., None]
        return xp.matmul(u * scale[..., None, :], vh)

    def cholesky(self, x: Any, *, upper: bool = False) -> Any:
        """Cholesky factor."""
        return _named("cholesky", self.xp.linalg.cholesky, x, upper=upper)

    def eigh(self, x: Any) -> tuple[Any, Any]:
        """Eigenvalues, ascending, and eigenvectors of a symmetric matrix."""
        eigenvalues, eigenvectors = _named("eigh", self.xp.linalg.eigh, x)
        return eigenvalues, eigenvectors

    def eigvalsh(self, x: Any) -> Any:
        """Eigenvalues of a symmetric matrix, ascending."""
        return _named("eigvalsh", self.xp.linalg.eigvalsh, x)

    def svd(self, x: Any, *, full_matrices: bool = True) -> tuple[Any, Any, Any]:
        """Singular value decomposition U, S, Vᵀ."""
        u, s, vh = _named("svd", self.xp.linalg.svd, x, full_matrices=full_matrices)
        return u, s, vh

    def svdvals(self, x: Any) -> Any:
        """Singular values, descending."""
        return _named("svdvals", self.xp.linalg.svdvals, x)

    def qr(self, x: Any, *, mode: str = "reduced") -> tuple[Any, Any]:
        """Orthogonal and upper triangular factor."""
        q, r = _named("qr", self.xp.linalg.qr, x, mode=mode)
        return q, r

    def matrix_rank(self, x: Any, *, rtol: Any = None) -> Any:
        """Number of singular values above rtol times the largest."""
        xp = self.xp
        s = _named("matrix_rank", xp.linalg.svdvals, x)
        return xp.astype(xp.count_nonzero(self._above(s, rtol, x.shape), axis=-1), xp.int64)

    def pinv(self, x: Any, *, rtol: Any = None) -> Any:
        """Moore-Penrose inverse; singular values up to rtol times the largest count as zero."""
        xp = self.xp
        u, s, vh = _named("pinv", xp.linalg.svd, x, full_matrices=False)
        kept = self._above(s, rtol, x.shape)
        one, zero = xp.ones_like(s), xp.zeros_like(s)
        inverse = xp.where(kept, one / xp.where(kept, s, one), zero)
        v, uh = self._adjoint(vh), self._adjoint(u)
        return xp.matmul(v * xp.astype(inverse[..., None, :], v.dtype), uh)

    def _adjoint(self, x: Any) -> Any:
        """Transposed and conjugated."""
        xp = self.xp
        x = xp.matrix_transpose(x)
        return xp.conj(x) if xp.isdtype(x.dtype, "complex floating") else x

    def _above(self, s: Any, rtol: Any, shape: tuple[int, ...]) -> Any:
        """Which singular values count as nonzero; rtol None is max(M, N)·eps."""
        xp = self.xp
        if s.shape[-1] == 0:
            return s > 0
        if rtol is None:
            rtol = max(shape[-2:]) * float(xp.finfo(s.dtype).eps)
        largest = xp.max(s, axis=-1, keepdims=True)
        return s > largest * (rtol if isinstance(rtol, int | float) else rtol[..., None])


def _named(name: str, function: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
    """Call a function of the library; if it cannot do it, say so in the name of ours."""
    try:
        return function(*arrays, **options)
    except ValueError as error:
        shapes = " and ".join(str(tuple(a.shape)) for a in arrays)
        raise ValueError(f"{name}: failed for shape {shapes}: {error}") from error
