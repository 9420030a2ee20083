"""γ = σ and β = μ undo the normalization: exactly, and can training find it?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ... import nn, no_grad, random
from ...diagnostics import Recorder, channel_moments, layers
from ..digits import Batches
from ..experiment import Experiment, Results, Settings, Values
from ..figures import COLORS, band, finish
from ..networks import perceptron
from ..statistics import Claim, Number
from ..training import Training, evaluate, milestones

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..cell import Cell


class Identity(Experiment):
    """A trained plain network gets batch norm layers whose γ and β are to undo them."""

    name = "identity"
    title = "Can γ and β undo it?"
    question = (
        "Do γ = σ and β = μ restore the original activations, and does gradient descent find them?"
    )
    method = (
        "A plain network of {layers} tanh layers of {width} units is trained for {pretrain} steps, "
        "its activations' μ and σ are measured on {probe} images, and a batch norm layer is put "
        "before every tanh: with γ = σ and β = μ the outputs on those images are compared.",
        "Then γ and β start from 1 and 0 and alone are trained, by gradient descent over {steps} "
        "batches of {batch_size}: once to reproduce the original inputs of every tanh (squared "
        "error), once on the digits themselves (cross-entropy).",
        "The distance is ‖(γ, β) - (σ, μ)‖, as a fraction of what it is at the start.",
    )
    source = "Ioffe and Szegedy, 2015, section 3"
    says = (
        "By setting γ = √Var[x] and β = E[x] the original activations could be recovered, if that "
        "were the optimal thing to do."
    )
    full: ClassVar[Settings] = {
        "pretrain": 1_000,
        "steps": 1_000,
        "every": 20,
        "rate": 0.1,
        "matching_rate": 1.0,
        "batch_size": 100,
        "layers": 3,
        "width": 50,
        "probe": 2_000,
        "test_images": 2_000,
    }
    quick: ClassVar[Settings] = {
        "pretrain": 200,
        "steps": 200,
        "every": 10,
        "probe": 1_000,
        "test_images": 1_000,
    }

    def variants(self, settings: Settings) -> list[str]:
        """What γ and β are trained on."""
        return ["activations", "digits"]

    def measure(self, cell: Cell) -> Values:
        """How exactly the inserted layers restore, and how training approaches (σ, μ)."""
        random.manual_seed(cell.seed)
        widths = [cell["width"]] * cell["layers"]
        plain = perceptron(cell.digits.features, widths, 10, activation="tanh")
        fit = {"rate": cell["rate"], "batch_size": cell["batch_size"]}
        with cell.part(0, 2):
            training = Training(cell, plain, cell.digits.train, **fit)
            training.run(cell["pretrain"], (), dict, keep=False)
        probe = cell.digits.batches("train", cell["probe"], cell["probe"])
        test = cell.digits.evaluation("test", cell["test_images"])
        normed, targets = _inserted(plain, probe)
        restored = _difference(plain, normed, probe)
        for norm, target in targets:
            _set(norm, np.stack([np.ones_like(target[0]), np.zeros_like(target[1])]))
        start = _distance(targets)
        network: nn.Module = normed
        options: dict[str, Any] = dict(fit)
        if cell.variant == "activations":
            network, options["loss"] = _Mismatch(plain, normed), _First()
            options["rate"] = cell["matching_rate"]
        with cell.part(1, 2):
            training = Training(cell, network, cell.digits.train, **options)
            at = milestones(cell["steps"], cell["every"], cell["steps"])
            records = training.run(
                cell["steps"], at, lambda: {"distance": _distance(targets) / start}, keep=False
            )
        nn.estimate_population(normed, probe, method="moments", layerwise=True)
        return {
            "step": [r["step"] for r in records],
            "distance": [r["distance"] for r in records],
            "restored": restored,
            "accuracy": evaluate(normed, test)["accuracy"],
            "original": evaluate(plain, test)["accuracy"],
        }

    def numbers(self, results: Results) -> list[Number]:
        """The difference at (σ, μ), the distances after training, the accuracies."""
        found = [
            Number(
                "largest difference of an activation at γ = σ, β = μ",
                results.each("activations", "restored"),
                ".1e",
            )
        ]
        for variant in results.cells:
            values = results.of(variant)
            fifth = len(values[0]["step"]) // 5
            early, step = [v["distance"][fifth] for v in values], values[0]["step"][fifth]
            found += [
                Number(
                    f"distance left after {step:,} steps, trained on the {variant}", early, ".1%"
                ),
                Number(f"distance left, trained on the {variant}", _left(results, variant), ".1%"),
            ]
        found.append(
            Number("accuracy, the original network", results.each("digits", "original"), ".1%")
        )
        return found + [
            Number(f"accuracy, γβ trained on the {v}", results.each(v, "accuracy"), ".1%")
            for v in results.cells
        ]

    def claims(self, results: Results) -> list[Claim]:
        """Restored, found, and no need to be found."""
        accuracies = zip(
            results.each("digits", "accuracy"), results.each("digits", "original"), strict=True
        )
        return [
            Claim(
                "γ = σ, β = μ restore the activations to float32 accuracy (1e-4).",
                [1e-4 - r for r in results.each("activations", "restored")],
                "+.1e",
                "below 1e-4",
            ),
            Claim(
                "Asked for the activations, training finds them (5 % of the distance is left).",
                [0.05 - d for d in _left(results, "activations")],
                "+.1%",
                "below 5 %",
            ),
            Claim(
                "Trained on the digits, γ and β alone give an accuracy within a percent of the "
                "original's, or higher.",
                [a - b + 0.01 for a, b in accuracies],
                "+.2%",
                "above that",
            ),
        ]

    def draw(self, figure: Figure, results: Results) -> None:
        """The distance to (σ, μ) against steps, logarithmic."""
        axes = figure.subplots()
        axes.set_yscale("log")
        for variant, color in zip(results.cells, COLORS, strict=False):
            values = results.of(variant)
            curves = [v["distance"] for v in values]
            band(axes, values[0]["step"], curves, f"trained on the {variant}", color)
        finish(axes, "training steps", "distance of (γ, β) to (σ, μ), start = 1")


def _left(results: Results, variant: str) -> list[float]:
    return [distance[-1] for distance in results.each(variant, "distance")]


class _Mismatch(nn.Module):
    """The mean squared difference of what two networks feed to their activations."""

    def __init__(self, plain: nn.Sequential, normed: nn.Sequential) -> None:
        super().__init__()
        self.normed = normed
        self._plain = [plain]  # in a list it is no part of what is trained

    def forward(self, x: Any) -> Any:
        """Each layer gets the original's input, so that each is a problem of its own."""
        total: Any = 0.0
        (plain,) = self._plain
        norms = [m for m in self.normed if isinstance(m, nn.BatchNorm)]
        hidden = x
        for layer in plain:
            if isinstance(layer, nn.Tanh):
                total = total + ((norms.pop(0)(hidden) - hidden) ** 2).mean()
            with no_grad():
                hidden = layer(hidden)
        return total


