"""Reference: the steps of normalization kernels, for a whole array or a block of it."""

from __future__ import annotations

from typing import Any

from .normalization_statistics import StatisticsReference


class StepsReference(StatisticsReference):
    """Affine map, activation, and the terms and sums of the gradient."""

    def _affine(self, centred: Any, rstd: Any, gamma: Any, beta: Any, plan: Any) -> Any:
        """centred·rstd·gamma + beta, in a buffer of its own."""
        if plan.nested:
            z = centred * self._scale(rstd, gamma, plan)
        else:
            z = centred * self._expand(rstd, plan)
            if gamma is not None:
                z = z * self._expand_param(gamma, plan)
        if beta is not None:
            z += self._as(self._expand_param(beta, plan), z.dtype)
        return z

    def _scale(self, rstd: Any, gamma: Any, plan: Any) -> Any:
        """rstd·gamma of a nested plan, to broadcast against x."""
        scale = self._expand(rstd, plan)
        return (
            scale
            if gamma is None
            else scale * self._as(self._expand_param(gamma, plan), scale.dtype)
        )

    def _finish(self, z: Any, x: Any, residual: Any, weights: Any, plan: Any) -> Any:
        """act(z + residual), 0 at padding, in the dtype of x."""
        if residual is not None:
            z = z + residual
        if plan.activation == "relu":
            z = self.xp.maximum(z, 0.0)
        elif plan.activation is not None:
            z = self.xp.where(z > 0, z, z * plan.slope)
        if plan.masked:
            z = self.xp.where(self._wide_weights(weights, z) > 0, z, 0.0)
        return self._as(z, x.dtype)

    def _gated(self, g: Any, z: Any, weights: Any, plan: Any) -> Any:
        """g·act′(z), 0 at padding."""
        if plan.activation == "relu":
            g = self.masked(g, z > 0)
        elif plan.activation is not None:
            g = self.xp.where(z > 0, g, g * plan.slope)
        if plan.masked:
            g = self.xp.where(self._wide_weights(weights, z) > 0, g, 0.0)
        return g

    def _terms(
        self,
        g: Any,
        x: Any,
        gamma: Any,
        beta: Any,
        weights: Any,
        mean: Any,
        low: Any,
        rstd: Any,
        plan: Any,
    ) -> tuple[Any, Any]:
        """g·act′(z) and x - mean, both wide, of a block."""
        centred = self._centre(x, mean, low, plan)
        g = self._wide(g)
        if plan.activation is not None or plan.masked:
            g = self._gated(g, self._affine(centred, rstd, gamma, beta, plan), weights, plan)
        if plan.masked:
            centred = self.xp.where(self._wide_weights(weights, centred) > 0, centred, 0.0)
        return g, centred

    def _grad_sums(self, g: Any, centred: Any, gamma: Any, rstd: Any, plan: Any) -> tuple[Any, ...]:
        """Σh, Σh·(x - mean), dgamma, dbeta; for a nested plan h is g: gamma is a factor."""
        s0, product = self._sum(g, plan.reduced), g * centred
        s1 = self._sum(product, plan.reduced)
        if plan.nested:
            return s0, s1, self._sum(s1 * rstd, plan.folded), self._sum(s0, plan.folded)
        dbeta = self._sum(g, plan.param_reduced)
        dgamma = self._sum(product * self._expand(rstd, plan), plan.param_reduced)
        if gamma is not None:
            wide = self._expand_param(gamma, plan)
            s0, s1 = self._sum(g * wide, plan.reduced), self._sum(product * wide, plan.reduced)
        return s0, s1, dgamma, dbeta

    def _projections(
        self, s0: Any, s1: Any, gamma: Any, rstd: Any, count: Any, x: Any, plan: Any
    ) -> tuple[Any, Any, Any]:
        """The means that dx takes away, and its factor, ready to broadcast."""
        n = max(plan.extent(x.shape), 1) if count is None else self.xp.where(count > 0, count, 1.0)
        s1 = s1 * (rstd * rstd) / n
        scale = self._scale(rstd, gamma if plan.nested else None, plan)
        return self._expand(s0 / n, plan), self._expand(s1, plan), scale

    def _total(self, a: Any, plan: Any) -> Any:
        """Σ a over the averaged axes, to broadcast against x, in the dtype of a."""
        return self._expand(self._as(self._sum(a, plan.reduced), a.dtype), plan)

    def _grad_x(
        self,
        g: Any,
        centred: Any,
        gamma: Any,
        weights: Any,
        s0: Any,
        s1: Any,
        scale: Any,
        plan: Any,
    ) -> Any:
        """dx of a block: scale·(h - w·(s0 + centred·s1))."""
        h = g if plan.nested or gamma is None else g * self._expand_param(gamma, plan)
        if plan.center:  # `centred` is a buffer of our own
            centred *= s1
            centred += s0
        else:
            centred = centred * s1
        if weights is not None:
            centred *= self._wide_weights(weights, centred)
        dx = h - centred
        dx *= scale
        return dx
