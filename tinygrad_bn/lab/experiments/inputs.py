"""Must features be standardised? House prices, rooms and ages, as they come."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import asarray, nn, no_grad, random
from ...data import ArrayDataset, Standardizer, california_housing
from ..experiment import Experiment, Results, Settings, Values
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
    on_digits: ClassVar[bool] = False

    def data(self, settings: Settings) -> str:
        """The shipped block groups."""
        return f"{len(_houses(False)[0]):,} block groups for training (the shipped houses)"

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

    def numbers(self, results: Results) -> list[Number]:
        """Steps and errors at each one's best rate."""
        found = []
        goal = results.settings["goal"]
        for variant in results.cells:
            best = self._best(results, variant)
            errors = [b[1] for b in best]
            note = f"best rates {', '.join(sorted({b[2] for b in best}))}"
            if missed := sum(e > goal for e in errors):
                note += f"; not reached with {missed} of {len(best)} seeds"
            steps = [b[0] for b in best]
            found += [
                Number(f"steps to an error of {goal}, {variant}", steps, ",.0f", note),
                Number(f"lowest error, {variant}", errors, ".3f"),
            ]
        return found

    def claims(self, results: Results) -> list[Claim]:
        """Both ways of scaling help, and about as much."""
        raw, standardised, first = (
            [b[0] for b in self._best(results, variant)] for variant in results.cells
        )
        return [
            Claim(
                "Standardised features need fewer steps than raw ones.",
                [a / b - 1 for a, b in zip(raw, standardised, strict=True)],
                "+.1f",
                "times",
            ),
            Claim(
                "Batch norm first needs fewer steps than raw features.",
                [a / b - 1 for a, b in zip(raw, first, strict=True)],
                "+.1f",
                "times",
            ),
            Claim(
                "Batch norm first needs less than twice the steps of standardised features.",
                [2 - b / a for a, b in zip(standardised, first, strict=True)],
                "+.2f",
                "times",
            ),
        ]

    def _best(self, results: Results, variant: str) -> list[tuple[int, float, str]]:
        """For each seed steps, lowest error and rate, at the rate with the fewest steps.

        Where all miss the goal the lowest error decides.
        """
        goal, last = results.settings["goal"], results.settings["steps"]
        best = []
        for values in results.of(variant):
            rows = []
            for rate, curve in values["curves"].items():
                steps = steps_to(values["step"], curve, goal, falling=True)
                rows.append((last if steps is None else steps, min(curve), rate))
            best.append(min(rows))
        return best

    def draw(self, figure: Figure, results: Results) -> None:
        """The error against steps, each at its best rate."""
        axes = figure.subplots()
        axes.set_yscale("log")
        for variant, color in zip(results.cells, COLORS, strict=False):
            values = results.of(variant)
            best = self._best(results, variant)
            curves = [v["curves"][b[2]] for v, b in zip(values, best, strict=True)]
            band(axes, values[0]["step"], curves, variant, color)
        goal = results.settings["goal"]
        axes.axhline(goal, color="#888888", linestyle=":", label=f"goal: {goal}")
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
