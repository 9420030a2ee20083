"""Before the activation or after it, with γ and β or without?"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ... import nn, random
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, finish, points
from ..networks import perceptron
from ..statistics import Claim, Number
from ..training import Training, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell

_ACTIVATIONS = ("sigmoid", "tanh", "relu")
_PLACES = ("none", "before", "before, no γβ", "after", "after, no γβ")


class Placement(Experiment):
    """Accuracy early in training for each place of batch norm and each activation."""

    name = "placement"
    title = "Before or after the activation?"
    question = (
        "Where does batch norm help more, before or after the activation, and are γ and β needed?"
    )
    method = (
        "The digits network with {layers} layers of {width} sigmoids, tanh or rectified linear "
        "units is trained with batch norm before each activation, after it, and without, with γ "
        "and β and without them.",
        "All start from the same weights (N(0, 0.1²)), see the same batches of {batch_size} and "
        "take steps of {rate}.",
        "Measured is the test accuracy averaged over the training, at {points} evenly spaced "
        "points: it says how fast and how far a network learns in {steps} steps.",
    )
    source = "Ioffe and Szegedy, 2015, sections 3 and 3.2"
    says = (
        "Batch norm goes before the activation, where the distribution is more symmetric and less "
        "sparse; γ and β are needed, or a sigmoid is held to its linear part."
    )
    full: ClassVar[Settings] = {
        "steps": 1_000,
        "points": 10,
        "rate": 0.1,
        "batch_size": 60,
        "layers": 3,
        "width": 100,
        "test_images": 2_000,
    }
    quick: ClassVar[Settings] = {"steps": 200, "points": 4, "test_images": 1_000}

    def variants(self, settings: Settings) -> list[str]:
        """Every place for every activation."""
        return [f"{activation}: {place}" for activation in _ACTIVATIONS for place in _PLACES]

    def measure(self, cell: Cell) -> Values:
        """Accuracies at evenly spaced steps, and their mean."""
        random.manual_seed(cell.seed)
        activation, _, place = cell.variant.partition(": ")

        def norm(width: int) -> nn.Module:
            return nn.BatchNorm(width, affine="no γβ" not in place)

        network = perceptron(
            cell.digits.features,
            [cell["width"]] * cell["layers"],
            10,
            activation=activation,
            norm=None if place == "none" else norm,
            after=place.startswith("after"),
        )
        training = Training(
            cell, network, cell.digits.train, rate=cell["rate"], batch_size=cell["batch_size"]
        )
        test = cell.digits.evaluation("test", cell["test_images"])
        every = cell["steps"] // cell["points"]
        at = range(every, cell["steps"] + 1, every)
        records = training.run(cell["steps"], at, lambda: evaluate(network, test))
        curve = [r["accuracy"] for r in records]
        return {"step": list(at), "accuracy": curve, "mean": sum(curve) / len(curve)}

    def numbers(self, results: Results) -> list[Number]:
        """Mean accuracies."""
        return [
            Number(f"mean accuracy, {variant}", results.each(variant, "mean"), ".1%")
            for variant in results.cells
        ]

    def claims(self, results: Results) -> list[Claim]:
        """The differences that places and γβ make."""

        def claim(statement: str, better: str, worse: str) -> Claim:
            margins = [a - b for a, b in results.pairs(better, worse, "mean")]
            return Claim(statement, margins, "+.2%", "accuracy")

        found = []
        for name in _ACTIVATIONS:
            before, after, none = (f"{name}: {place}" for place in ("before", "after", "none"))
            found += [
                claim(f"{name}: batch norm before beats none.", before, none),
                claim(f"{name}: before beats after.", before, after),
            ]
        held = claim("sigmoid, before: γ and β help.", "sigmoid: before", "sigmoid: before, no γβ")
        return [*found, held]

    def draw(self, figure: Figure, results: Results) -> None:
        """Mean accuracy by place, one line of points for each activation."""
        axes = figure.subplots()
        for shift, (activation, color) in enumerate(zip(_ACTIVATIONS, COLORS, strict=False)):
            values = [results.each(f"{activation}: {place}", "mean") for place in _PLACES]
            x = [i + 0.08 * (shift - 1) for i in range(len(_PLACES))]
            points(axes, x, values, activation, color, style="")
        axes.set_xticks(range(len(_PLACES)), _PLACES)
        finish(axes, "place of batch norm", "test accuracy, mean over the training")
