"""Arguments with which `check_backend` tries the normalization kernels."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..backend.normalization_plan import NormalizationPlan, normalization_plan

Case = tuple[tuple[Any, ...], dict[str, Any]]

# A large eps keeps repeated rows, whose variance is 0, from magnifying rounding errors.
_SETTINGS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "features last": ((7, 3), {"axis": 1}),
    "more rows": ((130, 4), {"axis": 1}),
    "blocks": ((700, 100), {"axis": 1}),
    "features first": ((3, 7), {"axis": 0}),
    "images": ((4, 3, 5, 2), {"axis": 1}),
    "channels last": ((4, 5, 2, 3), {"axis": 3}),
    "two axes": ((4, 3, 5, 2), {"axis": (1, 3)}),
    "relu": ((7, 3), {"axis": 1, "activation": "relu"}),
    "leaky relu": ((4, 3, 5), {"axis": 1, "activation": "leaky_relu", "slope": 0.2}),
    "ghosts": ((7, 3), {"axis": 1, "ghost": 3}),
    "layer": ((5, 6), {"axis": (0,), "param_axis": (1,)}),
    "root mean square": ((5, 6), {"axis": (0,), "param_axis": (1,), "center": False}),
    "instance": ((3, 2, 5), {"axis": (0, 1), "param_axis": (1,)}),
}
_WEIGHTED: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "weights": ((6, 3), {"axis": 1}),
    "mask": ((4, 3, 5), {"axis": 1, "masked": True, "activation": "relu"}),
    "ghosts with weights": ((7, 3), {"axis": 1, "ghost": 3}),
}


def normalization_cases(seed: int) -> dict[str, list[Case]]:
    """Cases for the methods of `NormalizationReference` by name."""
    rng = np.random.default_rng(seed)
    found: dict[str, list[Case]] = {"advance_estimate": _advance_cases(rng)}
    for shape, options in _SETTINGS.values():
        _add(found, rng, shape, options, None)
    for shape, options in _WEIGHTED.values():
        wide = [n if a != 1 else 1 for a, n in enumerate(shape)]
        weights = rng.uniform(0.5, 1.5, wide)
        if options.get("masked"):
            weights = (weights > 0.8).astype(np.float64)
        _add(found, rng, shape, options, weights)
    return found


def _add(
    found: dict[str, list[Case]],
    rng: np.random.Generator,
    shape: tuple[int, ...],
    options: dict[str, Any],
    weights: Any,
) -> None:
    """One case for every method that the setting suits."""
    plan = normalization_plan(len(shape), eps=1.0, **options)
    x, g, u, residual = (rng.standard_normal(shape) for _ in range(4))
    width = tuple([shape[a] for a in plan.param_axis])
    gamma, beta, v, t = (rng.standard_normal(width) for _ in range(4))
    kept = _kept(shape, plan)
    mean, low = rng.standard_normal(kept), np.zeros(kept)
    rstd = rng.uniform(0.5, 1.0, kept)
    count = None if weights is None else rng.uniform(3.0, 5.0, kept)
    cases: dict[str, list[tuple[Any, ...]]] = {
        "batch_norm": [(x, gamma, beta, residual, weights), (x, None, None, None, weights)],
        "batch_norm_gate": [(g, x, mean, low, rstd, gamma, beta, residual, weights)],
        "batch_norm_residual_grad": [
            (g, x, mean, low, rstd, gamma, beta, residual, weights, count)
        ],
        "batch_norm_grad": [(g, x, mean, low, rstd, gamma, beta, weights, count)],
        "batch_norm_grad_grad": [(u, v, t, g, x, mean, low, rstd, gamma, beta, weights, count)],
    }
    if plan.ghost is None:
        cases["batch_statistics"] = [(x, weights)]
    if plan.ghost is None and plan.axis == plan.param_axis and weights is None:
        cases["normalize_by"] = [(x, mean, rstd, gamma, beta, residual)]
        cases["channel_sum"] = [(x,)]
    for name, arguments in cases.items():
        found.setdefault(name, []).extend([(a, {"plan": plan}) for a in arguments])
    if plan.ghost is None and weights is None:
        counters = np.asarray(5), np.zeros(kept, np.int64), np.zeros(kept, np.int64)
        options = {"plan": plan, "old": (mean, rstd, *counters), "factor": 1.2, "rate": 0.1}
        given = (x, gamma, beta, residual, weights)
        found.setdefault("batch_norm_tracked", []).append((given, options))


def _kept(shape: tuple[int, ...], plan: NormalizationPlan) -> tuple[int, ...]:
    """The shape of the statistics, with the axis of groups that ghost batches have."""
    kept = [shape[a] for a in plan.axis]
    if plan.ghost is not None:
        first = plan.reduced[0]
        place = sum(1 for a in plan.axis if a < first)
        kept.insert(place, -(-shape[first] // plan.ghost))
    return tuple(kept)


def _advance_cases(rng: np.random.Generator) -> list[Case]:
    old_mean, mean = rng.standard_normal(4), rng.standard_normal(4)
    old_var, var = rng.uniform(0.5, 2, 4), rng.uniform(0.5, 2, 4)
    counters = np.asarray(5), np.arange(4), np.zeros(4, dtype=np.int64)
    usable = np.arange(4) != 1
    return [
        ((old_mean, old_var, *counters, mean, var, 1.2, which, rate), {})
        for which in (None, usable)
        for rate in (0.1, None)
    ]
