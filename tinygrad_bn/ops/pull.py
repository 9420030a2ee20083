"""Derivatives that backends fuse, on tensors: `backend.reference_pull` with recording."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import runtime
from ..backend.reference_pull import PullReference


def _on_tensors(formula: Callable[..., Any]) -> Callable[..., Any]:
    def pull(*arrays: Any, **metadata: Any) -> Any:
        return formula(runtime.namespace, *arrays, **metadata)

    pull.__name__ = pull.__qualname__ = formula.__name__
    pull.__doc__ = formula.__doc__
    return pull


scaled = _on_tensors(PullReference.scaled)
sigmoid_pull = _on_tensors(PullReference.sigmoid_pull)
tanh_pull = _on_tensors(PullReference.tanh_pull)
relu_pull = _on_tensors(PullReference.relu_pull)
silu_pull = _on_tensors(PullReference.silu_pull)
leaky_relu_pull = _on_tensors(PullReference.leaky_relu_pull)
elu_pull = _on_tensors(PullReference.elu_pull)
selu_pull = _on_tensors(PullReference.selu_pull)
softplus_pull = _on_tensors(PullReference.softplus_pull)
mish_pull = _on_tensors(PullReference.mish_pull)
erf_pull = _on_tensors(PullReference.erf_pull)
gelu_pull = _on_tensors(PullReference.gelu_pull)
softmax_pull = _on_tensors(PullReference.softmax_pull)
log_softmax_pull = _on_tensors(PullReference.log_softmax_pull)
