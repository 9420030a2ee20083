"""Every instance of every kernel that planning can ask for, so that all can be compiled ahead."""

from __future__ import annotations

from collections.abc import Callable

from .elementwise_planning import elementwise_instances, entropy_instances, optimizer_instances
from .normalization_planning import backward_instances, forward_instances, second_instances

SOURCES: dict[str, Callable[[int], list[str]]] = {
    "batch_norm_forward": forward_instances,
    "batch_norm_backward": backward_instances,
    "batch_norm_second": second_instances,
    "cross_entropy": entropy_instances,
    "elementwise": elementwise_instances,
    "optimizers": optimizer_instances,
}
"""Sources by name, with the instances on a device with clusters up to a size."""


def instances(source: str, cluster: int) -> list[str]:
    """The instances of a source on a device whose clusters have up to `cluster` blocks."""
    return SOURCES[source](cluster)
