"""Pictures of results; needs matplotlib, the extra `plot`."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from .serialization import FilePath, write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def require_matplotlib() -> None:
    """Raise ImportError, saying what to install, if matplotlib cannot be imported."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "plots need matplotlib, which could not be imported; "
            "install it with: pip install 'tinygrad_bn[plot]'"
        ) from error


def plot_accuracy(
    path: FilePath, steps: Sequence[int], curves: Mapping[str, Sequence[float]]
) -> None:
    """Write a PNG of accuracies over training steps, one curve for each name.

    Raises ImportError without matplotlib, OSError when the file cannot be written.
    """
    content = io.BytesIO()
    accuracy_figure(steps, curves).savefig(content, format="png", dpi=150)
    write_atomically(path, content.getvalue())


def accuracy_figure(steps: Sequence[int], curves: Mapping[str, Sequence[float]]) -> Figure:
    """The picture that `plot_accuracy` writes; the legend lies below it, where it hides no curve.

    Raises ImportError without matplotlib.
    """
    require_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name, accuracies in curves.items():
        axes.plot(steps, accuracies, label=name)
    axes.set(xlabel="training steps", ylabel="test accuracy", ylim=(0, 1))
    axes.set_xlim(left=0)
    axes.grid(alpha=0.3)
    figure.legend(loc="outside lower center", ncols=4, frameon=False)
    return figure
