"""Reference: batch normalization and its derivatives over `xp`.

Shapes and names that all kernels share; a backend that overrides one keeps them:

    x         any shape, float16, float32 or float64; "stat" is the dtype of the statistics:
              float32 for float16, else the dtype of x
    mean, low, var, rstd
              stat, the shape of the axes that `plan.axis` keeps, ascending; mean + low is the
              mean to about twice the precision of stat, low is at most half a unit of mean
    count     Σ weights, as mean; None where there are no weights
    gamma, beta
              the shape of the axes `plan.param_axis`, or None (1 and 0)
    weights   as many axes as x, each of its length or 1; any real dtype or bool; or None
    residual  the shape of x, or None

With p = weights/Σ weights (1/m without weights), ⟨a⟩ = Σ p·a over the averaged axes,

    mean = ⟨x⟩,   var = ⟨(x - mean)²⟩,   rstd = (var + eps)^(-1/2),   xhat = (x - mean)·rstd,
    y = act(xhat·gamma + beta + residual).

With `plan.center` False the mean is 0. Where var + eps = 0, rstd is 0: such a channel gives beta.
"""

from __future__ import annotations

from typing import Any

from . import normalization_ghost as ghosts
from .normalization_plan import NormalizationPlan, linear_plan
from .normalization_steps import StepsReference
from .quiet import quiet


