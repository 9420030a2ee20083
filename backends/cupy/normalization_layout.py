"""How an array of any shape and memory order looks to the normalization kernels.

They know one form, (outer, rows, channels, length) in C order, where statistics are kept along
outer and channels and combine rows and length. Images (N, C, H, W) are (1, N, C, H·W), a matrix of
samples and the images of channels-last memory are (1, N·H·W, C, 1), ghost batches and instance
norm have an outer axis.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from tinygrad_bn.backend.normalization_plan import NormalizationPlan


@dataclass(frozen=True, slots=True)
class Layout:
    """The form of an array, and the way there.

    Attributes:
        outer, rows, channels, length: see the module's text.
        order: the axes of the array in memory order: permuted so it is C-contiguous.
        groups: the axes, as numbers of the array's own, that make up each of the four.
    """

    outer: int
    rows: int
    channels: int
    length: int
    order: tuple[int, ...]
    groups: tuple[tuple[int, ...], ...]

    @property
    def statistics(self) -> int:
        """How many statistics are kept."""
        return self.outer * self.channels

    @property
    def by_rows(self) -> bool:
        """Whether neighbours in memory belong to neighbouring channels."""
        return self.length == 1 and self.channels > 1

    @property
    def in_order(self) -> bool:
        """Whether the memory order is that of the axes."""
        return self.order == tuple(range(len(self.order)))


def memory_order(shape: tuple[int, ...], strides: tuple[int, ...]) -> tuple[int, ...]:
    """The axes by falling stride; axes of length 1, whose stride says nothing, keep their places
    relative to the axes around them."""
    long = [a for a, n in enumerate(shape) if n != 1]
    ordered = iter(sorted(long, key=lambda a: -strides[a]))
    return tuple([next(ordered) if n != 1 else a for a, n in enumerate(shape)])


@functools.lru_cache(maxsize=4096)
def layout_of(
    shape: tuple[int, ...], order: tuple[int, ...], plan: NormalizationPlan
) -> Layout | None:
    """The layout of an array with this memory order; None if the kernels have no such form.

    Kept axes have to appear in memory in their own order: statistics are in that order.
    """
    kept = [a for a in order if a in plan.axis]
    if kept != sorted(kept):
        return None
    runs: list[tuple[bool, list[int]]] = []
    for a in order:
        if shape[a] == 1:
            continue
        if runs and runs[-1][0] == (a in plan.axis):
            runs[-1][1].append(a)
        else:
            runs.append((a in plan.axis, [a]))
    groups = _placed(runs)
    if groups is None:
        return None
    outer, rows, channels, length = [math.prod([shape[a] for a in group]) for group in groups]
    axes = tuple([tuple(group) for group in groups])
    return Layout(outer, rows, channels, length, order, axes)


def _placed(runs: list[tuple[bool, list[int]]]) -> list[list[int]] | None:
    """Runs of kept and of averaged axes, in turn, as outer, rows, channels and length."""
    if len(runs) > 4 or (len(runs) == 4 and not runs[0][0]):
        return None
    axes = [group for _, group in runs]
    match [kept for kept, _ in runs]:
        case []:
            return [[], [], [], []]
        case [True]:
            return [[], [], axes[0], []]
        case [False]:
            return [[], [], [], axes[0]]
        case [True, False]:
            return [[], [], *axes]
        case [False, True]:
            return [[], *axes, []]
        case [True, False, True]:
            return [*axes, []]
        case [False, True, False]:
            return [[], *axes]
        case _:
            return axes
