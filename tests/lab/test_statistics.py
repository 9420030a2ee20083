"""Means, deviations, and the rule of the verdicts."""

import math

import pytest

from tinygrad_bn.lab.statistics import Claim, Number, steps_to, summarize, verdict


def test_mean_and_sample_deviation():
    assert summarize([1.0, 2.0, 3.0]) == (2.0, 1.0)
    assert summarize([5]) == (5.0, None)
    mean, deviation = summarize([1.0, math.inf])
    assert math.isnan(mean)
    assert deviation is None
    with pytest.raises(ValueError, match="values must hold at least one number"):
        summarize([])


def test_numbers_in_print():
    assert str(Number("accuracy", [0.5, 0.7], ".0%")) == "60% ± 14%"
    assert str(Number("steps", [1000], ",.0f")) == "1,000"
    assert str(Number("loss", [1.0, math.nan])) == "not finite"


@pytest.mark.parametrize(
    ("margins", "holds"),
    [
        ([0.1], True),
        ([0.0], False),
        ([-0.1], False),
        ([1.0, 2.0, 3.0], True),  # 2 ± 1
        ([0.0, 3.0, 0.0], False),  # 1 ± 1.7: it may be chance
        ([1.0, 1.0], True),  # no deviation at all
        ([0.0, 0.0], False),
        ([-1.0, -2.0], False),
        ([1.0, math.nan], False),
    ],
)
def test_a_claim_holds_when_its_margin_exceeds_its_deviation(margins, holds):
    assert Claim("a claim", margins).holds is holds


def test_verdicts():
    true, false = Claim("yes", [1.0]), Claim("no", [-1.0])
    assert verdict([true, true]) == "agrees"
    assert verdict([true, false]) == "partly"
    assert verdict([false]) == "disagrees"
    with pytest.raises(ValueError, match="claims must hold at least one"):
        verdict([])


def test_claims_in_print():
    assert str(Claim("ahead", [0.1, 0.3], "+.1%", "accuracy")) == "+20.0% ± 14.1% accuracy"
    assert str(Claim("ahead", [-0.5])) == "-0.5"


def test_steps_to_a_target():
    steps = [0, 10, 20, 30]
    assert steps_to(steps, [0.1, 0.5, 0.4, 0.9], 0.5) == 10
    assert steps_to(steps, [3.0, 2.0, 1.0, 0.5], 1.0, falling=True) == 20
    assert steps_to(steps, [0.1, 0.2, 0.3, math.nan], 0.5) is None
    assert steps_to(steps, [0.7, 0.2, 0.3, 0.1], 0.5) == 0
