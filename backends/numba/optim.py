"""Optimizer steps of the Numba backend: all parameters of a group in one kernel."""

from __future__ import annotations

import numpy as np

from tinygrad_bn.backend.reference_optim import Arrays, OptimReference

from .kernels import optim as kernels
from .kernels.tables import survey

_LETTERS = "fd"


class _Table:
    """Rows of arrays for a kernel: parameters, state, gradients.

    Attributes:
        total: the number of elements in a row; -1 if a kernel cannot take these arrays.
        arguments: what the kernel is given first.
    """

    def __init__(self, *rows: Arrays) -> None:
        dtype = rows[0][0].dtype
        n = len(rows[0])
        table = np.array([id(array) for row in rows for array in row]).reshape(-1, n)
        sizes, starts = np.empty(n, np.int64), np.empty(n + 1, np.int64)
        self.dtype = dtype
        self.total = -1
        if dtype.char in _LETTERS:
            self.total = survey(0, table, sizes, starts, len(rows) - 1, id(dtype))
        self.arguments = table, sizes, starts


class NumbaOptim(OptimReference):
    """Overrides for parameters in contiguous memory, float32 or float64, all of one dtype."""

    def sgd_step(
        self,
        params: Arrays,
        grads: Arrays,
        buffers: Arrays,
        *,
        lr: float,
        momentum: float,
        dampening: float,
        weight_decay: float,
        nesterov: bool,
        maximize: bool,
    ) -> tuple[Arrays, Arrays]:
        """One step of gradient descent with momentum, in place."""
        fresh = np.array([b is None for b in buffers])
        held = buffers
        if momentum and fresh.any():
            pairs = zip(params, buffers, strict=True)
            held = [np.empty_like(p) if b is None else b for p, b in pairs]
        table = _Table(params, held, grads) if momentum else _Table(params, grads)
        if table.total < 0:
            return super().sgd_step(
                params,
                grads,
                buffers,
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
                maximize=maximize,
            )
        numbers = np.array((lr, momentum, 1 - dampening, weight_decay), table.dtype)
        kernels.sgd(table.total * 5, *table.arguments, fresh, numbers, int(nesterov), int(maximize))
        return params, held

    def adam_step(
        self,
        params: Arrays,
        grads: Arrays,
        means: Arrays,
        squares: Arrays,
        peaks: Arrays,
        *,
        steps: list[int],
        lr: float,
        betas: tuple[float, float],
        eps: float,
        weight_decay: float,
        decoupled: bool,
        amsgrad: bool,
        maximize: bool,
    ) -> tuple[Arrays, Arrays, Arrays, Arrays]:
        """One step of Adam or AdamW, in place."""
        state = (means, squares, peaks) if amsgrad else (means, squares)
        table = _Table(params, *state, grads)
        if table.total < 0:
            return super().adam_step(
                params,
                grads,
                means,
                squares,
                peaks,
                steps=steps,
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                decoupled=decoupled,
                amsgrad=amsgrad,
                maximize=maximize,
            )
        beta1, beta2 = betas
        rates = (lr / (1 - np.power(beta1, steps))).astype(table.dtype)
        corrections = (1 / np.sqrt(1 - np.power(beta2, steps))).astype(table.dtype)
        keep, decay = (1 - lr * weight_decay, 0.0) if decoupled else (1.0, weight_decay)
        numbers = np.array((keep, 1 - beta1, beta2, 1 - beta2, eps, decay), table.dtype)
        kernels.adam(table.total * 7, *table.arguments, rates, corrections, numbers, int(maximize))
        return params, means, squares, peaks
