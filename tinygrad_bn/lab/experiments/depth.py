"""How high a learning rate do deep networks bear? And what becomes of their activations?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ... import nn, no_grad, random
from ...diagnostics import Recorder, channel_moments, layers
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, finish, points
from ..networks import perceptron
from ..statistics import Claim, Number
from ..training import Training

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell

_NORMS = ("plain", "batch norm")


class Depth(Experiment):
    """The largest usable learning rate, and the moments of activations, by depth."""

    name = "depth"
    title = "How high a rate does depth allow?"
    question = (
        "What is the largest learning rate at which a network still learns, and how do the moments "
        "of its activations change from layer to layer, by depth?"
    )
    method = (
        "Networks of {depths} layers of {width} rectified linear units, with He's initial weights, "
        "are trained for {steps} steps at rates falling from {top} by factors of 2.",
        "A rate is usable when the loss over the last tenth of the steps is below {bar} of what "
        "guessing costs (ln 10), and the largest usable one counts.",
        "Before training, {probe} images pass through: for what each linear layer gives (batch "
        "norm comes after it), the size of the channels' means is divided by that of their "
        "deviations, both as root mean squares.",
    )
    source = "Bjorck et al., 2018, sections 3 and 3.1"
    says = (
        "Batch norm allows much larger learning rates; without it activations grow and drift away "
        "from zero mean with depth, and large rates make training diverge."
    )
    full: ClassVar[Settings] = {
        "depths": [2, 4, 8, 16],
        "width": 50,
        "steps": 150,
        "top": 25.6,
        "fewest": 0.0125,
        "bar": 0.8,
        "batch_size": 60,
        "probe": 1_000,
    }
    quick: ClassVar[Settings] = {"depths": [2, 8], "steps": 60, "probe": 500}

    def variants(self, settings: Settings) -> list[str]:
        """Both networks at every depth."""
        return [f"{norm}, {depth} layers" for depth in settings["depths"] for norm in _NORMS]

    def measure(self, cell: Cell) -> Values:
        """The largest usable rate, and the ratio of means to deviations of every layer."""
        moments = _moments(cell, _network(cell))
        rates = _falling(cell["top"], cell["fewest"])
        usable = 0.0
        for number, rate in enumerate(rates):
            with cell.part(number, len(rates)):
                if _usable(cell, rate):
                    usable = rate
                    break
        return {"rate": usable, "ratio": moments}

    def numbers(self, results: Results) -> list[Number]:
        """Largest rates, and the moments of the last layer."""
        deepest = results.settings["depths"][-1]
        found = [
            Number(f"largest rate, {variant}", results.each(variant, "rate"), ".2f")
            for variant in results.cells
        ]
        return found + [
            Number(
                f"mean over deviation in the last layer, {norm}, {deepest} layers",
                [ratio[-1] for ratio in results.each(f"{norm}, {deepest} layers", "ratio")],
                ".2f",
            )
            for norm in _NORMS
        ]

    def claims(self, results: Results) -> list[Claim]:
        """Higher rates at every depth, the more so the deeper; means that stay small."""
        depths = results.settings["depths"]
        gains = {depth: _doublings(results, depth) for depth in depths}
        shallow, deepest = depths[0], depths[-1]
        found = [
            Claim(f"{depth} layers bear a higher rate with batch norm.", gain, "+.1f", "doublings")
            for depth, gain in gains.items()
        ]
        more = [a - b for a, b in zip(gains[deepest], gains[shallow], strict=True)]
        names = [f"{norm}, {deepest} layers" for norm in _NORMS]
        return [
            *found,
            Claim(
                f"The gain is larger with {deepest} layers than with {shallow}.",
                more,
                "+.1f",
                "doublings",
            ),
            Claim(
                f"In the last of {deepest} layers means are larger, against the deviations, "
                "without batch norm.",
                [a[-1] - b[-1] for a, b in results.pairs(names[0], names[1], "ratio")],
                "+.2f",
            ),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """Left: the largest rate by depth. Right: means over deviations, layer by layer."""
        left, right = figure.subplots(1, 2)
        depths = results.settings["depths"]
        for norm, color in zip(_NORMS, COLORS, strict=False):
            rates = [results.each(f"{norm}, {depth} layers", "rate") for depth in depths]
            points(left, depths, rates, norm, color)
            ratio = results.each(f"{norm}, {depths[-1]} layers", "ratio")
            rows = [list(row) for row in zip(*ratio, strict=True)]
            points(right, range(1, depths[-1] + 1), rows, norm, color)
        left.set_yscale("log", base=2)
        left.set_xscale("log", base=2)
        left.set_xticks(depths, [str(d) for d in depths])
        left.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        right.set_ylim(bottom=0)
        right.xaxis.get_major_locator().set_params(integer=True)
        finish(left, "hidden layers", "largest usable learning rate", legend=False)
        finish(right, f"layer, of {depths[-1]}", "size of means / of deviations")


def _doublings(results: Results, depth: int) -> list[float]:
    """log₂ of the ratio of the largest rates; half of the least where no rate was usable."""
    floor = results.settings["fewest"] / 2
    plain, ours = (f"{norm}, {depth} layers" for norm in _NORMS)
    pairs = results.pairs(plain, ours, "rate")
    return [math.log2(max(b, floor) / max(a, floor)) for a, b in pairs]


def _falling(top: float, least: float) -> list[float]:
    count = round(math.log2(top / least)) + 1
    return [top / 2**i for i in range(count)]


def _network(cell: Cell) -> nn.Sequential:
    random.manual_seed(cell.seed)
    norm, _, rest = cell.variant.partition(", ")
    return perceptron(
        cell.digits.features,
        [cell["width"]] * int(rest.split()[0]),
        10,
        activation="relu",
        norm=None if norm == "plain" else nn.BatchNorm,
        std=None,
    )


def _usable(cell: Cell, rate: float) -> bool:
    """Whether training at this rate gets the loss below the bar."""
    training = Training(
        cell, _network(cell), cell.digits.train, rate=rate, batch_size=cell["batch_size"]
    )
    training.run(cell["steps"], (), dict, keep=False)
    if training.diverged is not None:
        return False
    last = training.trainer.history["loss"][-max(cell["steps"] // 10, 1) :]
    return float(np.mean(last)) < cell["bar"] * math.log(10)


def _moments(cell: Cell, network: nn.Sequential) -> list[float]:
    """For what each hidden linear layer gives: rms of channel means over rms of deviations."""
    (probe,) = cell.digits.batches("train", cell["probe"], cell["probe"])
    names = layers(network, nn.Linear)[:-1]
    with no_grad(), Recorder(network, names) as seen:
        network(probe[0])
    ratios = []
    for name in names:
        means, deviations = channel_moments(seen[name].output)
        ratios.append(float(np.sqrt((means**2).mean() / (deviations**2).mean())))
    return ratios
