"""Reverse-mode differentiation: primitives, the graph, the backward engine, modes and hooks."""

from .anomaly import AnomalyError, detect_anomaly
from .checkpoint import checkpoint
from .definition import Primitive, primitive
from .differentiate import backward, grad
from .graph import HookHandle, Leaf, Node, Variable
from .state import (
    enable_grad,
    is_checkpointing,
    is_grad_enabled,
    is_recomputing,
    no_grad,
    set_grad_enabled,
)

__all__ = [
    "AnomalyError",
    "HookHandle",
    "Leaf",
    "Node",
    "Primitive",
    "Variable",
    "backward",
    "checkpoint",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "is_checkpointing",
    "is_grad_enabled",
    "is_recomputing",
    "no_grad",
    "primitive",
    "set_grad_enabled",
]
