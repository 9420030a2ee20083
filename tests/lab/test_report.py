"""The page: self-contained, well formed, and saying what the numbers say."""

import sys
from html.parser import HTMLParser

import pytest

from tests.lab_helpers import StopAfter, Tiny
from tinygrad_bn.lab import registry, report, runner, store
from tinygrad_bn.lab.digits import Digits

VOID = {"meta", "link", "br", "img", "hr", "input"}


class Checker(HTMLParser):
    """Every element that is opened is closed, in order; ids are unique; references lead inside."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.references, self.text = [], [], [], []

    def handle_starttag(self, tag, attributes):
        if tag not in VOID:
            self.open.append(tag)
        for key, value in attributes:
            if key == "id":
                self.ids.append(value)
            if key in ("href", "src", "xlink:href"):
                self.references.append(value)

    def handle_startendtag(self, tag, attributes):
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A finished run of the small experiment, which takes the place of one of the lab's."""
    out = tmp_path_factory.mktemp("run")
    runner.run(Tiny(), out, Digits(subset=True), seeds=2, quick=True, watcher=StopAfter())
    return out


@pytest.fixture(autouse=True)
def _registered(monkeypatch):
    monkeypatch.setattr(registry, "NAMES", {"tiny": "Tiny"})
    monkeypatch.setattr(registry, "get", lambda name: Tiny())


def test_the_page_is_self_contained_and_well_formed(folder):
    path = report.write_page(folder)
    assert path == folder / "report.html"
    page = path.read_text(encoding="utf-8")
    assert "http:" not in page
    assert "https:" not in page
    assert "//" not in page.replace("<!--", "")
    for foreign in ("<script", "<link", "<iframe", "@import", "<?xml"):
        assert foreign not in page
    checker = Checker()
    checker.feed(page)
    checker.close()
    assert checker.open == []
    assert len(set(checker.ids)) == len(checker.ids)
    assert checker.references
    assert all(r[1:] in checker.ids for r in checker.references if r.startswith("#"))
    assert all(r.startswith("#") for r in checker.references)


def test_the_page_says_everything(folder):
    report.write_page(folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    checker = Checker()
    checker.feed(page)
    text = " ".join("".join(checker.text).split())
    (entry,) = report.collect(folder)
    for part in (
        "Is it small?",
        "How small <is> it?",
        "It takes 12 steps. It is small. That is all.",
        "Nobody & sons",
        "It is <better>.",
        "A claim holds when its margin",
        "bands and bars are ±1 standard deviation over seeds",
        "2 seeds, backend numpy, 8,000 digits for training, quick run",
        "tinygrad-bn lab run tiny --quick --seeds 2 --out DIR",
        str(entry.numbers[0]),
        str(entry.claims[0]),
        report.WORDS[entry.verdict],
    ):
        assert part in text
    assert "<svg" in page
    assert "prefers-color-scheme: dark" in page
    assert "currentColor" in page
    assert "width=device-width" in page


def test_the_command_measures_the_same_again(folder, monkeypatch):
    (entry,) = report.collect(folder)

    def command(**changes):
        settings = {**entry.results.settings, **changes}
        return entry._replace(results=entry.results._replace(settings=settings)).command

    assert command() == "tinygrad-bn lab run tiny --quick --seeds 2 --out DIR"
    assert "tiny --quick --backend cupy --seeds 2" in command(backend="cupy")
    assert "tiny --quick --data FOLDER --seeds 2" in command(train_images=60_000)
    monkeypatch.setattr(Tiny, "on_digits", False)
    assert "--data" not in command(train_images=60_000)


def test_the_same_numbers_make_the_same_page(folder):
    first = report.write_page(folder).read_bytes()
    assert report.write_page(folder).read_bytes() == first


def test_markdown_with_pictures(folder, tmp_path):
    path = report.write_markdown(folder, tmp_path / "docs")
    text = path.read_text(encoding="utf-8")
    assert path == tmp_path / "docs" / "README.md"
    assert (tmp_path / "docs" / "tiny.png").stat().st_size < 100_000
    assert "![Is it small?](tiny.png)" in text
    assert "| accuracy \\| plain (a note) |" in text
    assert "tinygrad-bn lab run tiny --quick --seeds 2 --out DIR" in text
    assert "tinygrad-bn lab report DIR --markdown FOLDER" in text
    assert not any(line != line.rstrip() for line in text.splitlines())


def test_numbers_of_another_version(folder, monkeypatch):
    monkeypatch.setattr(Tiny, "numbers", lambda self, results: results.each("plain", "f1"))
    with pytest.raises(store.StoreError, match="'tiny' are of another version: they lack 'f1'"):
        report.write_page(folder)


def test_nothing_to_report(tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no finished experiment"):
        report.write_page(tmp_path)


def test_without_matplotlib(folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'tinygrad_bn\[plot\]'"):
        report.write_page(folder)
