"""Dropout's mask in one pass: the numbers of the host's random stream, worked out in a kernel."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_activation import ActivationReference

from . import memory
from .kernels import philox

LEAST = 1 << 13
"""Elements below which drawing the numbers one by one is as quick as taking the stream apart."""
WORK = 4
"""What a random number is worth in elements read and written."""


class NumbaDropout(ActivationReference):
    """An override of the reference; the same seed gives the same mask on both."""

    def dropout_mask(self, generator: Any, shape: tuple[int, ...], p: float, dtype: Any) -> Any:
        """0 with probability p, else 1/(1 - p), for the same numbers as the reference's."""
        size = math.prod(shape)
        if size < LEAST or np.dtype(dtype).char not in "fd":
            return super().dropout_mask(generator, shape, p, dtype)
        out = memory.empty((size,), np.dtype(dtype))
        keep = out.dtype.type(1) / out.dtype.type(1 - p)
        limit = math.ceil(float(np.float32(p)) * (1 << 24))  # the numbers are multiples of 2⁻²⁴
        head, counter, key, tail = generator.reserve(size)
        first, last = head.size, size - tail.size
        out[:first] = (head >= p) * keep
        out[last:] = (tail >= p) * keep
        philox.mask(WORK * size, counter, key, limit, float(keep), out[first:last])
        return out.reshape(shape)
