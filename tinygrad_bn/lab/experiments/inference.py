"""By which statistics should a trained network normalise? Batch, moving average, population."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import nn, random
from ...diagnostics import MovingAverages
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, finish, points
from ..networks import perceptron
from ..statistics import Claim, Number
from ..training import Training, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell


class Inference(Experiment):
    """Test accuracy of one network under many statistics, early in training and late."""

    name = "inference"
    title = "Why the moving average, and what instead?"
    question = (
        "What accuracy does a network have in evaluation by the statistics of the test batch, by "
        "moving averages with several decays, and by precise ones of few training samples or many?"
    )
    method = (
        "The digits network with {layers} layers of {width} sigmoids and batch norm is trained "
        "with batches of several sizes at a rate of {rate}; moving averages with all decays are "
        "kept along the way.",
        "After {early} steps and after {steps} the same weights are tested with every kind of "
        "statistics: those of the test batch (of the training batch's size), each moving average, "
        "precise ones (exact mean and variance, layer by layer) of a number of training samples.",
        "The largest of these samples stands for the population; it is a part of the training "
        "images, not all of them.",
    )
    source = "Wu and Johnson, 2021, section 3; Ioffe and Szegedy, 2015, algorithm 2"
    says = (
        "A moving average lags behind the weights and fails early in training; precise statistics "
        "do not, need only some 10³ to 10⁴ samples, and at the end of training both are as good; "
        "small test batches cost accuracy."
    )
    full: ClassVar[Settings] = {
        "batch_sizes": [4, 16, 64],
        "decays": [0.5, 0.9, 0.99, 0.999],
        "samples": [30, 100, 1_000, 10_000],
        "early": 100,
        "steps": 1_000,
        "rate": 0.2,
        "layers": 3,
        "width": 100,
        "test_images": 2_000,
    }
    quick: ClassVar[Settings] = {
        "batch_sizes": [4, 64],
        "samples": [30, 100, 1_000],
        "steps": 300,
        "test_images": 1_000,
    }

    def variants(self, settings: Settings) -> list[str]:
        """The sizes of the training batches."""
        return [f"batch {size}" for size in settings["batch_sizes"]]

    def measure(self, cell: Cell) -> Values:
        """Accuracies by kind of statistics, early and late."""
        random.manual_seed(cell.seed)
        widths = [cell["width"]] * cell["layers"]
        network = perceptron(cell.digits.features, widths, 10, norm=nn.BatchNorm)
        size = _size(cell.variant)
        training = Training(cell, network, cell.digits.train, rate=cell["rate"], batch_size=size)
        with MovingAverages(network, cell["decays"]) as averages:
            records = training.run(
                cell["steps"],
                (cell["early"], cell["steps"]),
                lambda: _accuracies(cell, network, averages, size),
                keep=False,  # the averages are not part of what is kept
            )
        return {"early": records[0]["found"], "late": records[1]["found"]}

    def numbers(self, results: Results) -> list[Number]:
        """Accuracies early and late, by kind of statistics."""
        images, largest = (
            results.settings["train_images"],
            _precise(results.settings["samples"][-1]),
        )
        return [
            Number(
                f"{variant}, step {_step(results, when):,}: {kind}",
                _of(results, variant, when, kind),
                ".1%",
                f"of {images:,} training images" if kind == largest else "",
            )
            for variant in results.cells
            for when in ("early", "late")
            for kind in results.of(variant)[0][when]
        ]

    def claims(self, results: Results) -> list[Claim]:
        """What Wu and Johnson say of them."""
        decays, samples = results.settings["decays"], results.settings["samples"]
        small, *_, large = results.cells
        precise, usual, slow = _precise(samples[-1]), _average(0.9), _average(decays[-1])

        def claim(
            text: str, place: tuple[str, str], better: str, worse: str, slack: float = 0
        ) -> Claim:
            sides = (_of(results, *place, kind) for kind in (better, worse))
            margins = [a - b + slack for a, b in zip(*sides, strict=True)]
            return Claim(text, margins, "+.1%", "accuracy")

        late, small_late = (large, "late"), (small, "late")
        failing = f"Early, decay {decays[-1]:g} fails: precise statistics are better."
        better = "With small batches precise statistics beat the usual moving average (0.9)."
        own = "With small batches the test batch's own statistics are worse than precise ones."
        enough = f"1,000 samples are enough: within 0.5 % of {samples[-1]:,}, or better."
        few = f"{samples[0]} samples are not: more are better."
        as_good = "Late, with large batches, the usual moving average is as good (within 0.5 %)."
        return [
            claim(failing, (large, "early"), precise, slow),
            claim(better, small_late, precise, usual),
            claim(own, small_late, precise, "test batch"),
            claim(enough, late, _precise(1_000), precise, 0.005),
            claim(few, late, precise, _precise(samples[0])),
            claim(as_good, late, usual, precise, 0.005),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """By decay, by the number of samples, and the test batch's own; early and late each."""
        left, middle, right = figure.subplots(1, 3, sharey=True, width_ratios=[4, 4, 3])
        decays, samples = results.settings["decays"], results.settings["samples"]
        for variant, color in zip(results.cells, COLORS, strict=False):
            for when, style in (("early", ":"), ("late", "-")):
                label = f"{variant}, step {_step(results, when):,}"
                values = [_of(results, variant, when, _average(d)) for d in decays]
                points(left, [1 - d for d in decays], values, label, color, style)
                values = [_of(results, variant, when, _precise(n)) for n in samples]
                points(middle, samples, values, label, color, style)
                own = _of(results, variant, when, "test batch")
                points(right, [_size(variant)], [own], label, color)
        sizes = [_size(variant) for variant in results.cells]
        for when, style in (("early", ":"), ("late", "-")):
            means = [np.mean(_of(results, v, when, "test batch")) for v in results.cells]
            right.plot(sizes, means, color="#888888", linestyle=style, linewidth=1.4, zorder=1)
        for axes in (left, middle):
            axes.set_xscale("log")
        left.invert_xaxis()
        right.set_xscale("log", base=2)
        right.set_xticks(sizes, [str(size) for size in sizes])
        right.margins(x=0.15)
        finish(left, "1 - decay", "test accuracy", title="moving average", legend=False)
        finish(middle, "training samples", "", title="precise statistics", legend=False)
        finish(right, "its size", "", title="the test batch's own")


