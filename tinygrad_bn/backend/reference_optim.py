"""Reference: the update rules of the optimizers over `xp`, all parameters in one call.

Arrays are changed in place where the library can, and lists of the arrays that hold the new values
are returned, so that a library without writable arrays works too. Gradients are never changed.
"""

from __future__ import annotations

import math
from typing import Any

Arrays = list[Any]


class OptimReference:
    """Steps over lists of raw arrays; a backend may put each into one fused kernel."""

    xp: Any
    copy: Any

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
        """One step of gradient descent with momentum; see `optim.SGD`.

        `buffers` holds None where a parameter has no momentum yet. Returns (params, buffers).
        """
        new_params, new_buffers = [], []
        for p, g, buffer in zip(params, grads, buffers, strict=True):
            d = _direction(p, g, weight_decay, maximize)
            if momentum:
                if buffer is None:
                    buffer = self.copy(d)
                else:
                    buffer *= momentum
                    buffer += d * (1 - dampening)
                d = d + buffer * momentum if nesterov else buffer
            p -= d * lr
            new_params.append(p)
            new_buffers.append(buffer)
        return new_params, new_buffers

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
        """One step of Adam, or of AdamW if the weight decay is `decoupled`; see `optim.Adam`.

        `steps` counts the steps of each parameter, this one included; `peaks` holds None
        without `amsgrad`. Returns (params, means, squares, peaks).
        """
        beta1, beta2 = betas
        results: tuple[Arrays, ...] = ([], [], [], [])
        rows = zip(params, grads, means, squares, peaks, steps, strict=True)
        for p, g, mean, square, peak, step in rows:
            d = _direction(p, g, 0.0 if decoupled else weight_decay, maximize)
            if decoupled and weight_decay:
                p *= 1 - lr * weight_decay
            mean += (d - mean) * (1 - beta1)
            square *= beta2
            square += d * d * (1 - beta2)
            if amsgrad:
                peak = self.xp.maximum(peak, square)
            scale = self.xp.sqrt(peak if amsgrad else square)
            scale /= math.sqrt(1 - beta2**step)
            scale += eps
            p -= mean / scale * (lr / (1 - beta1**step))
            for result, array in zip(results, (p, mean, square, peak), strict=True):
                result.append(array)
        return results  # type: ignore[return-value]


def _direction(p: Any, g: Any, weight_decay: float, maximize: bool) -> Any:
    """The gradient to descend along: its sign turned to ascend, the L2 penalty's added."""
    d = -g if maximize else g
    return d + p * weight_decay if weight_decay else d
