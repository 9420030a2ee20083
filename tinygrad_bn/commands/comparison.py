"""Two networks side by side: the same weights, the same batches, with and without batch norm."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_bn import nn, optim
from tinygrad_bn.backend import rng
from tinygrad_bn.data import DataLoader, ImageDataset
from tinygrad_bn.serialization import FilePath, save_checkpoint
from tinygrad_bn.training import Trainer, accuracy

from .settings import ACTIVATIONS, Settings

KIND = "comparison"
NETWORKS = {"plain": "plain", "batch_norm": "with batch norm"}
"""The two networks, and how they are called in print."""

_CLASSES = 10
_INK = 128  # pixels from here on are ink: the paper's images are binary
_EVALUATION_BATCH = 1000


class BinaryImages:
    """Digits as the paper had them: flat images of zeros and ones.

    Sample i is (image, label): float32 (pixels,) and int64.
    """

    vectorized = True

    def __init__(self, images: ImageDataset) -> None:
        self._pixels = images.pixels.reshape(len(images), -1)
        self._labels = images.labels

    @property
    def features(self) -> int:
        """The number of pixels."""
        return self._pixels.shape[1]

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, where: Any, /) -> tuple[NDArray[np.float32], Any]:
        return (self._pixels[where] >= _INK).astype(np.float32), self._labels[where]


def build_network(settings: Settings, features: int, *, normalized: bool) -> nn.Sequential:
    """The network of the paper: N(0, 0.1²) weights, zero biases, drawn from the current stream.

    A layer before batch norm has no bias: the normalisation would take it away again.
    """
    activation = getattr(nn, ACTIVATIONS[settings.activation])
    layers: list[nn.Module] = []
    for width in settings.hidden:
        layers.append(nn.Linear(features, width, bias=not normalized))
        if normalized:
            layers.append(nn.BatchNorm(width))
        layers.append(activation())
        features = width
    return nn.Sequential(*layers, nn.Linear(features, _CLASSES))


def build_pair(settings: Settings, features: int) -> dict[str, nn.Sequential]:
    """Both networks, with the same weights."""
    pair = {
        name: build_network(settings, features, normalized=name != "plain") for name in NETWORKS
    }
    linear = [[m for m in net if isinstance(m, nn.Linear)] for net in pair.values()]
    for ours, twin in zip(*linear, strict=True):
        nn.init.normal_(ours.weight, 0.0, 0.1)
        twin.weight.assign(ours.weight)
        for layer in (ours, twin):
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return pair


class Comparison:
    """Trains the pair in step and keeps the two curves.

    Attributes:
        step: how many steps have been made.
        curve: {"steps": [...], network: {"accuracy": [...], "loss": [...]}} on the test images.
        seconds: the time that each network's training steps took.
    """

    def __init__(self, settings: Settings, train: ImageDataset, test: ImageDataset) -> None:
        self.settings = settings
        rng.manual_seed(settings.seed)
        images = BinaryImages(train)
        self.loader = DataLoader(
            images,
            settings.batch_size,
            shuffle=True,
            drop_last=True,
            seed=settings.seed,
            backend=settings.backend,
        )
        held_out = DataLoader(BinaryImages(test), _EVALUATION_BATCH, backend=settings.backend)
        self._test = list(held_out)
        self.trainers = {
            name: Trainer(
                network,
                optim.SGD(network.parameters(), lr=settings.lr, momentum=settings.momentum),
                nn.CrossEntropyLoss(),
                metrics={"accuracy": accuracy},
                progress=False,
            )
            for name, network in build_pair(settings, images.features).items()
        }
        self.seconds = dict.fromkeys(NETWORKS, 0.0)
        self.curve: dict[str, Any] = {
            "steps": [],
            **{name: {"accuracy": [], "loss": []} for name in NETWORKS},
        }

    @property
    def step(self) -> int:
        """How many steps have been made."""
        return self.trainers["plain"].step

    def diverged(self) -> dict[str, int]:
        """The step at which a network's loss became NaN or infinite, of those that did."""
        steps = {name: trainer.diverged for name, trainer in self.trainers.items()}
        return {name: step for name, step in steps.items() if step is not None}

    def run(self) -> Iterator[int]:
        """Train up to `settings.steps`; gives the step number after each step.

        After a step that an evaluation belongs to, the curve has a new point.
        """
        while self.step < self.settings.steps:
            for batch in self.loader:
                for name, trainer in self.trainers.items():
                    start = time.perf_counter()
                    trainer.train_step(batch)
                    self.seconds[name] += time.perf_counter() - start
                if self._evaluation_due():
                    self._evaluate()
                yield self.step
                if self.step >= self.settings.steps:
                    return

    def _evaluation_due(self) -> bool:
        step = self.step
        return (
            step % self.settings.eval_every == 0
            or step == self.settings.steps
            or is_milestone(step)
        )

    def _evaluate(self) -> None:
        self.curve["steps"].append(self.step)
        for name, trainer in self.trainers.items():
            for key, value in trainer.evaluate(self._test).items():
                self.curve[name][key].append(value)

    def save(self, path: FilePath) -> None:
        """Write all that is needed to go on exactly; atomic."""
        tree = {
            "kind": KIND,
            "settings": self.settings.as_dict(),
            "networks": {name: trainer.state_dict() for name, trainer in self.trainers.items()},
            "loader": self.loader.state_dict(),
            "random": rng.get_state(),
            "curve": self.curve,
            "seconds": self.seconds,
        }
        save_checkpoint(path, tree)

    def restore(self, tree: Mapping[str, Any]) -> None:
        """Take up what `save` wrote; ValueError for another network or other data."""
        for name, trainer in self.trainers.items():
            trainer.load_state_dict(tree["networks"][name])
        self.loader.load_state_dict(tree["loader"])
        rng.set_state(tree["random"])
        self.curve = tree["curve"]
        self.seconds = tree["seconds"]


def is_milestone(step: int) -> bool:
    """Whether the table has a line for it: 100, 500, 1,000, 5,000, 10,000, …"""
    while step >= 1000 and step % 10 == 0:
        step //= 10
    return step in (100, 500)
