"""Sums of many numbers, added up in float64 in a fixed order; along rows first in short sums.

What is summed lies in memory row after row. It is cut into a grid of tiles that does not depend on
the number of threads; each tile leaves partial sums, which are added one after the other at the
end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel

CHUNK = 256
"""Terms of a sum in the dtype of x along a row."""
ROWS, COLUMNS = 256, 512
"""The tile of a sum down the columns."""
SPAN = 64 * CHUNK
"""Elements of a tile of a sum along rows, about."""


@kernel
def chunk_total(row: Any) -> Any:
    """Σ of a chunk."""
    total = row.dtype.type(0)
    for i in range(row.size):
        total += row[i]
    return total


@kernel
def total_of(row: Any) -> Any:
    """Σ of a row, in float64."""
    total = np.float64(0)
    for i in range(0, row.size, CHUNK):
        total += chunk_total(row[i : i + CHUNK])
    return total


@driver
def along_rows(x: Any, partial: Any, out: Any) -> None:
    """out = Σ of each row; `partial` has room for a number of each row and span."""
    spans = partial.shape[1]
    step = max(1, SPAN // x.shape[1])
    for block in prange((x.shape[0] + step - 1) // step * spans):
        low, span = block // spans * step, block % spans
        for r in range(low, min(low + step, x.shape[0])):
            partial[r, span] = total_of(x[r, span * SPAN : (span + 1) * SPAN])
    for r in range(x.shape[0]):
        total = np.float64(0)
        for span in range(spans):
            total += partial[r, span]
        out[r] = total


@kernel
def add_row(row: Any, sums: Any) -> None:
    """sums ← sums + row."""
    for i in range(row.size):
        sums[i] += row[i]


@driver
def down_columns(x: Any, partial: Any, out: Any) -> None:
    """out = Σ down the columns of each of some matrices.

    Shapes: x (matrices, rows, width), partial (matrices, blocks of ROWS, width) of zeros, out
    (matrices, columns); a row of x is one or more rows of columns side by side.
    """
    blocks, strips = partial.shape[1], (x.shape[2] + COLUMNS - 1) // COLUMNS
    for tile in prange(x.shape[0] * blocks * strips):
        matrix, block, strip = tile // strips // blocks, tile // strips % blocks, tile % strips
        left, right = strip * COLUMNS, min((strip + 1) * COLUMNS, x.shape[2])
        for r in range(block * ROWS, min((block + 1) * ROWS, x.shape[1])):
            add_row(x[matrix, r, left:right], partial[matrix, block, left:right])
    columns = out.shape[1]
    for matrix in range(x.shape[0]):
        for c in range(columns):
            total = np.float64(0)
            for block in range(blocks):
                for place in range(c, x.shape[2], columns):
                    total += partial[matrix, block, place]
            out[matrix, c] = total


@along_rows.examples
def _(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for shape in ((500, 70), (3, 2 * SPAN + 9)):
        x = rng.standard_normal(shape).astype(dtype)
        yield x, np.zeros((shape[0], -(-shape[1] // SPAN))), np.zeros(shape[0], dtype)


@down_columns.examples
def _columns(rng: Any, dtype: Any) -> Iterator[tuple[Any, ...]]:
    for matrices, columns in ((1, COLUMNS + 7), (2, (COLUMNS + 8) // 4)):
        x = rng.standard_normal((matrices, 2 * ROWS + 9, COLUMNS + 8 - matrices % 2)).astype(dtype)
        partial = np.zeros((matrices, 3, x.shape[2]))
        yield x, partial, np.zeros((matrices, columns), dtype)