class NormalizationReference(StepsReference):
    """Batch normalization, its gradient and the gradient of that; see the module's text."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """(y, mean, low, var, rstd, count); y has the shape and dtype of x."""
        if plan.ghost is not None:
            return ghosts.batch_norm(self, x, gamma, beta, residual, weights, plan)
        if weights is None and self._is_small(x, plan):
            centred, mean, low, var = self._centre_small(self._wide(x), plan)
            rstd = self._rstd(var, plan.eps)
            z = self._affine(centred, rstd, gamma, beta, plan)
            return self._finish(z, x, residual, None, plan), mean, low, var, rstd, None
        mean, low, var, count = self.batch_statistics(x, weights, plan=plan)
        rstd = self._rstd(var, plan.eps)
        blocks = self._blocks(x, plan)
        y = None if len(blocks) == 1 else self.empty(x.shape, dtype=x.dtype)
        for key in blocks:
            xb, rb = x[key], None if residual is None else residual[key]
            z = self._affine(self._centre(xb, mean, low, plan), rstd, gamma, beta, plan)
            z = self._finish(z, xb, rb, self._part(weights, key), plan)
            if y is None:
                return z, mean, low, var, rstd, count
            y[key] = z
        return y, mean, low, var, rstd, count

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
        """g·act′(z), z = xhat·gamma + beta + residual computed again; the shape and dtype of g.

        act′(0) = 0 for relu, `slope` for leaky_relu; 0 at padding.
        """
        if plan.ghost is not None:
            return ghosts.gate(self, g, x, mean, low, rstd, gamma, beta, residual, weights, plan)
        z = self._affine(self._centre(x, mean, low, plan), rstd, gamma, beta, plan)
        if residual is not None:
            z = z + residual
        return self._gated(g, z, weights, plan)

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
        """(dx, dgamma, dbeta) for the cotangent g of `batch_norm` without residual.

        With g already multiplied by act′(z) and h = gamma·g:
        dx = rstd·(h - p·(Σh + xhat·Σ(h·xhat))),  dgamma = Σ g·xhat,  dbeta = Σ g, the latter two
        over the axes that gamma lacks. dx has the dtype of x; beta serves act′ alone.
        """
        if plan.ghost is not None:
            return ghosts.grad(self, g, x, mean, low, rstd, gamma, beta, weights, count, plan)
        blocks = self._blocks(x, plan)
        terms: tuple[Any, Any] = (None, None)
        sums: tuple[Any, ...] = ()
        for key in blocks:
            terms = self._terms(
                g[key], x[key], gamma, beta, self._part(weights, key), mean, low, rstd, plan
            )
            new = self._grad_sums(*terms, gamma, rstd, plan)
            sums = tuple([a + b for a, b in zip(sums, new, strict=True)]) if sums else new
        s0, s1, dgamma, dbeta = [self._as(s, mean.dtype) for s in sums]
        s0, s1, scale = self._projections(s0, s1, gamma, rstd, count, x, plan)
        if len(blocks) == 1:
            dx = self._grad_x(*terms, gamma, weights, s0, s1, scale, plan)
            return self._as(dx, x.dtype), dgamma, dbeta
        dx = self.empty(x.shape, dtype=x.dtype)
        for key in blocks:
            wb = self._part(weights, key)
            terms = self._terms(g[key], x[key], gamma, beta, wb, mean, low, rstd, plan)
            dx[key] = self._as(self._grad_x(*terms, gamma, wb, s0, s1, scale, plan), x.dtype)
        return dx, dgamma, dbeta

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
        """(dx, dgamma, dbeta, dresidual) for the cotangent g of `batch_norm` with a residual:
        dresidual is g·act′(z), and the others are those of its `batch_norm_grad`."""
        h = self.batch_norm_gate(g, x, mean, low, rstd, gamma, beta, residual, weights, plan=plan)
        grads = self.batch_norm_grad(
            h, x, mean, low, rstd, gamma, beta, weights, count, plan=linear_plan(plan)
        )
        return *grads, h

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
        """(dg, dx, dgamma): the gradient of `batch_norm_grad` for the cotangents u, v, t of its
        results dx, dgamma, dbeta; u has the shape of x, v and t that of gamma.

        Per channel, with h = gamma·g, U0 = Σ p·u, U1 = Σ p·u·xhat, H0 = Σ h, H1 = Σ h·xhat,
        q = rstd·(u - U0 - xhat·U1), F = Σ u·h - H0·U0 - H1·U1 and
        c = g·v - rstd·(h·U1 + p·u·H1):
        dg = (gamma·q + v·xhat + t)·act′(z),   dgamma = Σ g·q,
        dx = rstd·(c - p·(Σc + xhat·Σ(c·xhat)) - p·xhat·rstd·F).
        Without centring the terms with U0, H0 and Σc are absent.
        """
        if plan.ghost is not None:
            return ghosts.grad_grad(
                self, u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count, plan
            )
        dtype, g, u = g.dtype, self._wide(g), self._wide(u)
        centred = self._centre(x, mean, low, plan)
        gate = None
        if plan.activation is not None or plan.masked:
            z = self._affine(centred, rstd, gamma, beta, plan)
            gate = self._gated(self.xp.ones_like(centred), z, weights, plan)
            g = g * gate
        if plan.masked:
            centred = self.xp.where(self._wide_weights(weights, centred) > 0, centred, 0.0)
        r = self._expand(rstd, plan)
        xhat = centred * r
        h = g if gamma is None else g * self._expand_param(gamma, plan)
        pu = self._shares(weights, count, x, plan) * u
        h1, u1 = self._total(h * xhat, plan), self._total(pu * xhat, plan)
        f, q = self._total(u * h, plan) - h1 * u1, u - xhat * u1
        if plan.center:
            u0 = self._total(pu, plan)
            f, q = f - self._total(h, plan) * u0, q - u0
        q = q * r
        v, t = self._expand_param(v, plan), self._expand_param(t, plan)
        c = g * v - (h * u1 + pu * h1) * r
        inner = xhat * (self._total(c * xhat, plan) + r * f)
        if plan.center:
            inner = inner + self._total(c, plan)
        dx = (c - self._shares(weights, count, x, plan) * inner) * r
        dgamma = self._as(self._sum(g * q, plan.param_reduced), mean.dtype)
        dg = (q if gamma is None else q * self._expand_param(gamma, plan)) + v * xhat + t
        dg = dg if gate is None else dg * gate
        return self._as(dg, dtype), self._as(dx, x.dtype), dgamma

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
        """act((x - mean)·(var + eps)^(-1/2)·gamma + beta + residual) for given statistics."""
        rstd = self._rstd(var, plan.eps)
        centred = self._wide(x) - self._expand(mean, plan)
        z = self._affine(centred, rstd, gamma, beta, plan)
        return self._finish(z, x, residual, None, plan)

    def channel_sum(self, x: Any, *, plan: NormalizationPlan) -> Any:
        """Σ x over the averaged axes, stat, in the shape of a statistic; long sums in float64."""
        x = self._wide(x)
        return self._as(self._sum(x, plan.reduced), x.dtype)

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
        """The results of `batch_norm`, and the estimate `old` moved towards its statistics."""
        found = self.batch_norm(x, gamma, beta, residual, weights, plan=plan)
        mean, var, tracked, skipped, missed = old
        estimate = self.advance_estimate(
            mean, var, tracked, skipped, missed, found[1], found[3], factor, None, rate
        )
        return *found, estimate

    @quiet()
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
        """(mean, var, tracked, skipped, missed) of a population estimate moved by `rate` of the way
        towards mean and var·factor; `factor` makes the variance of a batch unbiased.

        `tracked`, an integer of shape (), counts batches. A channel whose new values are not
        finite, or that is not `usable` (booleans, or None for all), stays, and `missed` counts it;
        `skipped` counts those not finite. Both are integers in the shape of mean. With `rate` None
        a channel becomes the average of the batches it has had: 1/(tracked - missed) of the way.
        No argument is changed.
        """
        xp, var = self.xp, var * factor
        tracked = xp.asarray(tracked + 1)
        if rate is None:
            seen = self._as(tracked - missed, mean.dtype)
            rate = 1.0 / xp.where(seen > 0, seen, xp.ones_like(seen))
        finite = xp.isfinite(mean + var)
        moved = finite if usable is None else xp.logical_and(finite, usable)
        new_mean, new_var = [
            xp.where(moved, old + (new - old) * rate, old)
            for old, new in ((old_mean, mean), (old_var, var))
        ]
        skipped, missed = [
            counter + self._as(xp.logical_not(good), counter.dtype)
            for counter, good in ((skipped, finite), (missed, moved))
        ]
        return new_mean, new_var, tracked, skipped, missed
