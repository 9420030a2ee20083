"""Ghost batches: groups of `plan.ghost` samples with statistics of their own.

The first averaged axis is cut into groups, which is a reshape to a kept axis in front of it; the
last group may be smaller. What is said here of arrays and a backend holds for tensors and the
operations too, so the composite definitions use it as well.

Shapes: statistics have an axis of groups too, at the place of the axis that is cut.
Source: Hoffer, Hubara and Soudry, "Train longer, generalize better", 2017.
"""

from __future__ import annotations

import functools
from typing import Any

from .normalization_plan import NormalizationPlan


@functools.lru_cache(maxsize=1024)
def group_plan(plan: NormalizationPlan) -> NormalizationPlan:
    """The plan for x with its first averaged axis split into groups and their samples."""
    at = plan.reduced[0]

    def move(axes: tuple[int, ...]) -> tuple[int, ...]:
        return tuple([a if a < at else a + 1 for a in axes])

    return NormalizationPlan(
        plan.ndim + 1,
        tuple(sorted((at, *move(plan.axis)))),
        move(plan.param_axis),
        plan.eps,
        plan.center,
        plan.activation,
        plan.slope,
        plan.masked,
    )


class Groups:
    """How an input of a shape falls into groups: whole ones, then perhaps a smaller one."""

    def __init__(self, B: Any, shape: tuple[int, ...], plan: NormalizationPlan) -> None:
        assert plan.ghost is not None
        self.B = B
        self.plan = group_plan(plan)
        self.at = plan.reduced[0]
        length = shape[self.at]
        whole = length // plan.ghost
        self.parts = [(0, whole, plan.ghost)] if whole else []
        rest = length - whole * plan.ghost
        if rest or not whole:
            self.parts.append((whole * plan.ghost, 1, rest))

    def data(self, x: Any) -> list[Any]:
        """The parts of an array like x, (…, groups, samples, …); axes of length 1 stay."""
        return [None if x is None else self._part(x, *part) for part in self.parts]

    def _part(self, x: Any, start: int, groups: int, samples: int) -> Any:
        at = self.at
        if x.shape[at] == 1 and (groups, samples) != (1, 1):
            return self.B.reshape(x, (*x.shape[:at], 1, 1, *x.shape[at + 1 :]))
        key = (*(slice(None),) * at, slice(start, start + groups * samples), ...)
        return self.B.reshape(x[key], (*x.shape[:at], groups, samples, *x.shape[at + 1 :]))

    def statistics(self, s: Any) -> list[Any]:
        """The parts of a statistic, whose group axis lies where the group axis of x does."""
        if s is None:
            return [None] * len(self.parts)
        axis = self.plan.axis.index(self.at)
        keys, at = [], 0
        for _, groups, _ in self.parts:
            keys.append((*(slice(None),) * axis, slice(at, at + groups), ...))
            at += groups
        return [s[key] for key in keys]

    def join(self, parts: list[Any]) -> Any:
        """An array like x of its parts."""
        at = self.at
        flat = [
            self.B.reshape(p, (*p.shape[:at], p.shape[at] * p.shape[at + 1], *p.shape[at + 2 :]))
            for p in parts
        ]
        return flat[0] if len(flat) == 1 else self.B.concat(flat, axis=at)

    def join_statistics(self, parts: list[Any]) -> Any:
        """A statistic of its parts."""
        if parts[0] is None or len(parts) == 1:
            return parts[0]
        return self.B.concat(parts, axis=self.plan.axis.index(self.at))


def _total(parts: list[Any]) -> Any:
    return parts[0] if len(parts) == 1 else parts[0] + parts[1]


def batch_norm(
    B: Any, x: Any, gamma: Any, beta: Any, residual: Any, weights: Any, plan: Any
) -> tuple[Any, ...]:
    """`Backend.batch_norm` of the groups."""
    groups = Groups(B, x.shape, plan)
    arrays = zip(groups.data(x), groups.data(residual), groups.data(weights), strict=True)
    results = [B.batch_norm(x, gamma, beta, r, w, plan=groups.plan) for x, r, w in arrays]
    y, *statistics = [list(column) for column in zip(*results, strict=True)]
    return groups.join(y), *[groups.join_statistics(s) for s in statistics]


def gate(
    B: Any,
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    residual: Any,
    weights: Any,
    plan: Any,
) -> Any:
    """`Backend.batch_norm_gate` of the groups."""
    groups = Groups(B, x.shape, plan)
    arrays = zip(*[groups.data(a) for a in (g, x)], strict=True)
    further = zip(*[groups.data(a) for a in (residual, weights)], strict=True)
    statistics = zip(*[groups.statistics(s) for s in (mean, low, rstd)], strict=True)
    return groups.join(
        [
            B.batch_norm_gate(*a, *s, gamma, beta, *f, plan=groups.plan)
            for a, f, s in zip(arrays, further, statistics, strict=True)
        ]
    )


def grad(
    B: Any,
    g: Any,
    x: Any,
    mean: Any,
    low: Any,
    rstd: Any,
    gamma: Any,
    beta: Any,
    weights: Any,
    count: Any,
    plan: Any,
) -> tuple[Any, Any, Any]:
    """`Backend.batch_norm_grad` of the groups."""
    groups = Groups(B, x.shape, plan)
    arrays = zip(*[groups.data(a) for a in (g, x, weights)], strict=True)
    statistics = zip(*[groups.statistics(s) for s in (mean, low, rstd, count)], strict=True)
    results = [
        B.batch_norm_grad(g, x, *s, gamma, beta, w, n, plan=groups.plan)
        for (g, x, w), (*s, n) in zip(arrays, statistics, strict=True)
    ]
    dx, dgamma, dbeta = [list(column) for column in zip(*results, strict=True)]
    return groups.join(dx), _total(dgamma), _total(dbeta)


def grad_grad(
    B: Any,
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
    plan: Any,
) -> tuple[Any, Any, Any]:
    """`Backend.batch_norm_grad_grad` of the groups."""
    groups = Groups(B, x.shape, plan)
    arrays = zip(*[groups.data(a) for a in (u, g, x, weights)], strict=True)
    statistics = zip(*[groups.statistics(s) for s in (mean, low, rstd, count)], strict=True)
    results = [
        B.batch_norm_grad_grad(u, v, t, g, x, *s, gamma, beta, w, n, plan=groups.plan)
        for (u, g, x, w), (*s, n) in zip(arrays, statistics, strict=True)
    ]
    dg, dx, dgamma = [list(column) for column in zip(*results, strict=True)]
    return groups.join(dg), groups.join(dx), _total(dgamma)
