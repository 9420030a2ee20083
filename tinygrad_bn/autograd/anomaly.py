"""`detect_anomaly`: find the operation in which a NaN or an infinity was born."""

from __future__ import annotations

from .runtime import AnomalyError
from .state import Mode, watch


class detect_anomaly(Mode):
    """`with detect_anomaly():` check every operation's results, forward and backward.

    A NaN or Inf that comes out of finite inputs raises `AnomalyError` with the name of the
    operation and the line of user code that called it; values that were given as NaN or Inf
    pass. Every result is read, so this is for hunting a bug, not for training.

    Raises:
        AnomalyError: inside the block, from the operation or from `backward`.
    """

    attribute = "anomaly"

    def __init__(self) -> None:
        super().__init__(True)

    def __enter__(self) -> detect_anomaly:
        watch.adjust(anomaly=1)
        super().__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        watch.adjust(anomaly=-1)


__all__ = ["AnomalyError", "detect_anomaly"]