def _size(variant: str) -> int:
    return int(variant.partition(" ")[2])


def _average(decay: float) -> str:
    return f"moving average, decay {decay:g}"


def _precise(count: int) -> str:
    return f"precise, {count:,} samples"


def _step(results: Results, when: str) -> int:
    return results.settings["early" if when == "early" else "steps"]


def _of(results: Results, variant: str, when: str, kind: str) -> list[float]:
    return [values[when][kind] for values in results.of(variant)]


def _accuracies(
    cell: Cell, network: nn.Sequential, averages: MovingAverages, size: int
) -> dict[str, Any]:
    """The accuracy by every kind of statistics; the network is as before afterwards."""
    test = cell.digits.evaluation("test", cell["test_images"])
    norms = [m for m in network if isinstance(m, nn.BatchNorm)]
    before = [[b.numpy().copy() for b in norm.buffers()] for norm in norms]
    found = {}
    for norm in norms:
        norm.normalize_with = "batch"
    small = cell.digits.batches("test", cell["test_images"], size)
    found["test batch"] = evaluate(network, small)["accuracy"]
    for norm in norms:
        norm.normalize_with = "auto"
    for decay in cell["decays"]:
        averages.write(decay)
        found[_average(decay)] = evaluate(network, test)["accuracy"]
    for count in cell["samples"]:
        batches = cell.digits.evaluation("train", count)
        nn.estimate_population(network, batches, method="moments", layerwise=True)
        found[_precise(count)] = evaluate(network, test)["accuracy"]
    for norm, kept in zip(norms, before, strict=True):
        for buffer, old in zip(norm.buffers(), kept, strict=True):
            buffer.assign(old)
    return {"found": found}
