"""ArrayDataset, Subset and random_split."""

import re

import numpy as np
import pytest

from tinygrad_bn import data


class Squares:
    """A dataset that only has a length and single samples."""

    def __len__(self):
        return 10

    def __getitem__(self, i):
        return np.float32(i), i * i


def make(n=10):
    return data.ArrayDataset(np.arange(2 * n).reshape(n, 2), np.arange(n) * 10)


def test_array_dataset_indexing():
    dataset = make()
    assert len(dataset) == 10
    x, y = dataset[3]
    assert x.tolist() == [6, 7]
    assert y == 30
    assert dataset[-1][1] == 90
    assert dataset[np.int64(2)][1] == 20
    assert dataset[2:4][1].tolist() == [20, 30]
    assert dataset[[4, 0, -1]][1].tolist() == [40, 0, 90]
    assert dataset[np.array([1, 1], dtype=np.uint8)][0].tolist() == [[2, 3], [2, 3]]
    assert dataset[[]][0].shape == (0, 2)
    assert repr(dataset) == "ArrayDataset((10, 2) int64, (10,) int64)"


def test_array_dataset_holds_its_arrays_and_gathers_copies():
    x = np.zeros((4, 2))
    dataset = data.ArrayDataset(x)
    assert dataset.arrays[0] is x
    assert np.shares_memory(dataset[1:3][0], x)
    assert not np.shares_memory(dataset[[0, 1]][0], x)


def test_array_dataset_iterates_and_stops():
    assert [int(y) for _, y in make(3)] == [0, 10, 20]


@pytest.mark.parametrize(
    ("arrays", "error", "message"),
    [
        ((), ValueError, "ArrayDataset: arrays must be one or more, got none"),
        (
            (np.zeros(3), np.zeros((4, 2))),
            ValueError,
            "ArrayDataset: arrays must have equal first dimensions, got [3, 4]",
        ),
        (
            (np.zeros(3), 1.0),
            ValueError,
            "ArrayDataset: arrays[1] must have a first dimension, got a scalar",
        ),
        (
            (["a", "b"],),
            TypeError,
            "ArrayDataset: arrays[0] must be an array of numbers, got list of dtype <U1",
        ),
    ],
)
def test_array_dataset_refuses(arrays, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        data.ArrayDataset(*arrays)


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (10, IndexError, "index must be in [-10, 10), got 10"),
        (-11, IndexError, "index must be in [-10, 10), got -11"),
        ([0, 12], IndexError, "indices must be in [-10, 10), got 12"),
        (True, TypeError, "index must be an integer, got True"),
        (1.5, TypeError, "index must be an int, a slice or a 1-D array of integers, got float"),
        ([0.5], TypeError, "index array must hold integers, got float64"),
        (
            np.ones(10, dtype=bool),
            TypeError,
            "index array must hold integers, got bool; np.flatnonzero turns a mask into indices",
        ),
        ([[0, 1]], ValueError, "index array must be 1-D, got shape (1, 2)"),
    ],
)
@pytest.mark.parametrize("make_dataset", [make, lambda: data.Subset(make(), np.arange(10))])
def test_wrong_indices(make_dataset, index, error, message):
    dataset = make_dataset()
    with pytest.raises(error, match=f"^{type(dataset).__name__}: {re.escape(message)}$"):
        dataset[index]


def test_subset_of_arrays_and_of_subsets():
    subset = data.Subset(make(), [9, 0, -2])
    assert len(subset) == 3
    assert subset.vectorized
    assert [int(y) for _, y in subset] == [90, 0, 80]
    assert subset[1:][1].tolist() == [0, 80]
    inner = data.Subset(subset, np.array([2, 0]))
    assert inner[[0, 1]][1].tolist() == [80, 90]
    assert inner[0][1] == 80
    assert repr(subset) == "Subset(3 of ArrayDataset((10, 2) int64, (10,) int64))"


def test_subset_of_a_general_dataset():
    subset = data.Subset(Squares(), [3, 4])
    assert not subset.vectorized
    assert subset[1] == (4.0, 16)
    assert subset[:] == [(3.0, 9), (4.0, 16)]


def test_empty_subset():
    assert len(data.Subset(make(), [])) == 0


@pytest.mark.parametrize(
    ("indices", "error", "message"),
    [
        (3, TypeError, "Subset: indices must be a sequence of integers, got int"),
        ([10], IndexError, "Subset: indices must be in [-10, 10), got 10"),
        ([0.5], TypeError, "Subset: index array must hold integers, got float64"),
    ],
)
def test_subset_refuses(indices, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        data.Subset(make(), indices)


@pytest.mark.parametrize(
    ("lengths", "counts"),
    [
        ([7, 3], [7, 3]),
        ([10, 0], [10, 0]),
        ([0.7, 0.3], [7, 3]),
        ([0.25, 0.25, 0.5], [2, 3, 5]),
        ([1 / 3, 1 / 3, 1 / 3], [3, 4, 3]),
        ([np.int64(4), 6], [4, 6]),
    ],
)
def test_random_split_is_a_partition(lengths, counts):
    parts = data.random_split(make(), lengths, seed=1)
    assert [len(part) for part in parts] == counts
    assert sorted(np.concatenate([part.indices for part in parts])) == list(range(10))


def test_random_split_depends_on_the_seed_alone():
    first, again, other = (
        data.random_split(make(100), [50, 50], seed=seed)[0].indices.tolist() for seed in (3, 3, 4)
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("lengths", "seed", "error", "message"),
    [
        ([], 0, ValueError, "lengths must hold at least one entry, got none"),
        (
            [5, 4],
            0,
            ValueError,
            "lengths must sum to the dataset's length 10, got [5, 4], which sum to 9",
        ),
        (
            [0.5, 0.4],
            0,
            ValueError,
            "fractions in lengths must sum to 1, got [0.5, 0.4], which sum to 0.9",
        ),
        ([11, -1], 0, ValueError, "lengths must be >= 0, got [11, -1]"),
        ([1.5, -0.5], 0, ValueError, "lengths must be >= 0, got [1.5, -0.5]"),
        ([float("nan"), 0.5], 0, ValueError, "lengths must be >= 0, got [nan, 0.5]"),
        (
            [5, 0.5],
            0,
            TypeError,
            "lengths must be all counts (int) or all fractions (float), got [5, 0.5]",
        ),
        (
            [True, 9],
            0,
            TypeError,
            "lengths must be all counts (int) or all fractions (float), got [True, 9]",
        ),
        ([5, 5], -1, ValueError, "seed must be >= 0, got -1"),
        ([5, 5], 0.5, TypeError, "seed must be an int, got float"),
    ],
)
def test_random_split_refuses(lengths, seed, error, message):
    with pytest.raises(error, match=f"^random_split: {re.escape(message)}$"):
        data.random_split(make(), lengths, seed=seed)