class _First(nn.Module):
    """The network's output is the loss already."""

    def forward(self, output: Any, target: Any) -> Any:
        """The output."""
        return output


def _inserted(
    plain: nn.Sequential, probe: Batches
) -> tuple[nn.Sequential, list[tuple[nn.BatchNorm, np.ndarray[Any, Any]]]]:
    """A network with the same linear layers, frozen, and batch norm with γ = σ and β = μ.

    Also gives each batch norm layer with its (σ, μ), (2, width).
    """
    names = layers(plain, nn.Tanh)
    with no_grad(), Recorder(plain, names) as seen:
        plain(probe[0][0])
    modules: list[nn.Module] = []
    targets = []
    for name, layer in plain.named_children():
        if name in names:
            mean, deviation = channel_moments(seen[name].input)
            norm = nn.BatchNorm(len(mean))
            target = np.stack([np.sqrt(deviation**2 + norm.eps), mean])
            _set(norm, target)
            modules.append(norm)
            targets.append((norm, target))
        modules.append(layer)
        layer.requires_grad_(False)
    return nn.Sequential(*modules), targets


def _set(norm: nn.BatchNorm, values: np.ndarray[Any, Any]) -> None:
    """Give a layer (γ, β), (2, width)."""
    assert norm.weight is not None
    assert norm.bias is not None
    norm.weight.assign(values[0].astype(np.float32))
    norm.bias.assign(values[1].astype(np.float32))


def _difference(plain: nn.Sequential, normed: nn.Sequential, probe: Batches) -> float:
    """The largest difference between what enters the tanh layers of both, on the probe."""
    inputs = []
    for network in (plain, normed):
        names = layers(network, nn.Tanh)
        with no_grad(), Recorder(network, names) as seen:
            network(probe[0][0])
        inputs.append([seen[name].input for name in names])
    return max(float(np.abs(a - b).max()) for a, b in zip(*inputs, strict=True))


def _distance(targets: list[tuple[nn.BatchNorm, np.ndarray[Any, Any]]]) -> float:
    squares = 0.0
    for norm, target in targets:
        assert norm.weight is not None
        assert norm.bias is not None
        now = np.stack([norm.weight.detach().numpy(), norm.bias.detach().numpy()])
        squares += float(((now - target) ** 2).sum())
    return squares**0.5
