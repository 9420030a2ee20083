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

FORWARD = "batch_norm_forward"


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
        gamma, beta, w = call.parameter(gamma), call.parameter(beta), call.weights(weights)
        y = call.empty()
        mean, low, var, rstd = [call.statistic() for _ in range(4)]
        count = None if weights is None else call.statistic()
        results = y, mean, low, var, rstd, count
        if launch.resident:
            call.start(FORWARD, "forward_resident", launch, x, gamma, beta, residual, w, *results)
        else:
            partials = call.partials(launch, 3)
            call.start(FORWARD, "forward_partials", launch, x, w, partials)
            call.start(
                FORWARD, "forward_apply", launch, x, gamma, beta, residual, w, partials, *results
            )
        return (call.original(y), mean, low, var, rstd, count)
