"""Greatest and smallest elements, found among integers in the same order; see `ranking`.

The least rank tells of a NaN with its sign set, the greatest of any other, so both are kept.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange

from ..compiler import driver, kernel
from .maps import Examples
from .ranking import rank, ranked

ELEMENTS = 1 << 14
"""About how many elements a block of rows has; the same for any number of threads."""


@kernel
def chosen(low: Any, high: Any, greatest: Any) -> Any:
    """The element with the greatest rank, or with the least; a NaN if either is one."""
    small, great = ranked(low), ranked(high)
    if small != small:
        return small
    if great != great:
        return great
    return great if greatest else small


@kernel
def along(row: Any, greatest: Any) -> Any:
    """The extreme of a row."""
    low = high = rank(row[0])
    for i in range(row.size):
        place = rank(row[i])
        low, high = min(low, place), max(high, place)
    return chosen(low, high, greatest)


@driver
def along_rows(x: Any, greatest: Any, out: Any) -> None:
    """out = the greatest element of each row, or the smallest if `greatest` is 0."""
    step = max(1, ELEMENTS // x.shape[1])
    for block in prange((x.shape[0] + step - 1) // step):
        for r in range(block * step, min((block + 1) * step, x.shape[0])):
            out[r] = along(x[r], greatest)


@kernel
def widen(row: Any, low: Any, high: Any) -> None:
    """The least and the greatest ranks so far, with those of a row."""
    for i in range(row.size):
        place = rank(row[i])
        low[i], high[i] = min(low[i], place), max(high[i], place)


@driver
def down_columns(x: Any, greatest: Any, ranks: Any, out: Any) -> None:
    """out = the extreme down the columns of each of some matrices.

    Shapes: x (matrices, rows, width), ranks (matrices, blocks, 2, width) of integers as long as
    the elements and no more blocks than rows, out (matrices, columns); a row of x is one or more
    rows of columns side by side.
    """
    blocks, columns = ranks.shape[1], out.shape[1]
    for tile in prange(x.shape[0] * blocks):
        matrix, block = tile // blocks, tile % blocks
        low, high = ranks[matrix, block, 0], ranks[matrix, block, 1]
        top, end = x.shape[1] * block // blocks, x.shape[1] * (block + 1) // blocks
        first = x[matrix, top]
        for i in range(first.size):
            low[i] = high[i] = rank(first[i])
        for r in range(top + 1, end):
            widen(x[matrix, r], low, high)
    for matrix in range(x.shape[0]):
        for c in range(columns):
            low, high = ranks[matrix, 0, 0, c], ranks[matrix, 0, 1, c]
            for block in range(blocks):
                for i in range(c, x.shape[2], columns):
                    low = min(low, ranks[matrix, block, 0, i])
                    high = max(high, ranks[matrix, block, 1, i])
            out[matrix, c] = chosen(low, high, greatest)


@along_rows.examples
def _(rng: Any, dtype: Any) -> Examples:
    x = rng.standard_normal((5000, 13)).astype(dtype)
    yield x, 1, np.zeros(5000, dtype)


@down_columns.examples
def _columns(rng: Any, dtype: Any) -> Examples:
    x = rng.standard_normal((2, 700, 24)).astype(dtype)
    ranks = np.zeros((2, 3, 2, 24), f"i{x.itemsize}")
    yield x, 0, ranks, np.zeros((2, 12), dtype)
