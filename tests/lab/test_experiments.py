"""Every experiment: its words, and a quick run of it from the first step to the page."""

import re
import time

import pytest

from tests.lab_helpers import StopAfter
from tinygrad_bn.lab import registry, runner, store
from tinygrad_bn.lab.digits import Digits
from tinygrad_bn.lab.figures import png, svg
from tinygrad_bn.lab.statistics import VERDICTS, verdict

NAMES = list(registry.NAMES)


@pytest.fixture(scope="module")
def digits():
    return Digits(subset=True)


def test_there_are_eleven():
    assert NAMES == [
        "faster",
        "shift",
        "rates",
        "inputs",
        "placement",
        "identity",
        "inference",
        "regularise",
        "smooth",
        "depth",
        "small-batch",
    ]


def test_an_unknown_one_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"unknown experiment 'fastr', did you mean 'faster'\?"):
        registry.get("fastr")
    with pytest.raises(ValueError, match=r"unknown experiment 'xyz'\. Known are: faster, shift"):
        registry.get("xyz")


@pytest.mark.parametrize("name", NAMES)
def test_words_and_settings(name):
    experiment = registry.get(name)
    assert experiment.name == name
    assert experiment.question.endswith("?")
    for sentence in experiment.method:
        assert sentence.endswith(".")
    for quick in (False, True):
        settings = experiment.settings(quick)
        assert "{" not in experiment.describe(settings)
        variants = experiment.variants(settings)
        files = {store.path_of(runner.Path(), name, v, 0).name for v in variants}
        assert len(files) == len(variants) > 1
    assert set(experiment.quick) <= set(experiment.full)
    assert re.search(r"\d{4}", experiment.source)


@pytest.mark.parametrize("name", NAMES)
def test_a_quick_run(name, tmp_path, digits):
    experiment = registry.get(name)
    start = time.process_time()
    assert runner.run(experiment, tmp_path, digits, seeds=1, quick=True, watcher=StopAfter())
    assert time.process_time() - start < 60
    results, _ = store.load(tmp_path, experiment)
    numbers, claims = experiment.numbers(results), experiment.claims(results)
    assert verdict(claims) in VERDICTS
    assert len({n.label for n in numbers}) == len(numbers)
    assert len({c.statement for c in claims}) == len(claims)
    assert all("nan" not in str(n) for n in numbers)
    assert svg(experiment, results).startswith("<svg")
    assert png(experiment, results).startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["shift", "smooth", "inference"])
def test_looking_does_not_change_the_training(name, tmp_path, digits):
    """The cells with instruments in them: the same numbers, stopped on the way and taken up."""
    experiment = registry.get(name)
    small = {"steps": 30, "early": 10, "every": 10, "fine": 10, "coarse": 30, "probe": 50}
    small |= {"test_images": 50, "batch_sizes": [16], "samples": [30, 1_000]}
    shrunk = {key: value for key, value in small.items() if key in experiment.full}

    class Short(type(experiment)):
        quick = shrunk

    run = {"seeds": 1, "quick": True}
    assert runner.run(Short(), tmp_path / "whole", digits, watcher=StopAfter(), **run)
    assert not runner.run(Short(), tmp_path / "parts", digits, watcher=StopAfter(17), **run)
    assert runner.run(Short(), tmp_path / "parts", digits, watcher=StopAfter(), **run)
    whole, parts = (store.load(tmp_path / folder, Short())[0] for folder in ("whole", "parts"))
    assert whole.cells == parts.cells
