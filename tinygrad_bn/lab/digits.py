"""The digits as the lab uses them: flat, binary images, on the default backend."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..commands.comparison import BinaryImages
from ..data import DataLoader, Subset, mnist
from ..tensor import Tensor

Batches = list[tuple[Tensor, ...]]
_EVALUATION_BATCH = 1000


class Digits:
    """Training and test images, read when first asked for.

    Args:
        root: the folder of the full set; None for the one that TINYGRAD_BN_DATA names, or the
            shipped subset where it names none.

    Raises OSError and ValueError as `data.mnist` does, when first asked for or by `load`.
    """

    features = 784
    classes = 10

    def __init__(self, root: str | None = None, *, subset: bool = False) -> None:
        self.root = root
        self._subset = True if subset else None
        self._cached: dict[tuple[str, int], Batches] = {}

    @cached_property
    def _sets(self) -> tuple[BinaryImages, BinaryImages]:
        train, test = mnist(self.root, subset=self._subset)
        return BinaryImages(train), BinaryImages(test)

    def load(self) -> None:
        """Read the images now."""
        self._sets  # noqa: B018  (reads them)

    @property
    def train(self) -> BinaryImages:
        """All training images."""
        return self._sets[0]

    def some(self, count: int) -> Subset:
        """`count` training images, the same ones each time; of the shipped subset at most all."""
        order = np.random.default_rng(0).permutation(len(self.train))
        return Subset(self.train, order[:count])

    def batches(self, which: str, count: int, size: int = _EVALUATION_BATCH) -> Batches:
        """The first `count` images of `some` ("train") or of the test set, in batches."""
        if which == "test":
            images = Subset(self._sets[1], np.arange(min(count, len(self._sets[1]))))
        else:
            images = self.some(count)
        return list(DataLoader(images, size))

    def evaluation(self, which: str, count: int) -> Batches:
        """`batches`, kept for the next time."""
        key = which, count
        if key not in self._cached:
            self._cached[key] = self.batches(which, count)
        return self._cached[key]
