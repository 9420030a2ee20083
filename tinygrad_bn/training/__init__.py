"""Training: the loop, metrics, early stopping, checkpoints that resume exactly, captured steps."""

from .callbacks import Callback, EarlyStopping
from .capture import CapturedStep, capture
from .divergence import DivergenceWarning
from .interrupt import InterruptGuard, TrainingInterrupted
from .metrics import accuracy
from .trainer import Trainer

__all__ = [
    "Callback",
    "CapturedStep",
    "DivergenceWarning",
    "EarlyStopping",
    "InterruptGuard",
    "Trainer",
    "TrainingInterrupted",
    "accuracy",
    "capture",
]
