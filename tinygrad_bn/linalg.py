"""The linear-algebra extension of the Python Array API standard, version 2024.12."""

from .ops.decomposition import cholesky, eigh, eigvalsh, qr, svd, svdvals
from .ops.inverse import det, inv, matrix_power, matrix_rank, pinv, slogdet, solve
from .ops.linalg import (
    cross,
    diagonal,
    matmul,
    matrix_transpose,
    outer,
    tensordot,
    trace,
    vecdot,
)
from .ops.norm import matrix_norm, vector_norm

__all__ = [
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "matrix_transpose",
    "outer",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "svd",
    "svdvals",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]
