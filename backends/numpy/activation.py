"""Activation functions and cross-entropy where NumPy has a shorter way than the standard."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_activation import ActivationReference

_WORDS = {n: np.dtype(f"int{8 * n}") for n in (2, 4, 8)}


class NumPyActivation(ActivationReference):
    """Overrides for the functions that every training step calls."""

    def masked(self, g: Any, mask: Any) -> Any:
        """g where the mask holds, else 0: bits of g and of a mask of all ones or all zeros.

        One pass fewer than `np.where`; a product would give NaN where g is NaN or infinite.
        """
        if g.dtype.kind != "f" or g.shape != mask.shape:
            return np.where(mask, g, np.zeros((), dtype=g.dtype))
        word = _WORDS[g.dtype.itemsize]
        bits = np.asarray(mask.astype(word))
        np.negative(bits, out=bits)
        return np.bitwise_and(bits, g.view(word), out=bits).view(g.dtype)

    def scaled(self, a: Any, factor: Any) -> Any:
        """Without the product where the factor is 1."""
        one = factor.ndim == 0 and factor.dtype == a.dtype and factor.item() == 1
        return a if one else a * factor

    def clip(self, x: Any, min: Any = None, max: Any = None) -> Any:
        """NumPy's own; it gives max where min > max."""
        return np.clip(x, min, max)

    def class_cross_entropy(self, x: Any, target: Any, *, reduction: str) -> tuple[Any, Any]:
        """As the reference, but the targets' logits are picked by their positions in memory."""
        if x.ndim == 1 or 0 in x.shape:
            return super().class_cross_entropy(x, target, reduction=reduction)
        with self.quiet():
            slope = np.subtract(x, np.maximum.reduce(x, axis=1, keepdims=True), order="C")
            positions = _positions(target, x.shape[1])
            flat = slope.reshape(-1)
            picked = flat[positions]
            np.exp(slope, out=slope)
            total = np.add.reduce(slope, axis=1, keepdims=True)
            slope /= total
            losses = np.log(total.reshape(target.shape))
            losses -= picked
        flat[positions] -= 1
        if reduction == "mean":
            slope /= target.size
        return self.reduced_loss(losses, reduction=reduction), slope

    def reduced_loss(self, losses: Any, *, reduction: str) -> Any:
        """The losses, their sum or mean, without the detours of `np.mean`."""
        if reduction != "mean" or losses.dtype == np.float16 or losses.size == 0:
            return super().reduced_loss(losses, reduction=reduction)
        return np.add.reduce(losses, axis=None) / losses.dtype.type(losses.size)

    def outside(self, target: Any, classes: int) -> bool:
        """Whether any element is not in [0, classes): negative numbers are huge when unsigned."""
        if target.dtype != np.int64 or target.size == 0:
            return super().outside(target, classes)
        return bool(np.maximum.reduce(target.view(np.uint64), axis=None) >= classes)


def _positions(target: Any, classes: int) -> Any:
    """Where the targets' logits lie in the memory of C-contiguous logits, in target's shape."""
    inner = target[0].size
    first = np.arange(0, target.size * classes, classes * inner)
    if inner == 1:
        return target + first.reshape((-1,) + (1,) * (target.ndim - 1))
    within = np.arange(inner).reshape(target.shape[1:])
    return target * inner + within + first.reshape((-1,) + (1,) * (target.ndim - 1))
