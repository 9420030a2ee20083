"""Weighted and masked batch normalization by compiled kernels, and the gate of an activation alone.

What has weights of no form of `weighted_layout`, empty arrays among it, goes to the reference;
ghost batches come back from there group by group.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_bn.backend.normalization_plan import NormalizationPlan

from .kernels import (
    weighted_rows,
    weighted_rows_grad,
    weighted_second,
    weighted_second_rows,
    weighted_slabs,
    weighted_slabs_grad,
)
from .sample import SampleNormalization
from .weighted_layout import Weighted


def _divisor(count: Any) -> Any:
    """What weighted sums are divided by, a vector: 1 where there is no weight at all."""
    return np.where(count > 0, count, 1.0).astype(np.float64).reshape(-1)


class WeightedNormalization(SampleNormalization):
    """The normalization methods of the reference; see there for arguments and formulas."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """Statistics, then the map."""
        seen = None if weights is None else Weighted.of(x, weights, plan)
        if seen is None:
            return super().batch_norm(x, gamma, beta, residual, weights, plan=plan)
        total, kept = seen.total(weights, plan), seen.form.kept
        statistics = np.empty((4, *kept), seen.form.dtype)
        y, out = seen.form.empty()
        kernels = weighted_rows if seen.form.rows else weighted_slabs
        kernels.forward(
            x.size,
            seen.x,
            seen.weights,
            np.where(total == 0, 1.0, total),
            int(plan.masked),
            seen.vector(gamma, 1.0),
            seen.vector(beta, 0.0),
            *seen.added(residual),
            out,
            statistics.reshape(4, -1),
            seen.form.center,
            seen.form.eps,
            seen.form.act,
            seen.form.slope,
        )
        mean, low, var, rstd = statistics
        count = total.astype(seen.form.dtype).reshape(kept)
        return seen.form.narrow(y, x.dtype), mean, low, var, rstd, count

    def batch_statistics(
        self, x: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any]:
        """The first half of `batch_norm`."""
        seen = None if weights is None else Weighted.of(x, weights, plan)
        if seen is None:
            return super().batch_statistics(x, weights, plan=plan)
        total, kept = seen.total(weights, plan), seen.form.kept
        statistics = np.empty((4, *kept), seen.form.dtype)
        kernels = weighted_rows if seen.form.rows else weighted_slabs
        kernels.statistics(
            x.size,
            seen.x,
            seen.weights,
            np.where(total == 0, 1.0, total),
            seen.form.center,
            seen.form.eps,
            statistics.reshape(4, -1),
        )
        mean, low, var, _ = statistics
        return mean, low, var, total.astype(seen.form.dtype).reshape(kept)

    def batch_norm_gate(
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
        *,
        plan: NormalizationPlan,
    ) -> Any:
        """The map and the gate in one kernel, also without weights."""
        seen = None
        if (plan.activation or plan.masked) and g.dtype == x.dtype:
            seen = Weighted.of(x, weights, plan)
        if seen is None:
            return super().batch_norm_gate(
                g, x, mean, low, rstd, gamma, beta, residual, weights, plan=plan
            )
        h, out = seen.form.empty()
        kernels = weighted_rows_grad if seen.form.rows else weighted_slabs_grad
        kernels.gate(
            x.size,
            seen.form.view(g),
            seen.x,
            seen.weights,
            int(plan.masked),
            *seen.added(residual),
            mean.reshape(-1),
            low.reshape(-1),
            rstd.reshape(-1),
            seen.vector(gamma, 1.0),
            seen.vector(beta, 0.0),
            out,
            seen.form.act,
            seen.form.slope,
        )
        return seen.form.narrow(h, g.dtype)

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
        """Gate, sums and map in one kernel."""
        seen = None if weights is None or g.dtype != x.dtype else Weighted.of(x, weights, plan)
        if seen is None:
            return super().batch_norm_grad(
                g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        vectors = (mean, low, rstd, gamma, beta)
        dx, dgamma, dbeta, _ = self._weighted_pull(seen, g, None, vectors, count, plan)
        return seen.form.narrow(dx, x.dtype), dgamma, dbeta

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
        """The same, and the gradient of the residual is what passed the gate."""
        seen = None
        if weights is not None and (plan.activation or plan.masked) and g.dtype == x.dtype:
            seen = Weighted.of(x, weights, plan)
        if seen is None:
            return super().batch_norm_residual_grad(
                g, x, mean, low, rstd, gamma, beta, residual, weights, count, plan=plan
            )
        vectors = (mean, low, rstd, gamma, beta)
        dx, dgamma, dbeta, h = self._weighted_pull(seen, g, residual, vectors, count, plan)
        return seen.form.narrow(dx, x.dtype), dgamma, dbeta, seen.form.narrow(h, g.dtype)

    def _weighted_pull(
        self,
        seen: Weighted,
        g: Any,
        residual: Any,
        vectors: tuple[Any, ...],
        count: Any,
        plan: NormalizationPlan,
    ) -> tuple[Any, Any, Any, Any]:
        """(dx, dgamma, dbeta, h) in the dtype of the statistics; h only with a residual."""
        mean, low, rstd, gamma, beta = vectors
        dx, out = seen.form.empty()
        h, gates = dx, out  # without an activation nothing is written there
        if plan.activation or residual is not None:
            h, gates = seen.form.empty()
        dgamma, dbeta = np.empty(mean.shape, seen.form.dtype), np.empty(mean.shape, seen.form.dtype)
        kernels = weighted_rows_grad if seen.form.rows else weighted_slabs_grad
        kernels.backward(
            seen.x.size,
            seen.form.view(g),
            seen.x,
            seen.weights,
            _divisor(count),
            int(plan.masked),
            *seen.added(residual),
            mean.reshape(-1),
            low.reshape(-1),
            rstd.reshape(-1),
            seen.vector(gamma, 1.0),
            seen.vector(beta, 0.0),
            gates,
            out,
            dgamma.reshape(-1),
            dbeta.reshape(-1),
            seen.form.center,
            seen.form.act,
            seen.form.slope,
        )
        return dx, *self._folded(plan, dgamma, dbeta), h

    def _folded(self, plan: NormalizationPlan, *gradients: Any) -> tuple[Any, ...]:
        """Gradients of the parameters, summed over statistics that share them."""
        if not plan.folded:
            return gradients
        return tuple([self._as(self._sum(s, plan.folded), s.dtype) for s in gradients])

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
        """All sums in one pass and both maps in another, also without weights."""
        seen = None
        if u.dtype == g.dtype == x.dtype:
            seen = Weighted.of(x, weights, plan)
        if seen is None:
            return super().batch_norm_grad_grad(
                u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        if count is None:
            count = np.full(mean.size, plan.extent(x.shape))
        form, dgamma = seen.form, np.empty(mean.shape, seen.form.dtype)
        (dg, dg_seen), (dx, dx_seen) = form.empty(), form.empty()
        kernels = weighted_second_rows if form.rows else weighted_second
        kernels.second(
            x.size * 2,
            form.view(u),
            seen.vector(v, 0.0),
            seen.vector(t, 0.0),
            form.view(g),
            seen.x,
            seen.weights,
            _divisor(count),
            int(plan.masked),
            mean.reshape(-1),
            low.reshape(-1),
            rstd.reshape(-1),
            seen.vector(gamma, 1.0),
            seen.vector(beta, 0.0),
            dg_seen,
            dx_seen,
            dgamma.reshape(-1),
            seen.form.center,
            seen.form.act,
            seen.form.slope,
        )
        return form.narrow(dg, g.dtype), form.narrow(dx, x.dtype), *self._folded(plan, dgamma)
