"""Datasets: arrays held side by side, views of them, and seeded splits."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

Index = int | slice | Sequence[int] | NDArray[np.integer[Any]]


class Dataset(Protocol):
    """Anything with a length and samples numbered from 0.

    A dataset that can be asked for many samples at once, by a 1-D integer array,
    and then answers with a tuple of arrays, says so with an attribute
    ``vectorized = True``. The loader then asks once per batch.
    """

    def __len__(self) -> int: ...
    def __getitem__(self, index: Any, /) -> Any: ...


def check_index(owner: str, index: Index, length: int) -> int | slice | NDArray[np.intp]:
    """Return ``index`` as an int, a slice or a 1-D integer array inside ``length``.

    Negative numbers count from the end. Raises TypeError for anything that is no
    integer, ValueError for an array that is not 1-D, IndexError out of range.
    """
    if isinstance(index, slice):
        return index
    if isinstance(index, bool | np.bool):
        raise TypeError(f"{owner}: index must be an integer, got {index!r}")
    if isinstance(index, Sequence | np.ndarray):
        return _check_index_array(owner, index, length)
    try:
        number = operator.index(index)
    except TypeError:
        raise TypeError(
            f"{owner}: index must be an int, a slice or a 1-D array of integers, "
            f"got {type(index).__name__}"
        ) from None
    if not -length <= number < length:
        raise IndexError(f"{owner}: index must be in [-{length}, {length}), got {number}")
    return number


def _check_index_array(
    owner: str, index: Sequence[int] | NDArray[np.integer[Any]], length: int
) -> NDArray[np.intp]:
    numbers = np.asarray(index)
    if isinstance(index, Sequence) and numbers.size == 0:
        numbers = numbers.astype(np.intp)  # NumPy calls an empty list float64
    if not np.issubdtype(numbers.dtype, np.integer):
        hint = "; np.flatnonzero turns a mask into indices" if numbers.dtype == np.bool else ""
        raise TypeError(f"{owner}: index array must hold integers, got {numbers.dtype}{hint}")
    if numbers.ndim != 1:
        raise ValueError(f"{owner}: index array must be 1-D, got shape {numbers.shape}")
    wrong = numbers[(numbers < -length) | (numbers >= length)]
    if wrong.size:
        raise IndexError(f"{owner}: indices must be in [-{length}, {length}), got {wrong[0]}")
    return numbers.astype(np.intp)


class ArrayDataset:
    """Samples that lie in arrays: sample i is row i of every array.

    Shapes: every array is (N, ...), N the same for all. ``dataset[i]`` is a tuple
    with one row per array; a slice or a 1-D integer array gives a tuple of arrays.
    The arrays are held, not copied; a slice is a view of them, an integer array
    gives copies.

    Raises ValueError for no arrays, a scalar or unequal first dimensions, and
    TypeError for what is not an array of numbers.
    """

    vectorized = True

    def __init__(self, *arrays: ArrayLike) -> None:
        owner = type(self).__name__
        if not arrays:
            raise ValueError(f"{owner}: arrays must be one or more, got none")
        self.arrays = tuple(_check_array(owner, i, array) for i, array in enumerate(arrays))
        lengths = [len(array) for array in self.arrays]
        if len(set(lengths)) > 1:
            raise ValueError(f"{owner}: arrays must have equal first dimensions, got {lengths}")

    def __len__(self) -> int:
        return len(self.arrays[0])

    def __getitem__(self, index: Index, /) -> tuple[Any, ...]:
        where = check_index(type(self).__name__, index, len(self))
        return tuple(array[where] for array in self.arrays)

    def __repr__(self) -> str:
        columns = ", ".join(f"{array.shape} {array.dtype}" for array in self.arrays)
        return f"{type(self).__name__}({columns})"


def _check_array(owner: str, position: int, value: ArrayLike) -> NDArray[Any]:
    array = np.asarray(value)
    if not (np.issubdtype(array.dtype, np.number) or array.dtype == np.bool):
        raise TypeError(
            f"{owner}: arrays[{position}] must be an array of numbers, "
            f"got {type(value).__name__} of dtype {array.dtype}"
        )
    if array.ndim == 0:
        raise ValueError(f"{owner}: arrays[{position}] must have a first dimension, got a scalar")
    return array


class Subset:
    """Some samples of another dataset: sample i is sample ``indices[i]`` of ``dataset``.

    Shapes: ``indices`` is 1-D, integers. Holds a reference, copies no samples.
    Raises TypeError, ValueError and IndexError as an index of ``dataset`` does.
    """

    def __init__(self, dataset: Dataset, indices: Sequence[int] | NDArray[np.integer[Any]]) -> None:
        if not isinstance(indices, Sequence | np.ndarray):
            raise TypeError(
                f"Subset: indices must be a sequence of integers, got {type(indices).__name__}"
            )
        self.dataset = dataset
        self.indices = _check_index_array("Subset", indices, len(dataset))

    @property
    def vectorized(self) -> bool:
        """Whether many samples can be had at once: whether ``dataset`` can give them."""
        return bool(getattr(self.dataset, "vectorized", False))

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Index, /) -> Any:
        where = self.indices[check_index("Subset", index, len(self))]
        if where.ndim == 0:
            return self.dataset[int(where)]
        if self.vectorized:
            return self.dataset[where]
        return [self.dataset[int(i)] for i in where]

    def __repr__(self) -> str:
        return f"Subset({len(self)} of {self.dataset!r})"


def random_split(
    dataset: Dataset, lengths: Sequence[int] | Sequence[float], *, seed: int = 0
) -> list[Subset]:
    """Split a dataset at random into disjoint subsets that together are all of it.

    ``lengths`` are either sample counts that sum to ``len(dataset)``, or fractions
    (floats) that sum to 1; fractions are rounded at the cumulative boundaries, so
    that no sample is lost. The same seed gives the same split.

    Raises TypeError when ``lengths`` mixes counts and fractions or holds neither,
    ValueError when they do not add up or one is negative.
    """
    counts = _split_counts(len(dataset), list(lengths))
    order = np.random.default_rng(check_int("random_split", "seed", seed)).permutation(len(dataset))
    ends = np.cumsum(counts)
    return [
        Subset(dataset, order[end - n : end]) for n, end in zip(counts, ends.tolist(), strict=True)
    ]


def _split_counts(total: int, lengths: list[int] | list[float]) -> list[int]:
    if not lengths:
        raise ValueError("random_split: lengths must hold at least one entry, got none")
    integers = [_is_int(n) for n in lengths]
    if not all(integers) and not all(isinstance(n, float) for n in lengths):
        raise TypeError(
            f"random_split: lengths must be all counts (int) or all fractions (float), "
            f"got {lengths}"
        )
    if any(not n >= 0 for n in lengths):
        raise ValueError(f"random_split: lengths must be >= 0, got {lengths}")
    if all(integers):
        if sum(lengths) != total:
            raise ValueError(
                f"random_split: lengths must sum to the dataset's length {total}, "
                f"got {lengths}, which sum to {sum(lengths)}"
            )
        return [int(n) for n in lengths]
    if not math.isclose(math.fsum(lengths), 1.0, abs_tol=1e-9):
        raise ValueError(
            f"random_split: fractions in lengths must sum to 1, "
            f"got {lengths}, which sum to {math.fsum(lengths)}"
        )
    ends = [round(total * math.fsum(lengths[: i + 1])) for i in range(len(lengths))]
    return [end - start for start, end in zip([0, *ends], ends, strict=False)]


def _is_int(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def check_int(owner: str, name: str, value: int, *, least: int = 0) -> int:
    """Return ``value`` as a Python int; TypeError or ValueError unless an int >= ``least``."""
    if not _is_int(value):
        raise TypeError(f"{owner}: {name} must be an int, got {type(value).__name__}")
    if value < least:
        raise ValueError(f"{owner}: {name} must be >= {least}, got {value}")
    return int(value)
