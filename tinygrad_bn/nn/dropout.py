"""Dropout."""

from __future__ import annotations

from typing import Any

from . import functional
from .module import Module


class Dropout(Module):
    """In training, sets each element to zero with probability p and divides the others by 1 - p.

    In evaluation it is the identity. The mask comes from the backend's random stream; inside
    `checkpoint` the replay uses the same one.

    Raises ValueError unless 0 <= p <= 1.
    Source: Srivastava et al., "Dropout", JMLR 15, 2014.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = functional.check_probability("Dropout", p)

    def forward(self, x: Any) -> Any:
        """x, thinned out in training."""
        return functional.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        """The probability."""
        return f"p={self.p}"
