"""How do the inputs of a sigmoid move while the layers below it learn? Figure 1b, c."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import nn, no_grad, random
from ...diagnostics import PercentileTrace, Recorder, kept, layers
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, finish
from ..networks import perceptron
from ..statistics import Claim, Number
from ..training import Training, milestones

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell


class Shift(Experiment):
    """Percentiles of the last hidden layer's inputs over training, with and without batch norm."""

    name = "shift"
    title = "What is internal covariate shift?"
    question = "How far does the distribution of a last-layer sigmoid's input wander in training?"
    method = (
        "The network of 'faster' is trained with and without batch norm; at intervals a fixed set "
        "of training images passes through it, normalized by its own statistics.",
        "For each of the 100 sigmoids of the last hidden layer the 15th, 50th and 85th percentiles "
        "of its input are recorded.",
        "Drift is the range of the median over the whole training, averaged over the sigmoids: "
        "once as it is, once in units of the spread between the outer percentiles (its mean over "
        "time), and growth is the largest spread over the smallest.",
    )
    source = "Ioffe and Szegedy, 2015, section 4.1 and figure 1b, c"
    says = (
        "Without batch norm the distribution changes much over time, in mean and in variance; with "
        "it, it is much more stable as training progresses."
    )
    full: ClassVar[Settings] = {
        "steps": 6_000,
        "rate": 0.1,
        "batch_size": 60,
        "hidden": [100, 100, 100],
        "fine": 50,
        "coarse": 300,
        "probe": 1_000,
    }
    quick: ClassVar[Settings] = {"steps": 1_200, "coarse": 200, "probe": 500}

    def variants(self, settings: Settings) -> list[str]:
        """With and without."""
        return ["plain", "batch norm"]

    def measure(self, cell: Cell) -> Values:
        """Drift and spread of all sigmoids, and the curves of one of them."""
        random.manual_seed(cell.seed)
        norm = None if cell.variant == "plain" else nn.BatchNorm
        network = perceptron(cell.digits.features, cell["hidden"], 10, norm=norm)
        (probe,) = cell.digits.batches("train", cell["probe"], cell["probe"])
        training = Training(
            cell, network, cell.digits.train, rate=cell["rate"], batch_size=cell["batch_size"]
        )
        at = milestones(cell["steps"], cell["fine"], cell["coarse"])
        records = training.run(cell["steps"], at, lambda: _percentiles(network, probe[0]))
        trace = PercentileTrace()
        for record in records:
            trace.add_percentiles(record["step"], record["rows"])
        typical = int(np.argsort(trace.median_drift)[len(trace.median_drift) // 2])
        return {
            "step": trace.steps,
            "typical": trace.values[:, :, typical].round(4).tolist(),
            "drift": float(trace.median_drift.mean()),
            "relative_drift": float(trace.relative_drift.mean()),
            "growth": float((trace.spread.max(axis=0) / trace.spread.min(axis=0)).mean()),
        }

    def numbers(self, results: Results) -> list[Number]:
        """Drift and growth of both networks."""
        measures = {
            "drift": "drift of the median",
            "relative_drift": "drift of the median, in spreads",
            "growth": "growth of the spread, largest over smallest",
        }
        return [
            Number(f"{label}, {variant}", results.each(variant, key), ".2f")
            for key, label in measures.items()
            for variant in results.cells
        ]

    def claims(self, results: Results) -> list[Claim]:
        """Each of them is smaller with batch norm."""
        statements = {
            "drift": "The median drifts less with batch norm.",
            "relative_drift": "It drifts less in units of the spread, too.",
            "growth": "The spread changes by a smaller factor with batch norm.",
        }
        return [
            Claim(text, [a - b for a, b in results.pairs("plain", "batch norm", key)], "+.2f")
            for key, text in statements.items()
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """The sigmoid of median drift, seed 0: its three percentiles in both networks."""
        axes = figure.subplots(1, 2, sharey=True)
        for ax, (variant, color) in zip(
            axes, zip(results.cells, COLORS, strict=False), strict=True
        ):
            values = results.of(variant)[0]
            rows = np.array(values["typical"])
            ax.fill_between(
                values["step"], rows[:, 0], rows[:, 2], color=color, alpha=0.25, linewidth=0
            )
            ax.plot(values["step"], rows[:, 1], color=color)
            finish(ax, "training steps", "input of the sigmoid", title=variant, legend=False)
        axes[1].set_ylabel("")
        figure.suptitle(
            "a typical sigmoid of the last hidden layer: median, 15th to 85th percentile",
            fontsize=9,
        )


def _percentiles(network: nn.Sequential, images: Any) -> dict[str, Any]:
    """The percentiles of what enters the last sigmoid; the network stays as it is."""
    last = layers(network, nn.Sigmoid)[-1]
    with kept(network), no_grad(), Recorder(network, [last]) as seen:
        network(images)
    trace = PercentileTrace()
    trace.add(0, seen[last].input)
    return {"rows": trace.values[0].tolist()}
