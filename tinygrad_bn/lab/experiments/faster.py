"""Does batch normalization train faster? The digits network of the paper, figure 1a."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ... import nn, random
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, band, finish
from ..networks import perceptron
from ..statistics import Claim, Number, steps_to
from ..training import Training, evaluate, milestones

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell

_EARLY = (100, 1_000)


class Faster(Experiment):
    """Accuracy curves with and without batch norm, and the steps to the plain network's best."""

    name = "faster"
    title = "Does it train faster?"
    question = "How many steps does the paper's digits network need, with and without batch norm?"
    method = (
        "A network of three layers of 100 sigmoids learns binary images of digits by plain "
        "gradient descent, in batches of 60, with batch norm before each sigmoid and without.",
        "Both start from the same weights, N(0, 0.1²), and see the same batches.",
        "Measured are the accuracy on the test images along the way, and the step at which the "
        "normalized network first reaches the best accuracy that the plain one ever had.",
    )
    source = "Ioffe and Szegedy, 2015, section 4.1 and figure 1a"
    says = (
        "The network with batch norm trains faster and reaches a higher test accuracy. For "
        "comparison, one run of the same network in PyTorch: 11 % plain and 79 % with batch norm "
        "after 100 steps, 57 % and 90 % after 1,000; the plain network's best of 97.1 % reached by "
        "the other after 28,000."
    )
    full: ClassVar[Settings] = {
        "steps": 50_000,
        "rate": 0.1,
        "batch_size": 60,
        "hidden": [100, 100, 100],
        "fine": 100,
        "coarse": 1_000,
        "test_images": 10_000,
    }
    quick: ClassVar[Settings] = {"steps": 1_500, "coarse": 500, "test_images": 1_000}

    def variants(self, settings: Settings) -> list[str]:
        """With and without."""
        return ["plain", "batch norm"]

    def measure(self, cell: Cell) -> Values:
        """Accuracy and loss on the test images over the steps."""
        random.manual_seed(cell.seed)
        norm = None if cell.variant == "plain" else nn.BatchNorm
        network = perceptron(cell.digits.features, cell["hidden"], 10, norm=norm)
        training = Training(
            cell, network, cell.digits.train, rate=cell["rate"], batch_size=cell["batch_size"]
        )
        test = cell.digits.evaluation("test", cell["test_images"])
        at = milestones(cell["steps"], cell["fine"], cell["coarse"])
        records = training.run(cell["steps"], at, lambda: evaluate(network, test))
        return {key: [r[key] for r in records] for key in ("step", "accuracy", "loss")}

    def numbers(self, results: Results) -> list[Number]:
        """Accuracies early and at best, and the steps to the plain network's best."""
        found = [
            Number(f"accuracy after {step:,} steps, {variant}", _at(results, variant, step), ".1%")
            for step in _early(results)
            for variant in results.cells
        ]
        found += [
            Number(f"best accuracy, {v}", [max(a) for a in results.each(v, "accuracy")], ".2%")
            for v in results.cells
        ]
        return found + [
            Number(f"steps to the plain network's best, {v}", _steps(results, v), ",.0f")
            for v in results.cells
        ]

    def claims(self, results: Results) -> list[Claim]:
        """Ahead early, there in fewer steps, better at best."""
        found = []
        for step in _early(results):
            pairs = zip(_at(results, "batch norm", step), _at(results, "plain", step), strict=True)
            margins = [a - b for a, b in pairs]
            text = f"After {step:,} steps batch norm is ahead."
            found.append(Claim(text, margins, "+.1%", "accuracy"))
        pairs = zip(_steps(results, "plain"), _steps(results, "batch norm"), strict=True)
        saved = [1 - ours / theirs for theirs, ours in pairs]
        higher = [max(b) - max(a) for a, b in results.pairs("plain", "batch norm", "accuracy")]
        return [
            *found,
            Claim("It reaches the plain network's best in fewer steps.", saved, "+.0%", "of steps"),
            Claim("Its best accuracy is higher.", higher, "+.2%", "accuracy"),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """Accuracy against steps, early and late."""
        early, late = figure.subplots(1, 2)
        for axes in (early, late):
            for variant, color in zip(results.cells, COLORS, strict=False):
                values = results.of(variant)
                band(axes, values[0]["step"], [v["accuracy"] for v in values], variant, color)
        early.set_xlim(0, results.settings["coarse"])
        late.set_ylim(0.9 if results.settings["steps"] > 10_000 else 0.5, 1.0)
        finish(early, "training steps", "test accuracy", title="the beginning", legend=False)
        finish(late, "training steps", "test accuracy", title="all of it", legend=True)


def _early(results: Results) -> list[int]:
    return [step for step in _EARLY if step <= results.settings["steps"]]


def _at(results: Results, variant: str, step: int) -> list[float]:
    return [v["accuracy"][v["step"].index(step)] for v in results.of(variant)]


def _steps(results: Results, variant: str) -> list[int]:
    """Steps to the plain network's best, with the same seed; the last step if never reached."""
    reached = []
    for plain, ours in zip(results.of("plain"), results.of(variant), strict=True):
        steps = steps_to(ours["step"], ours["accuracy"], max(plain["accuracy"]))
        reached.append(results.settings["steps"] if steps is None else steps)
    return reached
