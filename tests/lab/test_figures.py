"""The pictures: what their legends and axes say."""

import pytest
from matplotlib.figure import Figure

from tests.lab_helpers import StopAfter
from tinygrad_bn.lab import registry, runner, store
from tinygrad_bn.lab.digits import Digits
from tinygrad_bn.lab.experiment import Results
from tinygrad_bn.lab.figures import draw, few_ticks

STEPS = [50, 100]


def legend(figure):
    """The labels below the plots."""
    return [text.get_text() for text in figure.legends[0].get_texts()]


def rates(accuracy, diverged):
    """Results in which the plain network at thirty times the rate is as given."""
    experiment = registry.get("rates")
    settings = experiment.settings(False)
    fine = {"step": STEPS, "accuracy": [0.5, 0.6], "diverged": None}
    odd = {"step": STEPS[: len(accuracy)], "accuracy": accuracy, "diverged": diverged}
    variants = experiment.variants(settings)
    cells = {v: {0: odd if v == "plain ×30" else fine} for v in variants}
    return experiment, Results(settings, cells, [0])


@pytest.mark.parametrize(
    ("accuracy", "diverged", "label"),
    [
        ([], 3, "plain ×30 (diverged at once)"),
        ([0.2], 70, "plain ×30 (diverged)"),
        ([0.2, 0.3], None, "plain ×30"),
    ],
)
def test_a_curve_that_cannot_be_seen_is_explained(accuracy, diverged, label):
    assert label in legend(draw(*rates(accuracy, diverged)))


def test_the_goal_is_in_the_legend():
    experiment = registry.get("inputs")
    settings = experiment.settings(False)
    values = {"step": STEPS, "curves": {"0.1": [2.0, 0.3]}}
    cells = {variant: {0: values} for variant in experiment.variants(settings)}
    assert "goal: 0.4" in legend(draw(experiment, Results(settings, cells, [0])))


def test_all_kinds_of_statistics_are_shown(tmp_path):
    experiment = registry.get("inference")

    class Short(type(experiment)):
        quick = {  # noqa: RUF012
            "batch_sizes": [4, 16],
            "samples": [30, 1_000],
            "early": 5,
            "steps": 10,
            "test_images": 50,
        }

    run = {"seeds": 1, "quick": True, "watcher": StopAfter()}
    assert runner.run(Short(), tmp_path, Digits(subset=True), **run)
    results, _ = store.load(tmp_path, Short())
    figure = draw(Short(), results)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["moving average", "precise statistics", "the test batch's own"]
    own = {y for line in figure.axes[2].lines for y in line.get_ydata()}
    for variant in results.cells:
        (values,) = results.of(variant)
        assert {values[when]["test batch"] for when in ("early", "late")} <= own


@pytest.mark.parametrize(
    ("low", "high", "shown"),
    [(1.8, 23, ["2", "5", "10", "20"]), (0.02, 8, ["0.1", "1"])],
)
def test_logarithmic_ticks_are_few(low, high, shown):
    figure = Figure()
    axes = figure.subplots()
    axes.set_yscale("log")
    axes.plot([1, 2], [low, high])
    axes.set_ylim(low, high)
    few_ticks(axes)
    figure.draw_without_rendering()
    ticks = [t for t in axes.yaxis.get_major_ticks() if low <= t.get_loc() <= high]
    assert [t.label1.get_text() for t in ticks] == shown
    assert not any(t.label1.get_text() for t in axes.yaxis.get_minor_ticks())
