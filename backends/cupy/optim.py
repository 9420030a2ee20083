"""The optimizers' steps: one launch for up to 48 parameters, their pointers passed by value."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_bn.backend.reference_optim import Arrays, OptimReference

from .elementwise_planning import OPTIMIZER_CHUNK, TABLE_ROWS, first_blocks, plan_optimizer
from .launch import Launch, contiguous
from .planning import NAMES, DeviceLimits

SOURCE = "optimizers"


def table_type(arrays: int) -> Any:
    """`struct Table<arrays>` of kernels/optimizers.cu."""
    return np.dtype(
        [
            ("array", np.uint64, (arrays, TABLE_ROWS)),
            ("size", np.int64, TABLE_ROWS),
            ("scale", np.float64, (2, TABLE_ROWS)),
            ("first", np.int32, TABLE_ROWS + 1),
            ("fresh", np.int32, TABLE_ROWS),
        ],
        align=True,
    )


SGD_TABLE, ADAM_TABLE = table_type(3), table_type(5)
DESCENT = np.dtype(
    [(name, np.float64) for name in ("lr", "momentum", "dampening", "weight_decay")]
    + [(name, np.int32) for name in ("nesterov", "maximize", "chunk")],
    align=True,
)
ADAPTION = np.dtype(
    [(name, np.float64) for name in ("lr", "beta1", "beta2", "eps", "weight_decay")]
    + [(name, np.int32) for name in ("decoupled", "amsgrad", "maximize", "chunk")],
    align=True,
)


class CuPyOptim(OptimReference):
    """Overrides of the reference, by the same names."""

    launch: Any
    address: Any
    empty: Any
    limits: DeviceLimits

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
        """The reference's step, of all parameters that lie in memory as their gradients do."""
        values = (lr, momentum, dampening, weight_decay, nesterov, maximize, OPTIMIZER_CHUNK)
        kept = [
            self.empty(p.shape, dtype=p.dtype) if momentum and b is None else b
            for p, b in zip(params, buffers, strict=True)
        ]
        extras = [{"fresh": b is None} for b in buffers]
        options = np.array(values, DESCENT)[()]
        if not self._optimizer_step("sgd", SGD_TABLE, (params, grads, kept), extras, options):
            return super().sgd_step(
                params, grads, buffers, lr=lr, momentum=momentum, dampening=dampening,
                weight_decay=weight_decay, nesterov=nesterov, maximize=maximize,
            )  # fmt: skip
        return list(params), kept

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
        """The reference's step, of all parameters that lie in memory as their gradients do."""
        beta1, beta2 = betas
        values = (
            *(lr, beta1, beta2, eps, weight_decay),
            *(decoupled, amsgrad, maximize, OPTIMIZER_CHUNK),
        )
        extras = [
            {"scale": (1 / math.sqrt(1 - beta2**t), lr / (1 - beta1**t)), "fresh": False}
            for t in steps
        ]
        options = np.array(values, ADAPTION)[()]
        arrays = (params, grads, means, squares, peaks)
        if not self._optimizer_step("adam", ADAM_TABLE, arrays, extras, options):
            return super().adam_step(
                params, grads, means, squares, peaks, steps=steps, lr=lr, betas=betas, eps=eps,
                weight_decay=weight_decay, decoupled=decoupled, amsgrad=amsgrad, maximize=maximize,
            )  # fmt: skip
        return list(params), list(means), list(squares), list(peaks)

    def _optimizer_step(
        self,
        kernel: str,
        table: Any,
        arrays: tuple[Arrays, ...],
        extras: list[dict[str, Any]],
        options: Any,
    ) -> bool:
        """Launch a kernel over all parameters; False, with nothing done, if it does not serve."""
        rows = [(*row, extra) for *row, extra in zip(*arrays, extras, strict=True)]
        if not all(_serves(*row[:-1]) for row in rows):
            return False
        for char in sorted({row[0].dtype.char for row in rows}, reverse=True):
            kind = [row for row in rows if row[0].dtype.char == char and row[0].size]
            for start in range(0, len(kind), TABLE_ROWS):
                part = kind[start : start + TABLE_ROWS]
                self._launch_rows(kernel, table, NAMES[char], part, options)
        return True

    def _launch_rows(
        self, kernel: str, table: Any, dtype: str, rows: list[tuple[Any, ...]], options: Any
    ) -> None:
        """One launch for the rows of one table."""
        params, grads, *state, extras = zip(*rows, strict=True)
        arrays = params, [contiguous(self.xp, g) for g in grads], *state
        sizes = [p.size for p in params]
        first = first_blocks(sizes)
        filled, n = np.zeros((), table), len(rows)
        filled["array"][:, :n] = [
            [0 if a is None else self.address(a) for a in column] for column in arrays
        ]
        filled["size"][:n] = sizes
        filled["first"][: n + 1] = first
        for name in extras[0]:
            filled[name][..., :n] = np.transpose([extra[name] for extra in extras])
        flat = plan_optimizer(dtype, first[-1], self.limits)
        self.launch(
            Launch(SOURCE, kernel + flat.instance, flat.grid, flat.block), filled[()], options
        )


def _serves(p: Any, g: Any, *state: Any) -> bool:
    """Whether a kernel can change p and its state in place: one dtype, contiguous."""
    changed = [p, *(a for a in state if a is not None)]
    return (
        p.dtype.char in NAMES
        and g.dtype == p.dtype
        and g.shape == p.shape
        and all(a.dtype == p.dtype and a.shape == p.shape for a in changed)
        and all(a.flags.c_contiguous for a in changed)
    )
