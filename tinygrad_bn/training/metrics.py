"""Numbers that say how good predictions are."""

from __future__ import annotations

from typing import Any

from ..tensor import Tensor


def accuracy(output: Tensor, target: Tensor) -> float:
    """The fraction of samples whose greatest output is the one that `target` names.

    Shapes: output (N, C), target (N,) integers. NaN for no samples.
    Raises ValueError for other shapes.
    """
    if output.ndim != 2 or target.shape != output.shape[:1]:
        raise ValueError(
            "accuracy: output must be (N, C) and target (N,), "
            f"got {output.shape} and {target.shape}"
        )
    if output.shape[0] == 0:
        return float("nan")
    B: Any = output._backend
    hits = B.argmax(output._data, axis=1) == B.astype(target._data, "int64")
    return int(B.to_numpy(B.sum(B.astype(hits, "int64")))) / output.shape[0]
