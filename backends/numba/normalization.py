"""Batch normalization by compiled kernels: overrides of the reference, by the same names.

Weights, masks, ghost batches and gates are the matter of `weighted`, layer norm that of `sample`;
what no kernel takes, such as empty arrays, goes to the reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy import ndarray

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from .kernels import estimate, rows, second, slabs
from .layout import GRADIENT, Form, form_of
from .vectors import constant, flat, pair
from .weighted import WeightedNormalization

_COUNTER = np.dtype(np.int64)
_NO_COUNT = np.zeros((), _COUNTER)
"""Stands for the number of batches where no estimate is moved."""


class NumbaNormalization(WeightedNormalization):
    """The normalization methods of the reference; see there for arguments and formulas."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Statistics and map in one kernel."""
        form = None if weights is not None else form_of(x, plan)
        if form is None:
            return super().batch_norm(x, gamma, beta, residual, weights, plan=plan)
        y, found, _ = self._forward(form, x, gamma, beta, residual, None)
        return y, found[0], found[1], found[2], found[3], None  # NumPy is slow to unpack it

    def batch_norm_tracked(
        self,
        x: Any,
        gamma: Any,
        beta: Any,
        residual: Any,
        weights: Any,
        *,
        plan: NormalizationPlan,
        old: tuple[Any, ...],
        factor: Any,
        rate: Any,
    ) -> tuple[Any, Any, Any, Any, Any, Any, tuple[Any, ...]]:
        """The estimate in the same kernel, unless a channel has to stay."""
        form = None if weights is not None else form_of(x, plan)
        old_mean, old_var, tracked, skipped, missed = old
        if (
            form is None
            or not form.flat
            or old_mean.size != form.kept[0]
            or not _suits(form.dtype, old_mean, old_var, tracked, factor, rate)
        ):
            return super().batch_norm_tracked(
                x, gamma, beta, residual, weights, plan=plan, old=old, factor=factor, rate=rate
            )
        new_mean, new_var = ndarray(form.kept, form.dtype), ndarray(form.kept, form.dtype)
        counted = ndarray((), _COUNTER)
        estimate = old_mean, old_var, new_mean, new_var, tracked, counted, factor, rate, 1
        y, found, moved = self._forward(form, x, gamma, beta, residual, estimate)
        mean, var = found[0], found[2]
        if moved:
            arrived: tuple[Any, ...] = new_mean, new_var, counted, skipped, missed
        else:
            arrived = super().advance_estimate(
                old_mean, old_var, tracked, skipped, missed, mean, var, factor, None, rate
            )
        return y, mean, found[1], var, found[3], None, arrived

    def _forward(
        self, form: Form, x: Any, gamma: Any, beta: Any, residual: Any, estimate: Any
    ) -> tuple[Any, Any, bool]:
        """y, the four statistics, and whether the estimate was moved."""
        seen = form.view(x)
        added = seen if residual is None else form.view(residual)
        y, out = form.empty(next(form.places))
        found = ndarray((4, *form.kept), form.dtype)
        stats = found if form.flat else found.reshape(4, -1)
        if estimate is None:
            row = stats[0]
            estimate = row, row, row, row, _NO_COUNT, _NO_COUNT, 1.0, 0.0, 0
        moved = form.forward(
            seen,
            *pair(gamma, beta, form.parameters, form.dtype),
            added,
            int(residual is not None),
            out,
            stats,
            form.center,
            form.eps,
            form.act,
            form.slope,
            *estimate,
        )
        return form.narrow(y, x.dtype) if form.wide else y, found, moved

    def batch_statistics(
        self, x: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any]:
        """The first half of `batch_norm`."""
        form = None if weights is not None else form_of(x, plan)
        if form is None:
            return super().batch_statistics(x, weights, plan=plan)
        statistics = np.empty((4, *form.kept), form.dtype)
        kernels = rows if form.rows else slabs
        kernels.statistics(
            x.size,
            form.view(x),
            form.center,
            form.eps,
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
        dtype, n = form.dtype, form.parameters
        seen = form.view(x)
        added = seen if residual is None else form.view(residual)
        y, out = form.empty(next(form.places))
        rstd = flat(self._rstd(var, plan.eps), n, 1.0, dtype)
        kernels = rows if form.rows else slabs
        kernels.write(
            x.size,
            seen,
            flat(mean, n, 0.0, dtype),
            constant(mean.size, 0.0, dtype),
            rstd,
            *pair(gamma, beta, n, dtype),
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
        seen, cotangent = form.view(x), form.view(g)
        added, h, gates = seen, None, seen
        if residual is not None:
            added = form.view(residual)
            h, gates = form.empty(next(form.places))
        dx, out = form.empty(GRADIENT)
        dgamma, dbeta = ndarray(form.kept, form.dtype), ndarray(form.kept, form.dtype)
        of_channels = [mean, low, rstd, dgamma, dbeta]
        if not form.flat:
            of_channels = [a.reshape(-1) for a in of_channels]
        form.backward(
            cotangent,
            seen,
            added,
            int(residual is not None),
            *of_channels[:3],
            *pair(gamma, beta, form.parameters, form.dtype),
            gates,
            out,
            *of_channels[3:],
            form.center,
            form.act,
            form.slope,
        )
        if plan.folded:
            dgamma, dbeta = self._folded(plan, dgamma, dbeta)
        if form.wide:
            dx, h = form.narrow(dx, x.dtype), h if h is None else form.narrow(h, x.dtype)
        return dx, dgamma, dbeta, h

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
        """All sums in one pass and both maps in another; rows by the kernels that take weights."""
        form = None
        if weights is None and u.dtype == g.dtype == x.dtype:
            form = form_of(x, plan)
        if form is None or form.rows:
            return super().batch_norm_grad_grad(
                u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        dtype, n = form.dtype, form.parameters
        (dg, dg_seen), (dx, dx_seen) = form.empty(), form.empty()
        dgamma = np.empty(mean.shape, dtype)
        second.second(
            x.size * 2,
            form.view(u),
            flat(v, n, 0.0, dtype),
            flat(t, n, 0.0, dtype),
            form.view(g),
            form.view(x),
            mean.reshape(-1),
            low.reshape(-1),
            rstd.reshape(-1),
            *pair(gamma, beta, n, dtype),
            dg_seen,
            dx_seen,
            dgamma.reshape(-1),
            form.center,
            form.act,
            form.slope,
        )
        return form.narrow(dg, g.dtype), form.narrow(dx, x.dtype), *self._folded(plan, dgamma)

    def advance_estimate(
        self,
        old_mean: Any,
        old_var: Any,
        tracked: Any,
        skipped: Any,
        missed: Any,
        mean: Any,
        var: Any,
        factor: Any,
        usable: Any,
        rate: Any,
    ) -> tuple[Any, Any, Any, Any, Any]:
        """All channels in one kernel, unless one has to stay."""
        dtype = mean.dtype
        if (
            usable is None
            and mean.ndim == 1
            and dtype.char in "fd"
            and dtype == var.dtype
            and mean.flags.carray
            and var.flags.carray
            and old_mean.shape == mean.shape
            and _suits(dtype, old_mean, old_var, tracked, factor, rate)
        ):
            new_mean, new_var = np.empty(mean.shape, dtype), np.empty(mean.shape, dtype)
            counted = np.empty((), _COUNTER)
            if estimate.advance.serial(
                old_mean, old_var, mean, var, factor, rate, new_mean, new_var, tracked, counted
            ):
                return new_mean, new_var, counted, skipped, missed
        return super().advance_estimate(
            old_mean, old_var, tracked, skipped, missed, mean, var, factor, usable, rate
        )


def _suits(dtype: Any, old_mean: Any, old_var: Any, tracked: Any, factor: Any, rate: Any) -> bool:
    """Whether a kernel takes an estimate of this dtype; NumPy is slow to compare two."""
    return (
        (old_mean.dtype is dtype or old_mean.dtype == dtype)
        and (old_var.dtype is dtype or old_var.dtype == dtype)
        and (tracked.dtype is _COUNTER or tracked.dtype == _COUNTER)
        and type(rate) is float
        and type(factor) is float
        and old_mean.flags.carray
        and old_var.flags.carray
        and old_var.shape == old_mean.shape
    )
