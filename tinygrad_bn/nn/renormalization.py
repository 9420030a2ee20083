"""Batch renormalization."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import is_recomputing
from ..backend.normalization_plan import NormalizationPlan
from . import normalization_functional as F
from .normalization import BatchNorm

Schedule = float | Callable[[int], float]


class BatchRenorm(BatchNorm):
    """Batch renormalization: in training, `nn.functional.batch_renorm` towards the estimate.

    Args:
        r_max, d_max: the limits of the corrections, numbers or functions of the number of batches
            seen (`renorm_schedule` gives those of the article).
        num_features, options: as for `BatchNorm`, except `ghost_size`.

    Source: Ioffe, "Batch Renormalization", 2017.
    """

    def __init__(
        self,
        num_features: int | tuple[int, ...],
        *,
        r_max: Schedule = 3.0,
        d_max: Schedule = 5.0,
        **options: Any,
    ) -> None:
        super().__init__(num_features, **options)
        if self.ghost_size is not None or self.running_mean is None:
            raise ValueError(
                "BatchRenorm: draws the whole batch towards a population estimate; ghost_size and "
                "track_running_stats=False do not go with it"
            )
        self.r_max, self.d_max = r_max, d_max

    def _by_batch(
        self,
        x: Any,
        plan: NormalizationPlan,
        mask: Any,
        weights: Any,
        residual: Any,
        estimate: Any,
    ) -> tuple[Any, Any, Any, Any, Any, None]:
        assert self.num_batches_tracked is not None
        step = int(self.num_batches_tracked) - (is_recomputing() and self._previous is not None)
        limits = [m(step) if callable(m) else m for m in (self.r_max, self.d_max)]
        y, statistics = F.batch_renorm(
            x,
            *self._estimate(),
            self.weight,
            self.bias,
            r_max=limits[0],
            d_max=limits[1],
            axis=self.axis,
            eps=self.eps,
            activation=self.activation,
            slope=self.slope,
            mask=mask,
            weights=weights,
            residual=residual,
        )
        return y, *statistics.raw(), None


def renorm_schedule(start: int, stop: int, first: float, last: float) -> Callable[[int], float]:
    """A limit that goes linearly from `first` at step `start` to `last` at step `stop`.

    The article's: r_max = renorm_schedule(5000, 40000, 1, 3), d_max = renorm_schedule(5000,
    25000, 0, 5). Raises ValueError unless start < stop.
    """
    if not start < stop:
        raise ValueError(f"renorm_schedule: start must be < stop, got {start} and {stop}")

    def limit(step: int) -> float:
        part = min(max((step - start) / (stop - start), 0.0), 1.0)
        return first + part * (last - first)

    return limit
