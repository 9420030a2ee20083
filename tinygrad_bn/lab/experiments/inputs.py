"""Must features be standardised? House prices, rooms and ages, as they come."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import asarray, nn, no_grad, random
from ...data import ArrayDataset, Standardizer, california_housing
from ..experiment import Conclusion, Experiment, Results, Settings, Values
from ..figures import COLORS, band, finish
from ..networks import perceptron
from ..statistics import Claim, Number, steps_to
from ..training import Training, milestones

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell


class Inputs(Experiment):
    """Steps to a given error from raw features, standardised ones, and raw ones behind a norm."""

    name = "inputs"
    title = "Must features be standardised?"
    question = (
        "Ages reach 52 and rooms 39,320: how fast does a network learn house prices from features "
        "as they are, standardised, or through a batch norm layer placed first?"
    )
    method = (
        "A network of one hidden layer of 32 rectified linear units learns the (standardised) "
        "prices of California's block groups by gradient descent in batches of 64.",
        "Every way of feeding it is trained at each of a row of learning rates, and judged by the "
        "one at which it needs the fewest steps, or has the lowest error.",
        "Steps are those until the mean squared error on held-out block groups is {goal} of the "
        "prices' variance; a training that never gets there counts as its whole length.",
    )
    source = "the idea behind the layer: Ioffe and Szegedy, 2015, section 2; LeCun et al., 1998"
    says = (
        "Features on wildly different scales make training slow; standardised ones make it fast, "
        "and batch norm as the first layer does the same without a pass over the data."
    )
    full: ClassVar[Settings] = {
        "steps": 2_000,
        "every": 20,
        "batch_size": 64,
        "hidden": [32],
        "goal": 0.4,
        "rates": [1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1],
    }
    quick: ClassVar[Settings] = {"steps": 600, "rates": [1e-6, 1e-4, 1e-2, 1e-1]}

    def variants(self, settings: Settings) -> list[str]:
        """The three ways."""
        return ["raw", "standardised", "batch norm first"]

    def measure(self, cell: Cell) -> Values:
        """The curve of the held-out error at each rate."""
        curves = {}
        for number, rate in enumerate(cell["rates"]):
            with cell.part(number, len(cell["rates"])):
                curves[f"{rate:g}"] = self._train(cell, rate)
        at = milestones(cell["steps"], cell["every"], cell["steps"])
        return {"step": at, "curves": curves}

    def _train(self, cell: Cell, rate: float) -> list[float]:
        random.manual_seed(cell.seed)
        train, x, y = _houses(cell.variant == "standardised")
        network = perceptron(8, cell["hidden"], 1, activation="relu", std=None)
        if cell.variant == "batch norm first":
            network = nn.Sequential(nn.BatchNorm(8), *network)
        training = Training(
            cell, network, train, rate=rate, batch_size=cell["batch_size"], loss=nn.MSELoss()
        )

        def error() -> dict[str, float]:
            network.eval()
            with no_grad():
                value = float(((network(x) - y) ** 2).mean())
            network.train()
            return {"error": value}

        at = milestones(cell["steps"], cell["every"], cell["steps"])
        records = training.run(cell["steps"], at, error, keep=False)
        curve = [r["error"] for r in records]
        return curve + [float("inf")] * (len(at) - len(curve))

    def conclude(self, results: Results) -> Conclusion:
        """Steps and errors at each one's best rate."""
        numbers, steps, errors = [], {}, {}
        for variant in results.cells:
            values = results.of(variant)
            best = [self._best(v, results.settings) for v in values]
            steps[variant] = [b[0] for b in best]
            errors[variant] = [min(v["curves"][b[1]]) for v, b in zip(values, best, strict=True)]
            missed = sum(e > results.settings["goal"] for e in errors[variant])
            note = f"best rates {', '.join(sorted({b[1] for b in best}))}"
            if missed:
                note += f"; not reached with {missed} of {len(best)} seeds"
            goal = results.settings["goal"]
            numbers += [
                Number(f"steps to an error of {goal}, {variant}", steps[variant], ",.0f", note),
                Number(f"lowest error, {variant}", errors[variant], ".3f"),
            ]
        fewer = {
            name: [a / b for a, b in zip(steps["raw"], steps[name], strict=True)]
            for name in ("standardised", "batch norm first")
        }
        slower = [
            2 - b / a for a, b in zip(steps["standardised"], steps["batch norm first"], strict=True)
        ]
        claims = [
            Claim(
                "Standardised features need fewer steps than raw ones.",
                [f - 1 for f in fewer["standardised"]],
                "+.1f",
                "times",
            ),
            Claim(
                "Batch norm first needs fewer steps than raw features.",
                [f - 1 for f in fewer["batch norm first"]],
                "+.1f",
                "times",
            ),
            Claim(
                "Batch norm first needs less than twice the steps of standardised features.",
                slower,
                "+.2f",
                "times",
            ),
        ]
        return Conclusion(numbers, claims)

    def _best(self, values: Values, settings: Settings) -> tuple[int, str]:
        """The fewest steps to the goal, and the rate; if all miss it, the lowest error counts."""
        found = []
        for rate, curve in values["curves"].items():
            steps = steps_to(values["step"], curve, settings["goal"], falling=True)
            found.append((settings["steps"] if steps is None else steps, min(curve), rate))
        steps, _, rate = min(found)
        return steps, rate

    def draw(self, figure: Figure, results: Results) -> None:
        """The error against steps, each at its best rate."""
        axes = figure.subplots()
        for variant, color in zip(results.cells, COLORS, strict=False):
            values = results.of(variant)
            curves = [v["curves"][self._best(v, results.settings)[1]] for v in values]
            band(axes, values[0]["step"], curves, variant, color)
        axes.axhline(results.settings["goal"], color="#888888", linestyle=":")
        axes.set_ylim(0.2, 1.4)
        finish(axes, "training steps", "held-out error (variance of the prices = 1)")


@cache
def _houses(standardised: bool) -> tuple[ArrayDataset, Any, Any]:
    """Training set, held-out features and prices; prices standardised by the training set's."""
    train, test = california_housing()
    prices = Standardizer().fit(train.target)
    features = Standardizer().fit(train.features)
    pairs = []
    for houses in (train, test):
        x = features.transform(houses.features) if standardised else houses.features
        pairs.append((np.asarray(x), prices.transform(houses.target)))
    return ArrayDataset(*pairs[0]), asarray(pairs[1][0]), asarray(pairs[1][1])
