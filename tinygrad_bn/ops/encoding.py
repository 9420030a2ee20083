"""Encoding class numbers."""

from __future__ import annotations

from typing import Any

from ..autograd import primitive
from ..refusal import check_integer

__all__ = ["one_hot"]


@primitive()
def one_hot(B: Any, x: Any, /, num_classes: int = -1) -> Any:
    """1 at the class number, 0 elsewhere, on a new last axis.

    Args:
        x: integers of any shape.
        num_classes: length of the new axis; -1: the greatest number in x, plus one.

    Returns:
        int64, shape x.shape + (num_classes,).

    Raises:
        ValueError: a number outside [0, num_classes), num_classes of 0 or below -1, an empty x
            without num_classes.
        TypeError: x that is not of integers.
    """
    dtype = B.dtype_of(x)
    if dtype.kind not in "iu":
        raise TypeError(f"one_hot: x must be class numbers in an integer dtype, got {dtype.name}")
    check_integer("one_hot", "num_classes", num_classes)
    empty = 0 in x.shape
    if num_classes == -1 and not empty:
        num_classes = max(int(B.max(x)) + 1, 1)
    if num_classes < 1:
        raise ValueError(
            f"one_hot: num_classes must be >= 1 (or -1 where x has elements), got {num_classes} "
            f"for x of shape {tuple(x.shape)}"
        )
    x = B.astype(x, "int64", copy=False)
    if B.outside(x, num_classes):
        low, high = int(B.min(x)), int(B.max(x))
        raise ValueError(
            f"one_hot: x must hold classes from 0 to {num_classes - 1}, "
            f"got {low if low < 0 else high}"
        )
    hot = B.expand_dims(x, axis=-1) == B.arange(num_classes, dtype="int64")
    return B.astype(hot, "int64")
