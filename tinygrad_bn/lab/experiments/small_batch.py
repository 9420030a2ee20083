"""What if batches are small? Batch norm and its kin at batches of 2 to 256."""

from __future__ import annotations

from collections.abc import Callable
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


class SmallBatch(Experiment):
    """Test accuracy after the same number of samples, by batch size and kind of norm."""

    name = "small-batch"
    title = "What if batches are small?"
    question = (
        "Which normalization keeps its accuracy when batches shrink to 2: batch norm, ghost batch "
        "norm, batch renormalization, group norm or layer norm?"
    )
    method = (
        "A network of {layers} layers of {width} rectified linear units sees {samples} samples in "
        "batches of {batch_sizes}, at a rate of {rate} times batch size / 64, "
        "with each kind of normalization before its activations.",
        "Ghost batch norm has groups of {ghost} samples, so it is batch norm where batches are no "
        "larger; renormalization has r_max 3 and d_max 5 after a warm-up of a fifth of the steps; "
        "group norm has groups of 10 channels.",
        "Measured is the accuracy on the test images at the end, in evaluation mode.",
    )
    source = "Wu and He, 2018; Ioffe, 2017; Hoffer et al., 2017"
    says = (
        "Batch norm's error rises quickly as batches shrink; group norm's does not depend on the "
        "batch, and renormalization loses much less than batch norm."
    )
    full: ClassVar[Settings] = {
        "samples": 8_000,
        "batch_sizes": [2, 4, 8, 16, 64, 256],
        "rate": 0.1,
        "ghost": 16,
        "layers": 3,
        "width": 50,
        "test_images": 5_000,
    }
    quick: ClassVar[Settings] = {
        "samples": 2_000,
        "batch_sizes": [2, 16, 256],
        "test_images": 1_000,
    }

    def variants(self, settings: Settings) -> list[str]:
        """Every kind at every batch size; ghost batch norm where it is not batch norm."""
        return [
            f"{kind}, batch {size}"
            for kind in _KINDS
            for size in settings["batch_sizes"]
            if kind not in _GHOST or size > settings["ghost"]
        ]

    def measure(self, cell: Cell) -> Values:
        """The accuracy and the loss at the end."""
        random.manual_seed(cell.seed)
        kind, _, size = cell.variant.partition(", batch ")
        batch_size = int(size)
        steps = cell["samples"] // batch_size
        network = perceptron(
            cell.digits.features,
            [cell["width"]] * cell["layers"],
            10,
            activation="relu",
            norm=_KINDS[kind](cell, steps),
            std=None,
        )
        rate = cell["rate"] * batch_size / 64
        training = Training(cell, network, cell.digits.train, rate=rate, batch_size=batch_size)
        training.run(steps, (), dict)
        return evaluate(network, cell.digits.evaluation("test", cell["test_images"]))

    def numbers(self, results: Results) -> list[Number]:
        """Accuracies."""
        return [Number(f"accuracy, {v}", results.each(v, "accuracy"), ".1%") for v in results.cells]

    def claims(self, results: Results) -> list[Claim]:
        """What each kind loses at the smallest batch, and ghosts at the largest."""
        sizes = results.settings["batch_sizes"]
        least, most = sizes[0], sizes[-1]
        usual = next(size for size in sizes if size >= 16)
        lost = {kind: _lost(results, kind, usual, least) for kind in _KINDS if kind not in _GHOST}
        text = f"Batch norm loses accuracy from batch {usual} to {least}."
        found = [Claim(text, lost["batch norm"], "+.1%", "accuracy")]
        for kind in ("group norm", "layer norm", "batch renorm"):
            margins = [a - b for a, b in zip(lost["batch norm"], lost[kind], strict=True)]
            text = f"{kind.capitalize()} loses less."
            found.append(Claim(text, margins, "+.1%", "accuracy"))
        names = [f"{kind}, batch {most}" for kind in ("ghost batch norm", "batch norm")]
        margins = [a - b for a, b in results.pairs(names[0], names[1], "accuracy")]
        text = f"At batch {most} ghost batch norm generalises better than batch norm."
        return [*found, Claim(text, margins, "+.2%", "accuracy")]

    def draw(self, figure: Figure, results: Results) -> None:
        """Accuracy against batch size for every kind."""
        axes = figure.subplots()
        for kind, color in zip(_KINDS, COLORS, strict=False):
            sizes = [
                s for s in results.settings["batch_sizes"] if f"{kind}, batch {s}" in results.cells
            ]
            values = [results.each(f"{kind}, batch {s}", "accuracy") for s in sizes]
            points(axes, sizes, values, kind, color)
        axes.set_xscale("log", base=2)
        sizes = results.settings["batch_sizes"]
        axes.set_xticks(sizes, [str(s) for s in sizes])
        finish(axes, "samples in a batch", "test accuracy")


def _lost(results: Results, kind: str, usual: int, least: int) -> list[float]:
    """Accuracy at the usual batch size less that at the least."""
    names = [f"{kind}, batch {size}" for size in (usual, least)]
    return [a - b for a, b in results.pairs(names[0], names[1], "accuracy")]


_GHOST = ("ghost batch norm",)

_KINDS: dict[str, Callable[[Cell, int], Callable[[int], nn.Module]]] = {
    "batch norm": lambda cell, steps: nn.BatchNorm,
    "ghost batch norm": lambda cell, steps: (
        lambda width: nn.BatchNorm(width, ghost_size=cell["ghost"])
    ),
    "batch renorm": lambda cell, steps: (
        lambda width: nn.BatchRenorm(
            width,
            r_max=nn.renorm_schedule(0, max(steps // 5, 1), 1, 3),
            d_max=nn.renorm_schedule(0, max(steps // 5, 1), 0, 5),
        )
    ),
    "group norm": lambda cell, steps: lambda width: nn.GroupNorm(width // 10, width),
    "layer norm": lambda cell, steps: nn.LayerNorm,
}
"""From the name to what makes the layer of a width, for a training of so many steps."""
