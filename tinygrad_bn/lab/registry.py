"""The experiments by name, in the order in which a reader meets them."""

from __future__ import annotations

import difflib
from functools import cache
from importlib import import_module

from .experiment import Experiment

NAMES = {
    "faster": "Faster",
    "shift": "Shift",
    "rates": "Rates",
    "inputs": "Inputs",
    "placement": "Placement",
    "identity": "Identity",
    "inference": "Inference",
    "regularise": "Regularise",
    "smooth": "Smooth",
    "depth": "Depth",
    "small-batch": "SmallBatch",
}
"""Each experiment's class; it is in the file of its name."""


@cache
def get(name: str) -> Experiment:
    """The experiment of a name; ValueError, with the nearest match, where there is none."""
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f", did you mean {near[0]!r}?" if near else "."
        raise ValueError(f"unknown experiment {name!r}{hint} Known are: {', '.join(NAMES)}")
    module = import_module(f".experiments.{name.replace('-', '_')}", __package__)
    return getattr(module, NAMES[name])()
