"""Proof for derivatives and backends: the tools that check this package check yours too."""

from .compare import compare_backends
from .conformance import BackendReport, check_backend
from .errors import CheckError, GradcheckError, KinkError
from .gradcheck import gradcheck, gradcheck_order, gradgradcheck
from .operations import LAYOUTS, check_op

__all__ = [
    "LAYOUTS",
    "BackendReport",
    "CheckError",
    "GradcheckError",
    "KinkError",
    "check_backend",
    "check_op",
    "compare_backends",
    "gradcheck",
    "gradcheck_order",
    "gradgradcheck",
]
