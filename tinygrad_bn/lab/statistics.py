"""Numbers over seeds, and the rule by which a run agrees with what was claimed."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

RULE = (
    "A claim holds when its margin, averaged over the seeds, is positive and greater than its "
    "standard deviation over the seeds. The run agrees when every claim holds, disagrees when "
    "none does, and agrees partly otherwise."
)
"""How a verdict comes about; stands on the report."""

VERDICTS = ("agrees", "partly", "disagrees")


class Summary(NamedTuple):
    """Mean and sample standard deviation, 1/(n - 1); the deviation of one value is None."""

    mean: float
    deviation: float | None


def summarize(values: Sequence[float]) -> Summary:
    """The `Summary` of values over seeds; ValueError for none."""
    if not values:
        raise ValueError("summarize: values must hold at least one number, got none")
    if not all(math.isfinite(v) for v in values):
        return Summary(math.nan, None)
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation)


class Number(NamedTuple):
    """A measured quantity: one value per seed.

    Attributes:
        label: what it is, with its unit.
        values: one per seed.
        form: a format for mean and deviation, such as ".1%" or ",.0f".
        note: a few words beside it, such as "not reached by 1 of 3 seeds".
    """

    label: str
    values: Sequence[float]
    form: str = ".3g"
    note: str = ""

    def __str__(self) -> str:
        mean, deviation = summarize(self.values)
        if not math.isfinite(mean):
            return "not finite"
        if deviation is None:
            return format(mean, self.form)
        return f"{mean:{self.form}} ± {deviation:{self.form}}"


class Claim(NamedTuple):
    """Something that was claimed, as a margin that is positive where the claim is true.

    Attributes:
        statement: what is claimed.
        margins: one per seed.
        form: a format for the margin.
        unit: of the margin, in words.
    """

    statement: str
    margins: Sequence[float]
    form: str = "+.3g"
    unit: str = ""

    @property
    def holds(self) -> bool:
        """Whether the mean margin is positive and exceeds its deviation over seeds; see RULE."""
        mean, deviation = summarize(self.margins)
        return mean > (deviation or 0.0)

    def __str__(self) -> str:
        mean, deviation = summarize(self.margins)
        text = f"{mean:{self.form}}"
        if deviation is not None:
            text += f" ± {deviation:{self.form.removeprefix('+')}}"
        return f"{text} {self.unit}".strip()


def verdict(claims: Sequence[Claim]) -> str:
    """'agrees', 'partly' or 'disagrees', by RULE; ValueError for no claims."""
    if not claims:
        raise ValueError("verdict: claims must hold at least one, got none")
    holding = sum(claim.holds for claim in claims)
    return "agrees" if holding == len(claims) else "partly" if holding else "disagrees"


def steps_to(
    steps: Sequence[int], values: Sequence[float], target: float, *, falling: bool = False
) -> int | None:
    """The first step whose value is at least `target` (at most, if `falling`); None if none is.

    NaN never reaches a target.
    """
    for step, value in zip(steps, values, strict=True):
        if value <= target if falling else value >= target:
            return step
    return None
