"""How much higher may the learning rate be? Section 4.2, in small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from ... import nn, random
from ..experiment import Conclusion, Experiment, Results, Settings, Values
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

    def conclude(self, results: Results) -> Conclusion:
        """Steps, how many times fewer they are, and which trainings failed."""
        goals = [max(a) for a in results.each("plain ×1", "accuracy")]
        numbers = [Number("target: best accuracy, plain ×1", goals, ".2%")]
        claims = []
        base = self._steps(results, "plain ×1", goals)
        for variant in list(results.cells)[:6]:
            steps = self._steps(results, variant, goals)
            missed = sum(
                max(v["accuracy"], default=0) < g for v, g in _zip(results, variant, goals)
            )
            note = f"not reached with {missed} of {len(goals)} seeds" if missed else ""
            numbers.append(Number(f"steps to the target, {variant}", steps, ",.0f", note))
        for factor in _FACTORS:
            steps = self._steps(results, f"batch norm ×{factor}", goals)
            times = [a / b for a, b in zip(base, steps, strict=True)]
            numbers.append(Number(f"times fewer steps, batch norm ×{factor}", times, ".1f"))
            claims.append(
                Claim(
                    f"Batch norm at {factor}× the rate needs fewer steps than plain at 1× "
                    f"(paper: {_PAPER[factor]} times fewer).",
                    [t - 1 for t in times],
                    "+.2f",
                    "times",
                )
            )
        for factor in _FACTORS[1:]:
            ends = [_end(v) for v in results.of(f"plain ×{factor}")]
            numbers.append(Number(f"final accuracy, plain ×{factor}", ends, ".1%"))
            claims.append(
                Claim(
                    f"Without batch norm {factor}× the rate fails.",
                    [goal / 2 - end for goal, end in zip(goals, ends, strict=True)],
                    "+.1%",
                    "below half of the target",
                )
            )
        return Conclusion(numbers + self._sigmoids(results), claims + self._deep(results))

    def _steps(self, results: Results, variant: str, goals: list[float]) -> list[int]:
        last = results.settings["steps"]
        return [
            steps_to(v["step"], v["accuracy"], goal) or last
            for v, goal in _zip(results, variant, goals)
        ]

    def _sigmoids(self, results: Results) -> list[Number]:
        return [
            Number(f"final accuracy, {name}", [_end(v) for v in results.of(name)], ".1%")
            for name in ("sigmoids, plain", "sigmoids, batch norm")
        ]

    def _deep(self, results: Results) -> list[Claim]:
        plain, ours = (
            [_end(v) for v in results.of(f"sigmoids, {name}")] for name in ("plain", "batch norm")
        )
        return [
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


def _zip(results: Results, variant: str, goals: list[float]) -> list[tuple[Values, float]]:
    return list(zip(results.of(variant), goals, strict=True))


def _end(values: Values) -> float:
    """The accuracy at the end; chance for a training whose loss was no number."""
    accuracy: list[Any] = values["accuracy"]
    return _CHANCE if values["diverged"] is not None else accuracy[-1]
