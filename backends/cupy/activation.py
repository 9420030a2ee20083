"""Activation, cross-entropy and dropout in fused kernels; the rest goes to the reference."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_activation import ActivationReference

from .elementwise_planning import (
    MOST_CLASSES,
    Flat,
    plan_entropy_rows,
    plan_epilogue,
    plan_flat,
    plan_mask,
    plan_total,
)
from .launch import Launch, contiguous
from .planning import C_TYPES, NAMES, VECTOR_BYTES, DeviceLimits

ENTROPY, ELEMENTWISE = "cross_entropy", "elementwise"


def flat_launch(source: str, kernel: str, flat: Flat) -> Launch:
    """The launch of a flat plan."""
    return Launch(source, kernel + flat.instance, flat.grid, flat.block, flat.shared)


def run_epilogue(B: Any, x: Any, bias: Any, out: Any, relu: bool) -> bool:
    """out = x + bias, then relu, by one kernel; False where the kernel does not serve.

    x and out are contiguous, of one shape and floating dtype, out may be x.
    """
    columns = x.shape[-1] if x.ndim and bias is not None else x.size
    arrays = [a for a in (x, bias, out) if a is not None]
    aligned = all(B.address(a) % VECTOR_BYTES == 0 for a in arrays)
    name = NAMES[x.dtype.char]
    if x.size == 0 or x.size > np.iinfo(np.int32).max:
        return False
    flat = plan_epilogue(name, x.size, columns, aligned, B.limits)
    if flat is None:
        return False
    sizes = np.int64(x.size), np.int32(columns), np.int32(relu)
    B.launch(flat_launch(ELEMENTWISE, "epilogue", flat), x, bias, out, *sizes)
    return True


class CuPyActivation(ActivationReference):
    """Overrides of the reference, by the same names."""

    launch: Any
    address: Any
    empty: Any
    limits: DeviceLimits

    def relu(self, x: Any) -> Any:
        """One kernel for arrays that are contiguous."""
        if x.dtype.char not in NAMES or not x.flags.c_contiguous:
            return super().relu(x)
        out = self.empty(x.shape, dtype=x.dtype)
        return out if run_epilogue(self, x, None, out, True) else super().relu(x)

    def class_cross_entropy(self, x: Any, target: Any, *, reduction: str) -> tuple[Any, Any]:
        """Losses and slope in one kernel that reads the logits twice; their sum in another."""
        if x.dtype.char not in NAMES or x.size == 0 or target.dtype.char not in "lq":
            return super().class_cross_entropy(x, target, reduction=reduction)
        x, target = contiguous(self.xp, x), contiguous(self.xp, target)
        samples, classes = (x.shape[0], x.shape[1]) if x.ndim > 1 else (1, x.shape[0])
        slope, whole = self.empty(x.shape, dtype=x.dtype), reduction != "none"
        wide = np.dtype("f8" if x.dtype.char == "d" else "f4")
        losses = self.empty(target.shape, dtype=wide if whole else x.dtype)
        sums = (None, losses) if whole else (losses, None)
        divisor = target.size if reduction == "mean" else 1
        if not self._entropy(x, target, slope, sums, samples, classes, divisor):
            return super().class_cross_entropy(x, target, reduction=reduction)
        return self._total_loss(losses, x.dtype, divisor) if whole else losses, slope

    def _entropy(
        self,
        x: Any,
        target: Any,
        slope: Any,
        losses: tuple[Any, Any],
        samples: int,
        classes: int,
        divisor: int,
    ) -> bool:
        """Launch the kernel that serves; False where none does."""
        arrays = x, target, slope, *losses
        inner = math.prod(x.shape[2:])
        if inner == 1:
            aligned = all(self.address(a) % VECTOR_BYTES == 0 for a in (x, slope))
            flat = plan_entropy_rows(NAMES[x.dtype.char], samples, classes, aligned, self.limits)
            kernel = "entropy_rows"
        else:
            flat = plan_flat(samples * inner, f"<{C_TYPES[NAMES[x.dtype.char]]}>", self.limits)
            kernel = "entropy_columns"
        if flat is None or classes > MOST_CLASSES:
            return False
        last = np.int32(flat.together) if inner == 1 else np.int64(inner)
        sizes = np.int64(samples), np.int32(classes), last
        self.launch(flat_launch(ENTROPY, kernel, flat), *arrays, *sizes, np.float64(divisor))
        return True

    def _total_loss(self, losses: Any, dtype: Any, divisor: int) -> Any:
        """Σ losses/divisor."""
        out = self.empty((), dtype=dtype)
        flat = plan_total(NAMES[dtype.char], losses.size, self.limits)
        sizes = np.int64(losses.size), np.float64(divisor)
        self.launch(flat_launch(ENTROPY, "total_loss", flat), losses, out, *sizes)
        return out

    def dropout_mask(self, generator: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
        """One kernel, whose numbers depend on the generator's next key and their place alone."""
        mask = self.empty(shape, dtype=dtype)
        flat = plan_mask(NAMES[mask.dtype.char], mask.size, self.limits)
        if mask.size == 0 or flat is None:
            return super().dropout_mask(generator, shape, p, dtype)
        numbers = np.int64(mask.size), np.uint64(generator.key()), np.float64(p)
        self.launch(flat_launch(ELEMENTWISE, "dropout_mask", flat), mask, *numbers)
        return mask
