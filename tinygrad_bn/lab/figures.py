"""How the pictures look, and how they get into a page: SVG that follows the reader's colours."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..plotting import require_matplotlib
from .experiment import Experiment, Results

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLORS = ("#d1662a", "#2f8fd0", "#3aa05c", "#b061c9", "#c49a1a", "#d0497a")
"""Told apart on white and on black, and by readers who do not see red and green as different."""

_INK = "#010203"  # no line has it: in the SVG it becomes the colour of the page's text
_WIDTH = 7.6  # inches


def band(
    axes: Axes,
    x: Sequence[float],
    curves: Sequence[Sequence[float]],
    label: str,
    color: str,
    style: str = "-",
) -> None:
    """The mean of curves over seeds, and a band of one standard deviation around it.

    On a logarithmic axis both are those of the logarithms. Curves that end early (a diverged
    training) cut the others off where they end.
    """
    length = min(len(c) for c in curves)
    values = np.array([c[:length] for c in curves], dtype=float)
    logarithmic = axes.get_yscale() == "log"
    if logarithmic:
        values = np.log(values)
    mean = values.mean(axis=0)
    deviation = values.std(axis=0, ddof=1) if len(values) > 1 else np.zeros(length)
    lines = [mean, mean - deviation, mean + deviation]
    middle, lower, upper = [np.exp(line) if logarithmic else line for line in lines]
    axes.plot(x[:length], middle, label=label, color=color, linestyle=style, linewidth=1.6)
    axes.fill_between(x[:length], lower, upper, color=color, alpha=0.2, linewidth=0)


def points(
    axes: Axes,
    x: Sequence[float],
    values: Sequence[Sequence[float]],
    label: str,
    color: str,
    style: str = "-",
) -> None:
    """Means over seeds with bars of one standard deviation; values[i] are those at x[i]."""
    means = [float(np.mean(v)) for v in values]
    errors = [float(np.std(v, ddof=1)) if len(v) > 1 else 0.0 for v in values]
    axes.errorbar(
        x,
        means,
        yerr=errors,
        label=label,
        color=color,
        marker="o",
        markersize=4,
        capsize=2,
        linewidth=1.4,
        linestyle=style,
    )


def few_ticks(axes: Axes) -> None:
    """Plain numbers at 1, 2 and 5 on a logarithmic y axis; only at 1 where it spans decades."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high < 30 * low else (1,)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())


def finish(axes: Axes, x: str, y: str, *, title: str = "", legend: bool = True) -> None:
    """Labels, a grid, and a legend of the whole figure below it, where it hides no data."""
    axes.set(xlabel=x, ylabel=y, title=title)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    if legend:
        known: dict[str, Any] = {}
        for each in axes.figure.axes:
            for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
                known.setdefault(label, handle)
        axes.figure.legend(
            list(known.values()),
            list(known),
            loc="outside lower center",
            ncols=4,
            frameon=False,
        )


def draw(experiment: Experiment, results: Results) -> Figure:
    """The figure of an experiment; ImportError, with advice, without matplotlib."""
    require_matplotlib()
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_style(experiment.name)):
        figure = Figure(figsize=(_WIDTH, experiment.height), layout="constrained")
        experiment.draw(figure, results)
    return figure


def _style(name: str) -> Any:
    ink = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
    )
    return {
        **ink,
        "font.size": 9,
        "axes.titlesize": 10,
        "svg.fonttype": "none",
        "svg.hashsalt": name,
    }


def png(experiment: Experiment, results: Results) -> bytes:
    """The picture on white, for documents that show files."""
    content = io.BytesIO()
    draw(experiment, results).savefig(content, format="png", dpi=90)
    return content.getvalue()


def svg(experiment: Experiment, results: Results) -> str:
    """The picture as an `<svg>` element for a page: transparent, its text in the page's colour."""
    import matplotlib

    content = io.StringIO()
    figure = draw(experiment, results)
    with matplotlib.rc_context(_style(experiment.name)):
        figure.savefig(content, format="svg", transparent=True, metadata={"Date": None})
    return _embedded(content.getvalue(), f"{experiment.title} The numbers are in the table.")


def _embedded(document: str, label: str) -> str:
    """Without what only a file needs: prologue, metadata, name spaces, ids that nothing uses."""
    text = document[document.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' xmlns(:\w+)?="[^"]*"', "", text)
    used = set(re.findall(r'(?:href="|url\()#([^")]+)', text))
    text = re.sub(
        r' id="([^"]*)"', lambda found: found.group() if found.group(1) in used else "", text
    )
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
    return text.replace(_INK, "currentColor")
