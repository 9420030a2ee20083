"""Batch normalization by compiled kernels: overrides of the reference, by the same names.

Inputs that no kernel takes (weights, masks, layer norm, empty arrays) go to the reference.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from ..numpy.normalization import NumPyNormalization
from .kernels import estimate, rows, rows_grad, second, slabs, slabs_grad
from .layout import Form, form_of

_STAT: dict[str, Any] = {
    "e": np.dtype(np.float32),
    "f": np.dtype(np.float32),
    "d": np.dtype(np.float64),
}


@functools.lru_cache(maxsize=64)
def _constant(n: int, value: float, dtype: Any) -> Any:
    """Stands for gamma or beta where there is none; only read."""
    return np.full(n, value, dtype)


def _flat(a: Any, n: int, value: float, dtype: Any) -> Any:
    """A parameter or statistic as a vector."""
    if a is None:
        return _constant(n, value, dtype)
    if a.ndim == 1 and a.dtype == dtype and a.flags.carray:
        return a
    return np.ascontiguousarray(a, dtype).reshape(-1)


def _turned(form: Form, channels: int) -> Callable[[Any], Any]:
    """From an array as kernels see it to slabs: rows (G, R, W) become (G, 1, C, R·W/C)."""
    if not form.rows:
        return lambda a: a
    shape = form.shape[0], 1, -1, channels // form.shape[0]
    return lambda a: np.ascontiguousarray(a.reshape(shape).swapaxes(2, 3))


class NumbaNormalization(NumPyNormalization):
    """The normalization methods of the reference; see there for arguments and formulas."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Statistics and map in one kernel."""
        form = None if weights is not None else form_of(x, plan)
        if form is None:
            return super().batch_norm(x, gamma, beta, residual, weights, plan=plan)
        dtype = _STAT[x.dtype.char]
        seen = form.view(x, dtype)
        added = seen if residual is None else form.view(residual, dtype)
        y, out = form.empty(dtype, seen, added)
        n = form.parameters
        gamma, beta = _flat(gamma, n, 1.0, dtype), _flat(beta, n, 0.0, dtype)
        statistics = np.empty((4, *form.kept), dtype)
        stats = statistics.reshape(4, -1)
        kernels = rows if form.rows else slabs
        kernels.forward(
            x.size,
            seen,
            gamma,
            beta,
            added,
            int(residual is not None),
            out,
            stats,
            form.center,
            form.eps[dtype.char],
            form.act,
            form.slope,
        )
        mean, low, var, rstd = statistics
        return form.narrow(y, x.dtype), mean, low, var, rstd, None

    def batch_statistics(
        self, x: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any]:
        """The first half of `batch_norm`."""
        form = None if weights is not None else form_of(x, plan)
        if form is None:
            return super().batch_statistics(x, weights, plan=plan)
        dtype = _STAT[x.dtype.char]
        statistics = np.empty((4, *form.kept), dtype)
        kernels = rows if form.rows else slabs
        kernels.statistics(
            x.size,
            form.view(x, dtype),
            form.center,
            form.eps[dtype.char],
            statistics.reshape(4, -1),
        )
        mean, low, var, _ = statistics
        return mean, low, var, None

    def normalize_by(
        self,
        x: Any,
        mean: Any,
        var: Any,
        gamma: Any,
        beta: Any,
        residual: Any,
        *,
        plan: NormalizationPlan,
    ) -> Any:
        """The second half of `batch_norm`."""
        form = form_of(x, plan)
        if form is None:
            return super().normalize_by(x, mean, var, gamma, beta, residual, plan=plan)
        dtype, n = _STAT[x.dtype.char], form.parameters
        seen = form.view(x, dtype)
        added = seen if residual is None else form.view(residual, dtype)
        y, out = form.empty(dtype, seen, added)
        rstd = _flat(self._rstd(var, plan.eps), n, 1.0, dtype)
        kernels = rows if form.rows else slabs
        kernels.write(
            x.size,
            seen,
            _flat(mean, n, 0.0, dtype),
            _constant(mean.size, 0.0, dtype),
            rstd,
            _flat(gamma, n, 1.0, dtype),
            _flat(beta, n, 0.0, dtype),
            added,
            int(residual is not None),
            out,
            form.act,
            form.slope,
        )
        return form.narrow(y, x.dtype)

    def batch_norm_grad(
        self,
        g: Any,
        x: Any,
        mean: Any,
        low: Any,
        rstd: Any,
        gamma: Any,
        beta: Any,
        weights: Any,
        count: Any,
        *,
        plan: NormalizationPlan,
    ) -> tuple[Any, Any, Any]:
        """Sums and map in one kernel."""
        form = None if weights is not None or g.dtype != x.dtype else form_of(x, plan)
        if form is None:
            return super().batch_norm_grad(
                g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        found = self._pull(form, g, x, None, (mean, low, rstd, gamma, beta), plan)
        return found[0], found[1], found[2]

    def batch_norm_residual_grad(
        self,
        g: Any,
        x: Any,
        mean: Any,
        low: Any,
        rstd: Any,
        gamma: Any,
        beta: Any,
        residual: Any,
        weights: Any,
        count: Any,
        *,
        plan: NormalizationPlan,
    ) -> tuple[Any, Any, Any, Any]:
        """The gate, the sums and the map in one kernel."""
        form = None
        if weights is None and plan.activation and g.dtype == x.dtype:
            form = form_of(x, plan)
        if form is None:
            return super().batch_norm_residual_grad(
                g, x, mean, low, rstd, gamma, beta, residual, weights, count, plan=plan
            )
        return self._pull(form, g, x, residual, (mean, low, rstd, gamma, beta), plan)

    def _pull(
        self,
        form: Form,
        g: Any,
        x: Any,
        residual: Any,
        vectors: tuple[Any, ...],
        plan: NormalizationPlan,
    ) -> tuple[Any, Any, Any, Any]:
        """(dx, dgamma, dbeta, h); h is None without a residual."""
        mean, low, rstd, gamma, beta = vectors
        dtype, n = _STAT[x.dtype.char], form.parameters
        seen, cotangent = form.view(x, dtype), form.view(g, dtype)
        added, h, gates = seen, None, seen
        if residual is None:
            dx, out = form.empty(dtype, seen, cotangent)
        else:
            added = form.view(residual, dtype)
            h, gates = form.empty(dtype, seen, cotangent, added)
            dx, out = form.empty(dtype, seen, gates)
        dgamma, dbeta = np.empty(mean.shape, dtype), np.empty(mean.shape, dtype)
        kernels = rows_grad if form.rows else slabs_grad
        kernels.backward(
            x.size,
            cotangent,
            seen,
            added,
            int(residual is not None),
            mean.reshape(-1),
            low.reshape(-1),
            rstd.reshape(-1),
            _flat(gamma, n, 1.0, dtype),
            _flat(beta, n, 0.0, dtype),
            gates,
            out,
            dgamma.reshape(-1),
            dbeta.reshape(-1),
            form.center,
            form.act,
            form.slope,
        )
        if plan.folded:
            dgamma, dbeta = (self._as(self._sum(s, plan.folded), dtype) for s in (dgamma, dbeta))
        dx = form.narrow(dx, x.dtype)
        return dx, dgamma, dbeta, None if h is None else form.narrow(h, x.dtype)

    def batch_norm_grad_grad(
        self,
        u: Any,
        v: Any,
        t: Any,
        g: Any,
        x: Any,
        mean: Any,
        low: Any,
        rstd: Any,
        gamma: Any,
        beta: Any,
        weights: Any,
        count: Any,
        *,
        plan: NormalizationPlan,
    ) -> tuple[Any, Any, Any]:
        """All sums in one pass and both maps in another; rows are turned into slabs and back."""
        form = None
        if weights is None and u.dtype == g.dtype == x.dtype and not plan.folded:
            form = form_of(x, plan)
        if form is None:
            return super().batch_norm_grad_grad(
                u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        dtype, n = _STAT[x.dtype.char], form.parameters
        (dg, dg_seen), (dx, dx_seen) = form.empty(dtype), form.empty(dtype)
        dgamma = np.empty(mean.shape, dtype)
        slabs_of = _turned(form, mean.size)
        us, gs, xs = [slabs_of(form.view(a, dtype)) for a in (u, g, x)]
        found = [np.empty_like(xs), np.empty_like(xs)] if form.rows else [dg_seen, dx_seen]
        second.second(
            x.size * 2,
            us,
            _flat(v, n, 0.0, dtype),
            _flat(t, n, 0.0, dtype),
            gs,
            xs,
            mean.reshape(-1),
            low.reshape(-1),
            rstd.reshape(-1),
            _flat(gamma, n, 1.0, dtype),
            _flat(beta, n, 0.0, dtype),
            *found,
            dgamma.reshape(-1),
            form.center,
            form.act,
            form.slope,
        )
        if form.rows:
            for out, turned in zip((dg_seen, dx_seen), found, strict=True):
                out.reshape(len(turned), -1, turned.shape[2])[:] = turned[:, 0].swapaxes(1, 2)
        return form.narrow(dg, g.dtype), form.narrow(dx, x.dtype), dgamma

    def advance_estimate(
        self,
        old_mean: Any,
        old_var: Any,
        skipped: Any,
        missed: Any,
        mean: Any,
        var: Any,
        factor: Any,
        usable: Any,
        rate: Any,
    ) -> tuple[Any, Any, Any, Any]:
        """All channels in one kernel, unless one has to stay."""
        if usable is None and mean.ndim == 1 and rate.__class__ is factor.__class__ is float:
            arrays = old_mean, old_var, mean, var
            if all(a.dtype == mean.dtype and a.flags.carray for a in arrays):
                new_mean, new_var = np.empty_like(mean), np.empty_like(var)
                if mean.dtype.char in "fd" and estimate.advance.serial(
                    *arrays, factor, rate, new_mean, new_var
                ):
                    return new_mean, new_var, skipped, missed
        return super().advance_estimate(
            old_mean, old_var, skipped, missed, mean, var, factor, usable, rate
        )
