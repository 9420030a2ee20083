"""The report: one self-contained HTML page, and the same as Markdown with pictures beside it."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from ..data.digits import FULL
from ..serialization import write_atomically
from . import registry, store
from .experiment import Experiment, Results
from .figures import png, svg
from .statistics import RULE, Claim, Number, verdict

PAGE = "report.html"
MARKDOWN = "README.md"

WORDS = {"agrees": "agrees", "partly": "agrees partly", "disagrees": "disagrees"}
"""The verdicts as they are printed."""

_INTRODUCTION = (
    "Each experiment is a command, a plot and a number. Numbers are means ± standard deviations "
    "over seeds: each seed draws its own initial weights and its own order of the data, the same "
    "ones for all that is compared. In the plots bands and bars are ±1 standard deviation over "
    "seeds around the mean; bands on logarithmic axes are taken of the logarithms, around the "
    "geometric mean, which is below the table's mean where seeds differ much."
)

_REPORT = (
    f"tinygrad-bn lab report DIR                    # writes DIR/{PAGE}\n"
    f"tinygrad-bn lab report DIR --markdown FOLDER  # and {MARKDOWN} with pictures into FOLDER"
)


class Entry(NamedTuple):
    """One experiment that was measured, with what follows from its numbers."""

    experiment: Experiment
    results: Results
    records: list[dict[str, Any]]
    numbers: list[Number]
    claims: list[Claim]

    @property
    def verdict(self) -> str:
        """Whether the run agrees with the source."""
        return verdict(self.claims)

    @property
    def conditions(self) -> str:
        """Seeds, data, backend and machine, in a line."""
        settings, seeds = self.results.settings, len(self.results.seeds)
        return (
            f"{seeds} {'seed' if seeds == 1 else 'seeds'}, backend {settings['backend']}, "
            f"{self.experiment.data(settings)}, "
            f"{'quick' if settings['quick'] else 'full'} run, {self.records[0]['machine']}"
        )

    @property
    def command(self) -> str:
        """What measures it again."""
        settings = self.results.settings
        words = [f"tinygrad-bn lab run {self.experiment.name}"]
        words += ["--quick"] if settings["quick"] else []
        if self.experiment.on_digits and settings["train_images"] == FULL["train"][0].shape[0]:
            words += ["--data FOLDER"]
        if settings["backend"] != "numpy":
            words += [f"--backend {settings['backend']}"]
        return " ".join([*words, f"--seeds {len(self.results.seeds)} --out DIR"])


def collect(folder: Path) -> list[Entry]:
    """All experiments that the folder holds finished cells of.

    Raises StoreError for a damaged file, FileNotFoundError when nothing was measured there.
    """
    entries = []
    for name in registry.NAMES:
        experiment = registry.get(name)
        found = store.load(folder, experiment)
        if found is not None:
            results, records = found
            entries.append(_entry(experiment, results, records))
    if not entries:
        raise FileNotFoundError(
            f"{folder} holds no finished experiment: measure one with lab run NAME --out {folder}"
        )
    return entries


def _entry(experiment: Experiment, results: Results, records: list[dict[str, Any]]) -> Entry:
    try:
        numbers, claims = experiment.numbers(results), experiment.claims(results)
    except KeyError as error:
        raise store.StoreError(
            f"the numbers of {experiment.name!r} are of another version: they lack {error}; "
            "measure it anew into another folder"
        ) from error
    return Entry(experiment, results, records, numbers, claims)


# --------------------------------------------------------------------------------------- HTML


def write_page(folder: Path) -> Path:
    """Write `report.html` into the folder of a run; returns its path.

    Raises as `collect` does, ImportError without matplotlib, OSError when it cannot be written.
    """
    entries = collect(folder)
    template = resources.files(__package__) / "page.html"
    page = Template(template.read_text(encoding="utf-8")).substitute(
        introduction=f"<p>{_INTRODUCTION} {RULE}</p>\n<p class='dim'>{_made_by()}</p>",
        contents=_contents(entries),
        sections="\n".join(_section(entry) for entry in entries),
    )
    path = folder / PAGE
    write_atomically(path, page.encode())
    return path


def _made_by() -> str:
    return f"Made by tinygrad_bn {version('tinygrad_bn')}."


def _contents(entries: list[Entry]) -> str:
    rows = "".join(
        f"<tr><td><a href='#{e.experiment.name}'>{e.experiment.name}</a></td>"
        f"<td>{escape(e.experiment.title)}</td><td>{_badge(e.verdict)}</td></tr>\n"
        for e in entries
    )
    head = "<tr><th>experiment</th><th>question</th><th>this run</th></tr>"
    return f"<div class='table'><table>{head}\n{rows}</table></div>"


def _badge(name: str) -> str:
    return f"<span class='verdict {name}'>{WORDS[name]}</span>"


def _section(entry: Entry) -> str:
    experiment = entry.experiment
    numbers = "".join(
        f"<tr><td>{escape(n.label)}</td><td class='number'>{escape(str(n))}</td>"
        f"<td class='dim'>{escape(n.note)}</td></tr>\n"
        for n in entry.numbers
    )
    claims = "".join(
        f"<tr><td>{escape(c.statement)}</td><td class='number'>{escape(str(c))}</td>"
        f"<td>{_held(c)}</td></tr>\n"
        for c in entry.claims
    )
    return (
        f"<section id='{experiment.name}'>\n<h2>{escape(experiment.title)}</h2>\n"
        f"<p class='question'>{escape(experiment.question)}</p>\n"
        f"<p>{escape(experiment.describe(entry.results.settings))}</p>\n"
        f"<figure>{svg(experiment, entry.results)}</figure>\n"
        f"<div class='table'><table>\n{numbers}</table></div>\n"
        f"<blockquote>{escape(experiment.says)} <span class='dim'>({escape(experiment.source)})"
        f"</span></blockquote>\n<p>This run {_badge(entry.verdict)}:</p>\n"
        f"<div class='table'><table>\n<tr><th>claim</th><th>margin</th><th></th></tr>\n{claims}"
        f"</table></div>\n<p class='dim'>{escape(entry.conditions)}. "
        f"<code>{escape(entry.command)}</code></p>\n</section>"
    )


def _held(claim: Claim) -> str:
    name, word = ("agrees", "holds") if claim.holds else ("disagrees", "does not hold")
    return f"<span class='verdict {name}'>{word}</span>"


# ----------------------------------------------------------------------------------- Markdown


def write_markdown(folder: Path, target: Path) -> Path:
    """Write README.md and one PNG for each experiment into `target`; returns the former's path.

    Raises as `write_page` does.
    """
    entries = collect(folder)
    target.mkdir(parents=True, exist_ok=True)
    for entry in entries:
        picture = png(entry.experiment, entry.results)
        write_atomically(target / f"{entry.experiment.name}.png", picture)
    path = target / MARKDOWN
    lines = [line for part in _markdown(entries) for line in part.splitlines()]
    write_atomically(path, ("\n".join(lines).rstrip() + "\n").encode())
    return path


def _markdown(entries: list[Entry]) -> Iterator[str]:
    yield f"# The lab: what batch normalization does\n\n{_INTRODUCTION} {RULE}\n\n{_made_by()}\n\n"
    commands = dict.fromkeys(e.command for e in entries)
    yield "```sh\n" + "\n".join(commands) + "\n" + _REPORT + "\n```\n\n"
    yield "| experiment | question | this run |\n|---|---|---|"
    for e in entries:
        name = e.experiment.name
        yield f"| [{name}](#{name}) | {e.experiment.title} | {WORDS[e.verdict]} |"
    for entry in entries:
        yield from _markdown_section(entry)


def _markdown_section(entry: Entry) -> Iterator[str]:
    experiment = entry.experiment
    yield f"\n## {experiment.name}\n\n**{experiment.title}** {experiment.question}\n\n"
    yield experiment.describe(entry.results.settings) + "\n\n"
    yield f"![{experiment.title}]({experiment.name}.png)\n\n"
    yield "| measured | mean ± deviation |\n|---|---|"
    for n in entry.numbers:
        note = f" ({n.note})" if n.note else ""
        yield f"| {_cell(n.label + note)} | {n} |"
    yield f"\n> {experiment.says} ({experiment.source})\n"
    yield f"\nThis run **{WORDS[entry.verdict]}**.\n\n| claim | margin | |\n|---|---|---|"
    for c in entry.claims:
        held = "holds" if c.holds else "does not hold"
        yield f"| {_cell(c.statement)} | {c} | {held} |"
    yield f"\n{entry.conditions}.\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
