"""California housing: what it holds, and the split."""

import re

import numpy as np
import pytest

from tinygrad_bn import data


def test_contents():
    train, test = data.california_housing(dtype=np.float64)
    features = np.concatenate([train.features, test.features])
    target = np.concatenate([train.target, test.target])
    assert features.shape == (20_433, 8)
    assert target.shape == (20_433, 1)
    assert (target.min(), target.max()) == (14_999, 500_001)
    assert train.target_name == "median_house_value"
    assert train.target_unit == "US dollars"
    largest = dict(zip(train.feature_names, features.max(0).tolist(), strict=True))
    assert largest["housing_median_age"] == 52
    assert largest["total_rooms"] == 39_320
    units = dict(zip(train.feature_names, train.feature_units, strict=True))
    assert units["median_income"] == "10,000 US dollars"
    # The first row of the table is in exactly one of the sets.
    row = [-122.23, 37.88, 41, 880, 129, 322, 126, 8.3252]
    (where,) = np.flatnonzero((features == row).all(axis=1))
    assert target[where, 0] == 452_600


def test_split_sizes_and_dtype():
    train, test = data.california_housing()
    assert (len(train), len(test)) == (16_346, 4_087)
    assert train.features.dtype == train.target.dtype == np.float32
    assert len(data.california_housing(test_fraction=0.5)[1]) == 10_216


def test_split_is_fixed_by_the_seed():
    first, same, other = (data.california_housing(seed=seed)[1].features for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, other)


def test_sets_share_no_row():
    train, test = data.california_housing(dtype=np.float64)
    rows = [
        {tuple(row) for row in np.hstack([part.features, part.target])} for part in (train, test)
    ]
    assert sum(map(len, rows)) == 20_433
    assert not rows[0] & rows[1]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": np.int64}, ValueError, "dtype must be float32 or float64, got int64"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"seed": 1.0}, TypeError, "seed must be an int, got float"),
        *(
            (
                {"test_fraction": fraction},
                ValueError,
                "test_fraction must be in (0, 1) and leave both sets at least one of 20433 rows, "
                f"got {fraction}",
            )
            for fraction in (0, 1, -0.1, 1e-6, 0.999999, float("nan"))
        ),
    ],
)
def test_refused(arguments, error, message):
    with pytest.raises(error, match=f"^california_housing: {re.escape(message)}$"):
        data.california_housing(**arguments)
