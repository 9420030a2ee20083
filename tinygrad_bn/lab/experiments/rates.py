"""How much higher may the learning rate be? Section 4.2, in small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ... import nn, random
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, band, finish
from ..networks import perceptron
from ..statistics import Claim, Number, steps_to
from ..training import Training, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell

_FACTORS = (1, 5, 30)
_PAPER = {1: 2.3, 5: 14.8, 30: 11.5}
_CHANCE = 0.1


class Rates(Experiment):
    """Steps to the accuracy of the plain network, with the rate times 1, 5 and 30."""

    name = "rates"
    title = "How much higher may the learning rate be?"
    question = (
        "In how many steps does the network with batch norm reach what the plain one reaches, at "
        "once, five and thirty times its learning rate?"
    )
    method = (
        "A network of {layers} layers of {width} rectified linear units, with He's initial "
        "weights, is trained at its base rate of {rate} and at 5 and 30 times that, with and "
        "without batch norm; a network of {deep} layers of sigmoids at the base rate only.",
        "The target is the best test accuracy of the plain network at the base rate; steps are "
        "those to reach it, and a network that never does counts as the whole training.",
        "A training has failed when its accuracy at the end is below half of the target, or its "
        "loss was no number.",
    )
    source = "Ioffe and Szegedy, 2015, section 4.2.2 and figure 3"
    says = (
        "On ImageNet, batch norm at 1×, 5× and 30× the rate needed 2.3, 14.8 and 11.5 times fewer "
        "steps to the plain network's accuracy; without it the higher rates made training diverge, "
        "and a deep network of sigmoids never got beyond chance, while with it it learned."
    )
    full: ClassVar[Settings] = {
        "steps": 2_000,
        "every": 50,
        "rate": 0.1,
        "batch_size": 60,
        "layers": 5,
        "width": 50,
        "deep": 8,
        "test_images": 5_000,
    }
    quick: ClassVar[Settings] = {"steps": 500, "every": 25, "test_images": 1_000}

    def variants(self, settings: Settings) -> list[str]:
        """Both networks at three rates, and both of sigmoids."""
        return [
            *(f"{norm} ×{factor}" for norm in ("plain", "batch norm") for factor in _FACTORS),
            "sigmoids, plain",
            "sigmoids, batch norm",
        ]

    def measure(self, cell: Cell) -> Values:
        """Accuracy on the test images over the steps."""
        random.manual_seed(cell.seed)
        deep = cell.variant.startswith("sigmoids")
        factor = 1 if deep else int(cell.variant.partition("×")[2])
        network = perceptron(
            cell.digits.features,
            [cell["width"]] * cell["deep" if deep else "layers"],
            10,
            activation="sigmoid" if deep else "relu",
            norm=nn.BatchNorm if "batch norm" in cell.variant else None,
            std=None,
        )
        training = Training(
            cell,
            network,
            cell.digits.train,
            rate=cell["rate"] * factor,
            batch_size=cell["batch_size"],
        )
        test = cell.digits.evaluation("test", cell["test_images"])
        at = range(cell["every"], cell["steps"] + 1, cell["every"])
        records = training.run(cell["steps"], at, lambda: evaluate(network, test))
        return {
            "step": [r["step"] for r in records],
            "accuracy": [r["accuracy"] for r in records],
            "diverged": training.diverged,
        }

    def numbers(self, results: Results) -> list[Number]:
        """Steps to the target, how many times fewer they are, and accuracies at the end."""
        goals = _goals(results)
        found = [Number("target: best accuracy, plain ×1", goals, ".2%")]
        for variant in list(results.cells)[:6]:
            missed = sum(
                max(v["accuracy"], default=0) < g
                for v, g in zip(results.of(variant), goals, strict=True)
            )
            note = f"not reached with {missed} of {len(goals)} seeds" if missed else ""
            steps = _steps(results, variant)
            found.append(Number(f"steps to the target, {variant}", steps, ",.0f", note))
        found += [
            Number(f"times fewer steps, batch norm ×{factor}", _times(results, factor), ".1f")
            for factor in _FACTORS
        ]
        ends = (*(f"plain ×{factor}" for factor in _FACTORS), *list(results.cells)[6:])
        return found + [
            Number(f"final accuracy, {v}", [_end(x) for x in results.of(v)], ".1%") for v in ends
        ]

    def claims(self, results: Results) -> list[Claim]:
        """The orderings of the paper's table."""
        found = [
            Claim(
                f"Batch norm at {factor}× the rate needs fewer steps than plain at 1× "
                f"(paper: {_PAPER[factor]} times fewer).",
                [t - 1 for t in _times(results, factor)],
                "+.2f",
                "times",
            )
            for factor in _FACTORS
        ]
        for factor in _FACTORS[1:]:
            pairs = zip(_goals(results), results.of(f"plain ×{factor}"), strict=True)
            margins = [goal / 2 - _end(values) for goal, values in pairs]
            text = f"Without batch norm {factor}× the rate fails."
            found.append(Claim(text, margins, "+.1%", "below half of the target"))
        plain, ours = (
            [_end(v) for v in results.of(f"sigmoids, {norm}")] for norm in ("plain", "batch norm")
        )
        return [
            *found,
            Claim(
                "The deep network of sigmoids stays near chance (below 20 %) without batch norm.",
                [2 * _CHANCE - end for end in plain],
                "+.1%",
                "below 20 %",
            ),
            Claim(
                "With batch norm it learns (above 50 %).",
                [end - 5 * _CHANCE for end in ours],
                "+.1%",
                "above 50 %",
            ),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """Accuracy against steps for all networks."""
        left, right = figure.subplots(1, 2, sharey=True)
        for norm, color in zip(("plain", "batch norm"), COLORS, strict=False):
            for factor, style in zip(_FACTORS, ("-", "--", ":"), strict=True):
                values = results.of(f"{norm} ×{factor}")
                longest = max((v["step"] for v in values), key=len)
                label = f"{norm} ×{factor}"
                if not longest:
                    label += " (diverged at once)"  # no curve to be seen
                elif any(v["diverged"] is not None for v in values):
                    label += " (diverged)"
                band(left, longest, [v["accuracy"] for v in values], label, color, style)
            values = results.of(f"sigmoids, {norm}")
            curves = [v["accuracy"] for v in values]
            band(right, values[0]["step"], curves, f"sigmoids, {norm}", color, "-.")
        left.set_ylim(0, 1)
        left.set_xlim(right.get_xlim())
        finish(
            left, "training steps", "test accuracy", title="rectified linear units", legend=False
        )
        finish(right, "training steps", "", title="deep, sigmoids")


def _goals(results: Results) -> list[float]:
    """For each seed the best accuracy of the plain network at its base rate."""
    return [max(a) for a in results.each("plain ×1", "accuracy")]


def _steps(results: Results, variant: str) -> list[int]:
    """Steps to the goal; the whole training where it is not reached."""
    return [
        steps_to(v["step"], v["accuracy"], goal) or results.settings["steps"]
        for v, goal in zip(results.of(variant), _goals(results), strict=True)
    ]


def _times(results: Results, factor: int) -> list[float]:
    """How many times fewer steps batch norm needs at a multiple of the rate."""
    pairs = zip(_steps(results, "plain ×1"), _steps(results, f"batch norm ×{factor}"), strict=True)
    return [a / b for a, b in pairs]


def _end(values: Values) -> float:
    """The accuracy at the end; chance for a training whose loss was no number."""
    accuracy: list[Any] = values["accuracy"]
    return _CHANCE if values["diverged"] is not None else accuracy[-1]
