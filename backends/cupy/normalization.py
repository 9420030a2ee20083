"""Batch normalization in fused kernels; what they do not cover goes to the reference.

Covered: nested plans with centring over arrays of the form (outer, rows, channels, length) in any
memory order (see `normalization_layout`): batch norm, also of ghost batches, group and instance
norm. Layer norm and root-mean-square norm are the reference's.
"""

from __future__ import annotations

from typing import Any

from tinygrad_bn.backend.normalization_plan import NormalizationPlan
from tinygrad_bn.backend.reference_normalization import NormalizationReference

from .normalization_call import Call
from .normalization_planning import SECOND_THREADS

FORWARD, BACKWARD, SECOND = "batch_norm_forward", "batch_norm_backward", "batch_norm_second"


class CuPyNormalization(NormalizationReference):
    """Overrides of the reference, by the same names."""

    def batch_norm(
        self, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any, Any, Any]:
        """One kernel where a tile fits in the shared memory of a cluster, else two."""
        call = Call.of(self, plan, x, residual)
        launch = None if call is None else call.plan_launch(slabs=1)
        if call is None or launch is None:
            return super().batch_norm(x, gamma, beta, residual, weights, plan=plan)
        x, residual = call.data
        inputs = x, call.parameter(gamma), call.parameter(beta), residual, call.weights(weights)
        y = call.empty()
        mean, low, var, rstd = [call.statistic() for _ in range(4)]
        count = None if weights is None else call.statistic()
        results = y, mean, low, var, rstd, count
        if launch.resident:
            call.start(FORWARD, "forward_resident", launch, *inputs, *results, slab=True)
        else:
            partials = call.partials(launch, 3)
            call.start(FORWARD, "forward_partials", launch, x, inputs[4], partials, slab=True)
            call.start(FORWARD, "forward_apply", launch, *inputs, partials, *results, applies=True)
        return (call.original(y), mean, low, var, rstd, count)

    def batch_statistics(
        self, x: Any, weights: Any, *, plan: NormalizationPlan
    ) -> tuple[Any, Any, Any, Any]:
        """The two kernels of the large forward, the second without anything to normalise."""
        call = Call.of(self, plan, x)
        launch = None if call is None else call.plan_launch(slabs=0)
        if call is None or launch is None:
            return super().batch_statistics(x, weights, plan=plan)
        (x,) = call.data
        w, partials = call.weights(weights), call.partials(launch, 3)
        mean, low, var, rstd = [call.statistic() for _ in range(4)]
        count = None if weights is None else call.statistic()
        results = None, mean, low, var, rstd, count
        call.start(FORWARD, "forward_partials", launch, x, w, partials, slab=True)
        call.start(
            FORWARD,
            "forward_apply",
            launch,
            x,
            None,
            None,
            None,
            w,
            partials,
            *results,
            grid=(launch.tiles, 1, 1),
        )
        return mean, low, var, count

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
        """One kernel."""
        call = Call.of(self, plan, x, g, residual)
        launch = None if call is None else call.plan_launch(slabs=0)
        if call is None or launch is None:
            return super().batch_norm_gate(
                g, x, mean, low, rstd, gamma, beta, residual, weights, plan=plan
            )
        x, g, residual = call.data
        channels = [call.parameter(a) for a in (mean, low, rstd, gamma, beta)]
        out = call.empty()
        call.start(
            BACKWARD,
            "gate",
            launch,
            g,
            x,
            *channels,
            residual,
            call.weights(weights),
            out,
            applies=True,
        )
        return call.original(out)

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
        """One kernel where tiles of x and g fit in the shared memory of a cluster, else two."""
        call = Call.of(self, plan, x, g)
        launch = None if call is None else call.plan_launch(slabs=2)
        if call is None or launch is None:
            return super().batch_norm_grad(
                g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        x, g = call.data
        channels = [call.parameter(a) for a in (mean, low, rstd, gamma, beta)]
        inputs = g, x, *channels, call.weights(weights)
        count = call.parameter(count)
        dx, dgamma, dbeta = call.empty(), call.statistic(), call.statistic()
        if launch.resident:
            call.start(
                BACKWARD, "backward_resident", launch, *inputs, count, dx, dgamma, dbeta, slab=True
            )
        else:
            partials = call.partials(launch, 2)
            call.start(BACKWARD, "backward_partials", launch, *inputs, partials)
            call.start(
                BACKWARD,
                "backward_apply",
                launch,
                *inputs,
                count,
                partials,
                dx,
                dgamma,
                dbeta,
                applies=True,
            )
        return call.original(dx), call.folded(dgamma), call.folded(dbeta)

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
        """Two kernels: all sums, then all results."""
        call = Call.of(self, plan, x, g, u)
        launch = None if call is None else call.plan_launch(slabs=0, most=SECOND_THREADS)
        if call is None or launch is None:
            return super().batch_norm_grad_grad(
                u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count, plan=plan
            )
        x, g, u = call.data
        channels = [call.parameter(a) for a in (mean, low, rstd, gamma, beta)]
        inputs = g, x, *channels, call.weights(weights), call.parameter(count)
        v, t, partials = call.parameter(v), call.parameter(t), call.partials(launch, 5)
        dg, dx, dgamma = call.empty(), call.empty(), call.statistic()
        call.start(SECOND, "second_partials", launch, u, *inputs, partials)
        call.start(
            SECOND, "second_apply", launch, u, v, t, *inputs, partials, dg, dx, dgamma, applies=True
        )
        return call.original(dg), call.original(dx), call.folded(dgamma)

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
        """One kernel, for statistics in the dtype of those of x."""
        call = Call.of(self, plan, x, residual)
        launch = None if call is None else call.plan_launch(slabs=0)
        if call is None or launch is None or not mean.dtype == var.dtype == call.stat:
            return super().normalize_by(x, mean, var, gamma, beta, residual, plan=plan)
        x, residual = call.data
        channels = [call.parameter(a) for a in (mean, var, gamma, beta)]
        y = call.empty()
        call.start(FORWARD, "normalize_by", launch, x, *channels, residual, y, applies=True)
        return call.original(y)
