"""California housing: a regression on eight features of very different scales.

Source: R. K. Pace and R. Barry, "Sparse Spatial Autoregressions", Statistics &
Probability Letters 33(3), 1997, through StatLib; public domain.
"""

from __future__ import annotations

import gzip
import io
from importlib import resources
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tinygrad_bn.data.dataset import ArrayDataset, check_int

FEATURES = {
    "longitude": "degrees east",
    "latitude": "degrees north",
    "housing_median_age": "years",
    "total_rooms": "rooms",
    "total_bedrooms": "rooms",
    "population": "persons",
    "households": "households",
    "median_income": "10,000 US dollars",
}
TARGET = "median_house_value"
ROWS = 20_433


class HousingDataset(ArrayDataset):
    """Block groups of the 1990 census: sample i is (features, target) of one.

    Shapes: ``features`` (N, 8), ``target`` (N, 1), in US dollars, cut off at 500,001.
    The target is a column, as a linear layer with one output gives it.
    """

    feature_names = tuple(FEATURES)
    feature_units = tuple(FEATURES.values())
    target_name = TARGET
    target_unit = "US dollars"

    @property
    def features(self) -> NDArray[np.floating[Any]]:
        """One row per block group, shape (N, 8), in ``feature_units``."""
        return self.arrays[0]

    @property
    def target(self) -> NDArray[np.floating[Any]]:
        """The median house value, shape (N, 1), in US dollars."""
        return self.arrays[1]


def california_housing(
    *, test_fraction: float = 0.2, seed: int = 0, dtype: DTypeLike = np.float32
) -> tuple[HousingDataset, HousingDataset]:
    """Return the 20,433 block groups as (train, test), split at random by ``seed``.

    ``round(test_fraction · 20433)`` of them are the test set. Values are raw, not
    standardised: see Standardizer. ``dtype`` is float32 or float64.

    Raises ValueError for a fraction that leaves either set empty or another dtype,
    and TypeError or ValueError for a seed that is not an integer >= 0.
    """
    kind = np.dtype(dtype)
    if kind not in (np.float32, np.float64):
        raise ValueError(f"california_housing: dtype must be float32 or float64, got {kind}")
    if not 0 < test_fraction < 1 or not 0 < (held_out := round(test_fraction * ROWS)) < ROWS:
        raise ValueError(
            f"california_housing: test_fraction must be in (0, 1) and leave both sets "
            f"at least one of {ROWS} rows, got {test_fraction}"
        )
    seed = check_int("california_housing", "seed", seed)
    order = np.random.default_rng(seed).permutation(ROWS)
    table = _read_table().astype(kind)
    test, train = table[order[:held_out]], table[order[held_out:]]
    return HousingDataset(train[:, :-1], train[:, -1:]), HousingDataset(test[:, :-1], test[:, -1:])


def _read_table() -> NDArray[np.float64]:
    path = resources.files("tinygrad_bn.data") / "files" / "housing" / "california_housing.csv.gz"
    lines = io.StringIO(gzip.decompress(path.read_bytes()).decode("ascii"))
    header = tuple(lines.readline().strip().split(","))
    assert header == (*FEATURES, TARGET), header
    table = np.loadtxt(lines, delimiter=",")
    assert table.shape == (ROWS, len(header)), table.shape
    return table
