"""Derivatives along a line by finite differences, and a verdict on an analytic one.

Five points give three slopes: a central one, (8(f₁-f₋₁) - (f₂-f₋₂))/12h, exact to h⁴, and one
from each side, (4(f₁-f₀)-(f₂-f₀))/2h and its mirror image. Where the function is smooth the three
agree; where it has a kink the two sides differ however small the step becomes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Line = Callable[[float], Array]

SHRINK = 8.0
"""Factor from one step to the next smaller one, where a result looks wrong."""
REFINEMENTS = 3
EPSILON = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Slopes:
    """Derivatives of a vector function of one variable at 0, and what rounding adds to them."""

    central: Array
    left: Array
    right: Array
    rounding: Array

    @property
    def gap(self) -> Array:
        """How far the two sides are apart."""
        return np.abs(self.right - self.left)


def slopes(line: Line, at_zero: Array, step: float) -> Slopes:
    """The three slopes of `line` at 0 with a step."""
    f1, f2, b1, b2 = line(step), line(2 * step), line(-step), line(-2 * step)
    with np.errstate(invalid="ignore"):
        return Slopes(
            central=(8 * (f1 - b1) - (f2 - b2)) / (12 * step),
            left=(4 * (at_zero - b1) - (at_zero - b2)) / (2 * step),
            right=(4 * (f1 - at_zero) - (f2 - at_zero)) / (2 * step),
            rounding=16 * EPSILON * np.abs(at_zero) / step,
        )


@dataclass(frozen=True)
class Finding:
    """An element whose analytic derivative is not confirmed. `reason` is None if it is wrong, else
    why the function has no derivative here."""

    element: int
    analytic: float
    numeric: float
    allowed: float
    reason: str | None

    @property
    def difference(self) -> float:
        """How far the analytic value is from the numeric one."""
        return abs(self.analytic - self.numeric)


def judge(
    line: Line, at_zero: Array, analytic: Array, *, step: float, atol: float, rtol: float
) -> list[Finding]:
    """Compare derivatives along a line with finite differences; what is suspicious is looked at
    again with smaller steps, so a strong curvature or a kink nearby is no finding."""
    first = slopes(line, at_zero, step)
    allowed = atol + rtol * np.abs(first.central) + first.rounding
    with np.errstate(invalid="ignore"):
        agrees = np.abs(analytic - first.central) <= allowed
        smooth = first.gap <= _kink_threshold(first.central, atol) + first.rounding
    suspects = np.flatnonzero(~(agrees & smooth))
    if suspects.size == 0:
        return []
    steps = [step / SHRINK**k for k in range(1, REFINEMENTS + 1)]
    series = [first, *(slopes(line, at_zero, s) for s in steps)]
    found = [_verdict(int(i), float(analytic[i]), series, atol, rtol) for i in suspects]
    return [f for f in found if f is not None]


def _kink_threshold(slope: Array, atol: float) -> Array:
    return 100 * atol + 1e-3 * np.abs(slope)


def _verdict(
    i: int, analytic: float, series: list[Slopes], atol: float, rtol: float
) -> Finding | None:
    central = np.array([s.central[i] for s in series])
    left, right = float(series[-1].left[i]), float(series[-1].right[i])
    at_edge = not all(np.isfinite(s.central).all() for s in series)
    if not np.isfinite([*central, left, right]).all() or (at_edge and not np.isfinite(analytic)):
        reason = "the function is not finite around this point"
        return Finding(i, analytic, float(central[-1]), 0.0, reason)
    gap = float(series[-1].gap[i])
    threshold = float(_kink_threshold(np.asarray((abs(left) + abs(right)) / 2), atol))
    threshold += float(series[-1].rounding[i])
    if gap > threshold and gap > 0.3 * float(series[0].gap[i]):
        allowed = atol + rtol * max(abs(left), abs(right))
        inside = min(left, right) - allowed <= analytic <= max(left, right) + allowed
        sides = f"the slope is {left:.6g} on the left and {right:.6g} on the right"
        return Finding(i, analytic, float(central[-1]), allowed, sides if inside else None)
    changes = np.abs(np.diff(central))
    best = int(np.argmin(changes))
    numeric, noise = float(central[best + 1]), float(changes[best])
    allowed = atol + rtol * abs(numeric) + noise + float(series[best].rounding[i])
    if noise > 1e3 * atol + 1e-2 * abs(numeric):
        doubt = "finite differences do not converge as the step shrinks"
        return Finding(i, analytic, numeric, allowed, doubt)
    if abs(analytic - numeric) <= allowed:
        return None
    return Finding(i, analytic, numeric, allowed, None)
