"""Does it smooth the landscape? Loss range, gradient predictiveness, smoothness; and noise."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import cross_entropy, nn, no_grad, random
from ...diagnostics import (
    ActivationNoise,
    Recorder,
    along_gradient,
    channel_moments,
    kept,
    layers,
)
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, band, few_ticks, finish
from ..networks import perceptron
from ..statistics import Claim, Number
from ..training import Training, evaluate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell

_MEASURES = {
    "loss_range": "range of the loss",
    "predictiveness": "change of the gradient",
    "smoothness": "effective smoothness β",
}


class Smooth(Experiment):
    """The landscape along the gradient, with and without batch norm, and noise after batch norm."""

    name = "smooth"
    title = "Is it the smoothness, not the shift?"
    question = (
        "How do loss and gradient change along the gradient's direction, and does batch norm still "
        "help when noise makes its outputs shift on purpose?"
    )
    method = (
        "A network of {layers} layers of {width} rectified linear units is trained at a rate of "
        "{rate}: plain, with batch norm, and with batch norm followed by noise whose mean "
        "(up to ±{shift}) and scale (1 to {scale}) change at every step.",
        "Every {every} steps the loss and its gradient on a fixed batch of {probe} training images "
        "are measured at {ways} times the rate along the gradient: the loss's range, the "
        "gradient's largest change ‖∇L(θ - η·g) - g‖, and its largest quotient by η·‖g‖.",
        "Numbers are geometric means over the training; a network's shift is how far the means of "
        "its last layer's inputs move from one measurement to the next, in deviations.",
    )
    source = "Santurkar et al., 2018, sections 2.2 and 3.1 and figures 2 and 4"
    says = (
        "With batch norm the loss varies less along the gradient, the gradient changes less, and "
        "its Lipschitz constant is smaller; with noise that shifts the activations more than a "
        "plain network's, batch norm still trains faster than the plain network."
    )
    height = 5.5
    full: ClassVar[Settings] = {
        "steps": 1_500,
        "every": 50,
        "rate": 0.1,
        "batch_size": 60,
        "layers": 5,
        "width": 50,
        "ways": [0.5, 1, 2, 4],
        "probe": 500,
        "shift": 0.5,
        "scale": 1.25,
        "test_images": 2_000,
    }
    quick: ClassVar[Settings] = {"steps": 250, "every": 25, "probe": 200, "test_images": 1_000}

    def variants(self, settings: Settings) -> list[str]:
        """Without, with, with noise."""
        return ["plain", "batch norm", "noisy batch norm"]

    def measure(self, cell: Cell) -> Values:
        """The landscape over the steps, and the accuracy."""
        random.manual_seed(cell.seed)
        network = perceptron(
            cell.digits.features,
            [cell["width"]] * cell["layers"],
            10,
            activation="relu",
            norm=None if cell.variant == "plain" else nn.BatchNorm,
            std=None,
        )
        (probe,) = cell.digits.batches("train", cell["probe"], cell["probe"])
        test = cell.digits.evaluation("test", cell["test_images"])
        noisy = cell.variant == "noisy batch norm"

        def look() -> dict[str, Any]:
            means, deviations = _moments(network, probe[0])
            seen = {
                "accuracy": evaluate(network, test)["accuracy"],
                "means": means,
                "deviations": deviations,
            }
            return seen if noisy else {**seen, **_landscape(cell, network, probe)}

        training = Training(
            cell, network, cell.digits.train, rate=cell["rate"], batch_size=cell["batch_size"]
        )
        with ExitStack() as hooks:
            if noisy:
                names = layers(network, nn.BatchNorm)
                noise = ActivationNoise(network, names, shift=cell["shift"], scale=cell["scale"])
                hooks.enter_context(noise)
            records = training.run(cell["steps"], range(0, cell["steps"] + 1, cell["every"]), look)
        values = {key: [r[key] for r in records] for key in records[0]}
        means, deviations = (np.array(values.pop(key)) for key in ("means", "deviations"))
        moved = np.abs(np.diff(means, axis=0)) / deviations[:-1]
        return {**values, "shift": float(moved.mean())}

    def numbers(self, results: Results) -> list[Number]:
        """Means over the training, and accuracies at the end."""
        found = [
            Number(f"{label}, {variant}", _means(results, variant, key), form)
            for (key, label), form in zip(_MEASURES.items(), (".3f", ".2f", ".2f"), strict=True)
            for variant in ("plain", "batch norm")
        ]
        for variant in results.cells:
            curves = results.each(variant, "accuracy")
            found += [
                Number(f"final accuracy, {variant}", [a[-1] for a in curves], ".1%"),
                Number(f"accuracy, mean over the training, {variant}", _even(curves), ".1%"),
                Number(f"shift, {variant}", results.each(variant, "shift"), ".2f"),
            ]
        return found

    def claims(self, results: Results) -> list[Claim]:
        """Smoother in three ways; and with noise that shifts more, still faster than plain."""
        found = []
        for key, label in _MEASURES.items():
            sides = (_means(results, variant, key) for variant in ("plain", "batch norm"))
            margins = [float(np.log(a / b)) for a, b in zip(*sides, strict=True)]
            text = f"With batch norm the {label} is smaller."
            found.append(Claim(text, margins, "+.2f", "(log of ratio)"))
        curves = results.pairs("noisy batch norm", "plain", "accuracy")
        return [
            *found,
            Claim(
                "The noise makes the activations shift more than the plain network's.",
                [a - b for a, b in results.pairs("noisy batch norm", "plain", "shift")],
                "+.2f",
                "deviations",
            ),
            Claim(
                "Batch norm with noise still trains faster than the plain network (mean accuracy).",
                [a - b for a, b in map(_even, curves)],
                "+.1%",
                "accuracy",
            ),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """The three measures, and accuracy, against steps."""
        grid = figure.subplots(2, 2, sharex=True).flat
        for axes, key in zip(grid, [*_MEASURES, "accuracy"], strict=True):
            if key != "accuracy":
                axes.set_yscale("log")
            for variant, color in zip(results.cells, COLORS, strict=False):
                values = results.of(variant)
                if key in values[0]:
                    band(axes, values[0]["step"], [v[key] for v in values], variant, color)
            if key != "accuracy":
                few_ticks(axes)
            last = key == "accuracy"
            bottom = "training steps" if last or key == "smoothness" else ""
            finish(axes, bottom, _MEASURES.get(key, "test accuracy"), legend=last)


def _moments(network: nn.Sequential, images: Any) -> tuple[list[float], list[float]]:
    """Means and deviations of what enters the last activation in training, noise and all."""
    last = layers(network, nn.ReLU)[-1]
    with kept(network), no_grad(), Recorder(network, [last]) as seen:
        network(images)
    means, deviations = channel_moments(seen[last].input)
    return means.tolist(), (deviations + 1e-6).tolist()


def _landscape(cell: Cell, network: nn.Sequential, probe: Any) -> dict[str, float]:
    images, labels = probe
    found = along_gradient(
        network,
        lambda: cross_entropy(network(images), labels),
        [way * cell["rate"] for way in cell["ways"]],
    )
    return {key: getattr(found, key) for key in _MEASURES}


def _means(results: Results, variant: str, key: str) -> list[float]:
    """Geometric means: the measures fall by powers of ten while a network learns."""
    return [float(np.exp(np.mean(np.log(curve)))) for curve in results.each(variant, key)]


def _even(curves: Iterable[list[float]]) -> list[float]:
    return [float(np.mean(curve)) for curve in curves]
