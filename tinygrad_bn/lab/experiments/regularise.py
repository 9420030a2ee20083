"""Does batch norm regularise? Gaps between training and test, by batch size and by dropout."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ... import nn, random
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, finish, points
from ..networks import perceptron
from ..statistics import Claim, Number, summarize
from ..training import Training, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell

_DROPOUT = ("plain", "batch norm")
_WHOLE = "batch norm, dropout 0"  # the variant whose groups are whole batches


class Regularise(Experiment):
    """A network with too few images: how much worse is it on new ones?"""

    name = "regularise"
    title = "Does it regularise?"
    question = (
        "How much does a network lose from training to test images, with and without batch norm, "
        "by the size of the batch that is normalized, and by the dropout rate?"
    )
    method = (
        "A network of {layers} layers of {width} rectified linear units is trained on only "
        "{images} images, for {steps} steps of batches of {batch_size}, so that it fits them all.",
        "Batch norm takes its statistics from groups of {groups} samples of the same batches, so "
        "that nothing but the noise of the statistics differs; dropout rates are {dropout}, with "
        "batch norm (whole batches) and without.",
        "The gap is the cross-entropy on test images less that on the training images, both in "
        "evaluation mode.",
    )
    source = "Luo et al., 2019; Ioffe and Szegedy, 2015, sections 3.4 and 4.2.1"
    says = (
        "Batch norm regularises, the more so the smaller the batch (Luo), and lets dropout be "
        "reduced (Ioffe and Szegedy), from 0.6 to 0.4, say."
    )
    full: ClassVar[Settings] = {
        "images": 1_000,
        "steps": 1_200,
        "rate": 0.1,
        "batch_size": 128,
        "groups": [4, 16, 128],
        "dropout": [0.0, 0.2, 0.4, 0.6],
        "layers": 3,
        "width": 100,
        "test_images": 5_000,
    }
    quick: ClassVar[Settings] = {
        "images": 500,
        "steps": 250,
        "groups": [4, 128],
        "dropout": [0.0, 0.4, 0.6],
        "test_images": 1_000,
    }

    def variants(self, settings: Settings) -> list[str]:
        """The sizes of the groups, then the dropout rates."""
        sizes = [f"groups of {n}" for n in settings["groups"][:-1]]
        return sizes + [f"{name}, dropout {p:g}" for name in _DROPOUT for p in settings["dropout"]]

    def measure(self, cell: Cell) -> Values:
        """Losses and accuracies at the end, on training and on test images."""
        random.manual_seed(cell.seed)
        name, _, number = cell.variant.rpartition(" ")
        groups = int(number) if name == "groups of" else None

        def norm(width: int) -> nn.Module:
            return nn.BatchNorm(width, ghost_size=groups)

        network = perceptron(
            cell.digits.features,
            [cell["width"]] * cell["layers"],
            10,
            activation="relu",
            norm=None if name.startswith("plain") else norm,
            std=None,
            dropout=0.0 if groups else float(number),
        )
        images = cell.digits.some(cell["images"])
        training = Training(cell, network, images, rate=cell["rate"], batch_size=cell["batch_size"])
        training.run(cell["steps"], (), dict)
        seen = evaluate(network, cell.digits.evaluation("train", cell["images"]))
        new = evaluate(network, cell.digits.evaluation("test", cell["test_images"]))
        return {
            "train_loss": seen["loss"],
            "train_accuracy": seen["accuracy"],
            "test_loss": new["loss"],
            "test_accuracy": new["accuracy"],
            "gap": new["loss"] - seen["loss"],
        }

    def numbers(self, results: Results) -> list[Number]:
        """Gaps, test accuracies, and the best dropout rates."""
        forms = {"gap": ("gap", ".3f"), "test_accuracy": ("test accuracy", ".1%")}
        notes = {_WHOLE: f"groups of {results.settings['groups'][-1]}: whole batches"}
        found = [
            Number(f"{label}, {variant}", results.each(variant, key), form, notes.get(variant, ""))
            for key, (label, form) in forms.items()
            for variant in results.cells
        ]
        return found + [
            Number(f"best dropout rate, {name}", _best(results, name), ".2f") for name in _DROPOUT
        ]

    def claims(self, results: Results) -> list[Claim]:
        """Smaller gaps, with smaller batches the more so, and less need of dropout."""
        whole, plain = _WHOLE, "plain, dropout 0"
        small = next(iter(results.cells))
        lighter = results.pairs("batch norm, dropout 0.4", "plain, dropout 0.6", "test_accuracy")
        best = zip(*(_best(results, name) for name in _DROPOUT), strict=True)
        return [
            Claim(
                "Without dropout the gap is smaller with batch norm.",
                [a - b for a, b in results.pairs(plain, whole, "gap")],
                "+.3f",
            ),
            Claim(
                f"The gap is smaller with statistics of {small} than of whole batches.",
                [a - b for a, b in results.pairs(whole, small, "gap")],
                "+.3f",
            ),
            Claim(
                "Dropout 0.4 with batch norm is better than 0.6 without.",
                [a - b for a, b in lighter],
                "+.2%",
                "accuracy",
            ),
            Claim(
                "The best dropout rate is lower with batch norm.", [a - b for a, b in best], "+.2f"
            ),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """Left: the gap by group size. Right: test accuracy by dropout rate."""
        left, right = figure.subplots(1, 2)
        sizes = results.settings["groups"]
        names = [*list(results.cells)[: len(sizes) - 1], _WHOLE]
        gaps = [results.each(name, "gap") for name in names]
        points(left, sizes, gaps, "batch norm", COLORS[1])
        plain = summarize(results.each("plain, dropout 0", "gap")).mean
        left.axhline(plain, color=COLORS[0], linestyle="--", label="plain (left)")
        left.set_xscale("log", base=2)
        left.set_xticks(sizes, [str(n) for n in sizes])
        left.set_ylim(bottom=0)
        rates = results.settings["dropout"]
        for name, color in zip(_DROPOUT, COLORS, strict=False):
            values = [results.each(f"{name}, dropout {p:g}", "test_accuracy") for p in rates]
            points(right, rates, values, name, color)
        finish(left, "samples per statistic", "test less training cross-entropy", legend=False)
        finish(right, "dropout rate", "test accuracy")


def _best(results: Results, name: str) -> list[float]:
    """For each seed the dropout rate with the highest test accuracy."""
    rates = results.settings["dropout"]
    rows = [results.each(f"{name}, dropout {p:g}", "test_accuracy") for p in rates]
    return [rates[column.index(max(column))] for column in zip(*rows, strict=True)]
