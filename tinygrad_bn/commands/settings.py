"""What `train` can be told, and what it does when it is told nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

ACTIVATIONS = {
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
    "relu": "ReLU",
    "leaky_relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
}
"""The activations by their names on the command line, and the layers of `nn` that they are."""


@dataclasses.dataclass(frozen=True)
class Settings:
    """One comparison of the two networks; everything that its numbers depend on.

    The defaults are the experiment of the paper: three hidden layers of 100 sigmoids, batches of
    60. `data` and `backend` are None for the shipped digits and the default backend.
    """

    data: str | None = None
    steps: int = 5_000
    lr: float = 0.1
    momentum: float = 0.0
    hidden: tuple[int, ...] = (100, 100, 100)
    batch_size: int = 60
    activation: str = "sigmoid"
    seed: int = 0
    backend: str | None = None
    eval_every: int = 100

    @classmethod
    def load(cls, stored: Mapping[str, Any]) -> Settings:
        """The settings that a checkpoint holds; ValueError for an activation that is not known."""
        if stored["activation"] not in ACTIVATIONS:
            raise ValueError(f"unknown activation {stored['activation']!r}")
        return cls(**{**stored, "hidden": tuple(stored["hidden"])})

    def as_dict(self) -> dict[str, Any]:
        """Plain values by name."""
        return dataclasses.asdict(self)


FROM_CHECKPOINT = ("lr", "momentum", "hidden", "batch_size", "activation", "seed", "eval_every")
"""What a resumed run takes from its checkpoint and cannot change."""
