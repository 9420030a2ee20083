"""The pages about the lab: their code runs, their numbers are the report's, their links lead."""

import re
from pathlib import Path

import pytest

from tinygrad_bn.lab import registry
from tinygrad_bn.lab.report import WORDS

ROOT = Path(__file__).parents[2]
REPORT = ROOT / "docs" / "lab" / "README.md"
README = (ROOT / "README.md").read_text("utf-8")


def section(name):
    """What the committed report says of an experiment."""
    text = REPORT.read_text("utf-8")
    return text[text.index(f"\n## {name}\n") :].split("\n## ")[1]


def test_snippets_about_the_instruments_run_one_after_the_other():
    page = ROOT / "docs" / "diagnostics.md"
    snippets = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.M | re.S)
    assert len(snippets) >= 5
    names: dict[str, object] = {}
    for number, snippet in enumerate(snippets):
        exec(compile(snippet, f"{page.name}[{number}]", "exec"), names)


@pytest.mark.parametrize("name", registry.NAMES)
def test_the_report_is_of_a_full_run_by_this_code(name):
    text = section(name)
    experiment = registry.get(name)
    settings = {**experiment.settings(False), "quick": False}
    for part in (experiment.question, experiment.describe(settings), experiment.says):
        assert part in text
    data = experiment.data({"train_images": 60_000})
    assert f"3 seeds, backend numpy, {data}, full run" in text
    assert ("60,000 digits" in data) is (name != "inputs")
    digits = "--data FOLDER " if name != "inputs" else ""
    assert f"\ntinygrad-bn lab run {name} {digits}--seeds 3 --out DIR\n" in REPORT.read_text(
        "utf-8"
    )
    assert any(f"This run **{word}**." in text for word in WORDS.values())
    assert (REPORT.parent / f"{name}.png").stat().st_size < 150_000


def test_the_report_says_how_it_was_made_and_what_its_plots_show():
    text = REPORT.read_text("utf-8")
    assert "\ntinygrad-bn lab report DIR  " in text
    assert "\ntinygrad-bn lab report DIR --markdown FOLDER  " in text
    assert "bands and bars are ±1 standard deviation over seeds" in text
    assert "geometric mean" in text
    assert "16,346 block groups for training (the shipped houses)" in section("inputs")


def test_samples_and_groups_are_called_what_they_are():
    text = section("inference")
    assert "precise, 10,000 samples (of 60,000 training images)" in text
    assert "a part of the training images, not all of them" in text
    assert "gap, batch norm, dropout 0 (groups of 128: whole batches)" in section("regularise")


def test_the_headlines_are_those_of_the_report():
    lab = README[README.index("## The lab") :].split("\n## ")[0]
    rows = re.findall(r"^\| (?:\[([a-z-]+)\].*?)? ?\| .* \| (.*) \| (.*) \|$", lab, re.M)
    assert len(rows) >= 6
    name = ""
    for row in rows:
        name = row[0] or name
        if name:  # not the head of the table
            assert all(number in section(name) for number in row[1:]), row


def test_links_lead_somewhere():
    for page in (ROOT / "README.md", ROOT / "docs" / "diagnostics.md", REPORT):
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text("utf-8")):
            assert (page.parent / target).exists(), target
