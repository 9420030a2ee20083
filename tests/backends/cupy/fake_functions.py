"""The functions of the pretend CuPy that differ from NumPy's of the same name."""

from __future__ import annotations

import numpy as np

from tests.backends.cupy.fake_array import aligned_copy, ndarray


class Functions:
    """Mixed into `fake.FakeCuPy`, which calls `_name` for the function `name`."""

    def _where(self, condition, x, y):
        assert isinstance(condition, ndarray), "where: cupy wants an array for a condition"
        return self.run(np.where, condition, x, y)

    def _asarray(self, a, dtype=None, order=None, *, copy=None, blocking=False):
        if isinstance(a, ndarray):
            if a._device_id != self.cuda.runtime.getDevice():
                return a.copy()
            return self.run(lambda h: np.array(h, dtype=dtype, copy=copy), a)
        host = np.array(a, dtype=dtype)
        host = aligned_copy(host) if self._aligned else host
        self.cuda.allocate(host)
        return self.ndarray(host, self.cuda.runtime.getDevice())

    def _ascontiguousarray(self, a):
        return self.run(np.ascontiguousarray, a)

    def _zeros_like(self, a, dtype=None):
        return self.run(lambda h: np.zeros(h.shape, dtype or h.dtype), a)

    def _ones_like(self, a, dtype=None):
        return self.run(lambda h: np.ones(h.shape, dtype or h.dtype), a)

    def _reshape(self, a, newshape, *, copy=None):
        return self.run(lambda h: np.reshape(h, newshape, copy=copy), a)

    def _take(self, a, indices, axis=None):
        assert isinstance(indices, ndarray)
        return self.run(lambda h, i: np.take(h, i % max(h.shape[axis], 1), axis=axis), a, indices)

    def _take_along_axis(self, a, indices, axis):
        def take(h, i):
            return np.take_along_axis(h, i % max(h.shape[axis], 1), axis=axis)

        return self.run(take, a, indices)

    def _repeat(self, a, repeats, axis=None):
        if isinstance(repeats, ndarray):
            raise ValueError("cupy.ndarray is not supported as `repeats`")
        return self.run(lambda h: np.repeat(h, repeats, axis=axis), a)

    def _sort(self, a, axis=-1):
        return self.run(lambda h: np.sort(h, axis=axis, kind="stable"), a)

    def _argsort(self, a, axis=-1):
        return self.run(lambda h: np.argsort(h, axis=axis, kind="stable"), a)

    def _empty(self, shape, dtype=float):
        def garbage():
            host = np.empty(shape, dtype)
            host.reshape(-1).view(np.uint8)[...] = 0x7F if host.dtype.kind in "fc" else 0
            return host

        return self.run(garbage)

    def _real(self, val):
        return self.run(lambda h: h.real, val)

    def _imag(self, val):
        return self.run(lambda h: h.imag if h.dtype.kind == "c" else np.zeros_like(h), val)

    def _svd(self, a, full_matrices=True, compute_uv=True):
        if not compute_uv:
            return self.run(lambda h: np.linalg.svd(h, compute_uv=False), a)
        return self.run(lambda h: tuple(np.linalg.svd(h, full_matrices=full_matrices)), a)

    def _solve(self, a, b):
        if b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
            raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
        return self._unreported(np.linalg.solve, a, b)

    def _inv(self, a):
        return self._unreported(np.linalg.inv, a)

    def _cholesky(self, a):
        return self._unreported(np.linalg.cholesky, a)

    def _unreported(self, function, *arrays):
        """Failures pass in silence, with garbage, unless errstate(linalg='raise') is set."""

        def call(*hosts):
            try:
                return function(*hosts)
            except np.linalg.LinAlgError:
                if self.cuda.linalg == "raise":
                    raise
                return np.full_like(hosts[-1], np.nan)

        return self.run(call, *arrays)

    def _qr(self, a, mode="reduced"):
        return self.run(lambda h: tuple(np.linalg.qr(h, mode=mode)), a)

    def _eigh(self, a, UPLO="L"):
        return self.run(lambda h: tuple(np.linalg.eigh(h, UPLO=UPLO)), a)

    def _slogdet(self, a):
        return self.run(lambda h: tuple(np.linalg.slogdet(h)), a)
