"""Training: the loop, metrics, early stopping, checkpoints that resume exactly."""

from .callbacks import Callback, EarlyStopping
from .interrupt import InterruptGuard, TrainingInterrupted
from .metrics import accuracy
from .trainer import Trainer

__all__ = [
    "Callback",
    "EarlyStopping",
    "InterruptGuard",
    "Trainer",
    "TrainingInterrupted",
    "accuracy",
]
