"""Training: the loop, metrics, early stopping, checkpoints that resume exactly."""

from .callbacks import Callback, EarlyStopping
from .divergence import DivergenceWarning
from .interrupt import InterruptGuard, TrainingInterrupted
from .metrics import accuracy
from .trainer import Trainer

__all__ = [
    "Callback",
    "DivergenceWarning",
    "EarlyStopping",
    "InterruptGuard",
    "Trainer",
    "TrainingInterrupted",
    "accuracy",
]
