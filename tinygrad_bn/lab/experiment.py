"""What an experiment is: words, variants, a measurement, numbers and claims, a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from .statistics import Claim, Number

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from .cell import Cell

Settings = Mapping[str, Any]
Values = dict[str, Any]


class Results(NamedTuple):
    """The raw numbers of all cells of an experiment.

    Attributes:
        settings: those of the run.
        cells: what `measure` gave, by variant and seed.
        seeds: those that every variant has been measured with, ascending.
    """

    settings: Settings
    cells: Mapping[str, Mapping[int, Values]]
    seeds: Sequence[int]

    def of(self, variant: str) -> list[Values]:
        """The values of one variant, in the order of `seeds`."""
        return [self.cells[variant][seed] for seed in self.seeds]

    def each(self, variant: str, key: str) -> list[Any]:
        """One value of one variant, in the order of `seeds`."""
        return [values[key] for values in self.of(variant)]

    def pairs(self, a: str, b: str, key: str) -> list[tuple[Any, Any]]:
        """One value of two variants, seed by seed: same initial weights, same batches."""
        return list(zip(self.each(a, key), self.each(b, key), strict=True))


class Experiment:
    """One question. Subclasses give the words and the settings and define the methods.

    A cell is one variant with one seed: a pure function of settings, variant and seed, so that a
    cell that was interrupted can be taken up or begun again without a trace in the numbers.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    question: ClassVar[str]
    method: ClassVar[tuple[str, str, str]]
    source: ClassVar[str]
    says: ClassVar[str]
    full: ClassVar[Settings]
    quick: ClassVar[Settings]
    on_digits: ClassVar[bool] = True  # whether it trains on the images of the cell's `digits`
    height: ClassVar[float] = 3.7  # of the figure, in inches

    def settings(self, quick: bool) -> dict[str, Any]:
        """The settings of a full or of a quick run; a quick one differs where `quick` says so."""
        return {**self.full, **self.quick} if quick else dict(self.full)

    def describe(self, settings: Settings) -> str:
        """The method in three sentences, with the numbers of these settings."""
        return " ".join(sentence.format(**settings) for sentence in self.method)

    def data(self, settings: Settings) -> str:
        """What it trains on, in a few words; the settings are those of a run."""
        return f"{settings['train_images']:,} digits for training"

    def variants(self, settings: Settings) -> list[str]:
        """The names of what is compared."""
        raise NotImplementedError

    def measure(self, cell: Cell) -> Values:
        """Carry out one cell; returns values that JSON can hold."""
        raise NotImplementedError

    def numbers(self, results: Results) -> list[Number]:
        """The headline figures."""
        raise NotImplementedError

    def claims(self, results: Results) -> list[Claim]:
        """What the source claims, put to the test; the verdict follows from it."""
        raise NotImplementedError

    def draw(self, figure: Figure, results: Results) -> None:
        """Plot the numbers into an empty figure."""
        raise NotImplementedError
