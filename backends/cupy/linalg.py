"""Linear algebra where CuPy's differs: names that it lacks, and failures that it keeps to itself.

Missing in CuPy 14: `diagonal`, `vector_norm` and `svdvals` in `linalg`, `upper` of `cholesky`, and
broadcasting in `solve`. cuSOLVER's reports of singular matrices are ignored unless asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_linalg import LinalgReference

from .place import Place


class CuPyLinalg(LinalgReference):
    """Overrides by the names of the reference."""

    place: Place
    errstate: Any
    max: Any

    def _solver(self, name: str, function: Callable[..., Any], *arrays: Any, **options: Any) -> Any:
        """Call cuSOLVER with its reports read; ValueError in the name of ours if it fails."""
        self.place.forbid_capture(name)
        try:
            with self.errstate(linalg="raise"):
                return function(*arrays, **options)
        except ValueError as error:
            shapes = " and ".join(str(tuple(a.shape)) for a in arrays)
            raise ValueError(f"{name}: failed for shape {shapes}: {error}") from error

    def matmul(self, x1: Any, x2: Any, /) -> Any:
        """CuPy's own; in a captured step a product that was planned beforehand."""
        products = self.place.products
        return self.xp.matmul(x1, x2) if products is None else products.matmul(x1, x2)

    def diagonal(self, x: Any, *, offset: int = 0) -> Any:
        """CuPy's own of the last two axes, a view."""
        return self.xp.diagonal(x, offset=offset, axis1=-2, axis2=-1)

    def power_norm(self, x: Any, *, axis: Any, ord: float, keepdims: bool) -> Any:
        """(Σ |x|^ord)^(1/ord)."""
        xp = self.xp
        size = xp.abs(x)
        if ord == 1:
            return xp.sum(size, axis=axis, keepdims=keepdims)
        if ord == 2:
            return xp.sqrt(xp.sum(size * size, axis=axis, keepdims=keepdims))
        return xp.sum(size**ord, axis=axis, keepdims=keepdims) ** (1 / ord)

    def inv(self, x: Any) -> Any:
        """CuPy's own, with singular matrices reported."""
        return self._solver("inv", self.xp.linalg.inv, x)

    def solve(self, x: Any, y: Any) -> Any:
        """CuPy's own for stacks of equal shapes."""
        xp = self.xp
        columns = y[:, None] if y.ndim == 1 else y
        batch = np.broadcast_shapes(x.shape[:-2], columns.shape[:-2])
        x = xp.broadcast_to(x, (*batch, *x.shape[-2:]))
        columns = xp.broadcast_to(columns, (*batch, *columns.shape[-2:]))
        if 0 in columns.shape:
            out = xp.zeros(columns.shape, dtype=np.result_type(x.dtype, columns.dtype))
        else:
            out = self._solver("solve", xp.linalg.solve, x, columns)
        return out[..., 0] if y.ndim == 1 else out

    def det(self, x: Any) -> Any:
        """CuPy's own; 0 for a singular matrix."""
        self.place.forbid_capture("det")
        return self.xp.linalg.det(x)

    def slogdet(self, x: Any) -> tuple[Any, Any]:
        """CuPy's own; (0, -∞) for a singular matrix."""
        self.place.forbid_capture("slogdet")
        return super().slogdet(x)

    def cholesky(self, x: Any, *, upper: bool = False) -> Any:
        """CuPy's own; the upper factor is the lower one's adjoint."""
        lower = self._solver("cholesky", self.xp.linalg.cholesky, x)
        return self._adjoint(lower) if upper else lower

    def eigh(self, x: Any) -> tuple[Any, Any]:
        """CuPy's own."""
        eigenvalues, eigenvectors = self._solver("eigh", self.xp.linalg.eigh, x)
        return eigenvalues, eigenvectors

    def eigvalsh(self, x: Any) -> Any:
        """CuPy's own."""
        return self._solver("eigvalsh", self.xp.linalg.eigvalsh, x)

    def svd(self, x: Any, *, full_matrices: bool = True) -> tuple[Any, Any, Any]:
        """CuPy's own."""
        u, s, vh = self._solver("svd", self.xp.linalg.svd, x, full_matrices=full_matrices)
        return u, s, vh

    def svdvals(self, x: Any) -> Any:
        """CuPy's singular value decomposition without the vectors."""
        return self._solver("svdvals", self.xp.linalg.svd, x, compute_uv=False)

    def qr(self, x: Any, *, mode: str = "reduced") -> tuple[Any, Any]:
        """CuPy's own."""
        q, r = self._solver("qr", self.xp.linalg.qr, x, mode=mode)
        return q, r

    def matrix_rank(self, x: Any, *, rtol: Any = None) -> Any:
        """Number of singular values above rtol times the largest."""
        above = self._above(self.svdvals(x), rtol, x.shape)
        return self.xp.sum(above, axis=-1, dtype=np.int64)

    def _above(self, s: Any, rtol: Any, shape: tuple[int, ...]) -> Any:
        return s > 0 if 0 in s.shape else super()._above(s, rtol, shape)
