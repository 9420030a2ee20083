"""Layers that only change the shape."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..refusal import check_integer
from .module import Module


class Flatten(Module):
    """Axes start_dim to end_dim, both included, in one; by default all but the first.

    Raises ValueError in forward when there are no such axes.
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Any) -> Any:
        """x, reshaped."""
        shape = x.shape
        n = len(shape)
        start, end = (d + n if d < 0 else d for d in (self.start_dim, self.end_dim))
        if not 0 <= start <= end < n:
            raise ValueError(
                f"Flatten: start_dim={self.start_dim} and end_dim={self.end_dim} must name axes "
                f"in order, got shape {shape}"
            )
        merged = math.prod(shape[start : end + 1])
        return ops.reshape(x, (*shape[:start], merged, *shape[end + 1 :]))

    def extra_repr(self) -> str:
        """The axes."""
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Axis `dim` as several of the lengths `unflattened_size`, one of which may be -1.

    Raises ValueError in forward when the lengths do not multiply to the axis's own.
    """

    def __init__(self, dim: int, unflattened_size: tuple[int, ...]) -> None:
        super().__init__()
        self.dim = check_integer("Unflatten", "dim", dim)
        if not isinstance(unflattened_size, tuple | list):
            raise TypeError(
                f"Unflatten: unflattened_size must be a tuple of ints, got {unflattened_size!r}"
            )
        self.unflattened_size = tuple(
            [check_integer("Unflatten", "unflattened_size", n) for n in unflattened_size]
        )

    def forward(self, x: Any) -> Any:
        """x, reshaped."""
        shape = x.shape
        dim = self.dim + len(shape) if self.dim < 0 else self.dim
        if not 0 <= dim < len(shape):
            raise ValueError(f"Unflatten: dim={self.dim} must name an axis, got shape {shape}")
        known = math.prod(n for n in self.unflattened_size if n != -1)
        sizes = tuple(shape[dim] // max(known, 1) if n == -1 else n for n in self.unflattened_size)
        if math.prod(sizes) != shape[dim] or self.unflattened_size.count(-1) > 1:
            raise ValueError(
                f"Unflatten: {self.unflattened_size} must multiply to the length {shape[dim]} of "
                f"axis {self.dim}, got shape {shape}"
            )
        return ops.reshape(x, (*shape[:dim], *sizes, *shape[dim + 1 :]))

    def extra_repr(self) -> str:
        """The axis and its new lengths."""
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
