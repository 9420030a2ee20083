"""Batches of a dataset as Tensors, in an order that a resumed run can take up exactly."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_bn.autograd.runtime import make
from tinygrad_bn.backend import resolve_backend
from tinygrad_bn.backend.base import host_array
from tinygrad_bn.data.dataset import Dataset, check_int
from tinygrad_bn.ops.creation import asarray
from tinygrad_bn.tensor import Tensor

Collate = Callable[[list[Any]], Sequence[Any]]


class DataLoader:
    """Iterates over a dataset in batches, each a tuple of Tensors.

    ``for x, y in loader`` is one epoch of ``len(loader)`` batches of ``batch_size``
    samples; the last is smaller, or left out with ``drop_last``. With ``shuffle`` the
    order is a permutation fixed by (seed, epoch) alone; without a seed one is drawn
    when the loader is made. ``backend`` names the backend of the Tensors; None is
    the default one at the time.

    Datasets that are ``vectorized`` (see Dataset) are indexed once per batch. Of all
    others the samples are fetched one by one and given to ``collate``, a function from
    a list of samples to a tuple of arrays; see ``default_collate``. A ``collate`` that
    is given is always used.

    With ``pin_memory`` batches go to the backend's device by way of page-locked memory:
    the copy runs while the program goes on. ValueError, when the first batch is made,
    for a backend that computes in the host's own memory.

    A new iterator begins a new epoch, whether or not the last one was finished, except
    that the first one after ``load_state_dict`` goes on where that state was taken.

    Raises ValueError or TypeError when an argument is out of range or of a wrong type.
    """

    def __init__(
        self,
        dataset: Dataset,
        batch_size: int = 1,
        *,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int | None = None,
        backend: str | None = None,
        collate: Collate | None = None,
        pin_memory: bool = False,
    ) -> None:
        for method in ("__len__", "__getitem__"):
            if not hasattr(dataset, method):
                raise TypeError(
                    f"DataLoader: dataset must have {method}, got {type(dataset).__name__}"
                )
        if collate is not None and not callable(collate):
            raise TypeError(f"DataLoader: collate must be callable, got {type(collate).__name__}")
        self.dataset = dataset
        self.batch_size = check_int("DataLoader", "batch_size", batch_size, least=1)
        self.shuffle = _check_bool("shuffle", shuffle)
        self.drop_last = _check_bool("drop_last", drop_last)
        # 63 bits: the seed then fits wherever a state dict is stored.
        self.seed = check_int("DataLoader", "seed", secrets.randbits(63) if seed is None else seed)
        self.backend = backend
        self.collate = collate
        self.pin_memory = _check_bool("pin_memory", pin_memory)
        self._epoch = 0
        self._position = 0
        self._iterator: object = None  # identifies the newest one, the one that state follows
        self._begun = False

    def __len__(self) -> int:
        """The number of batches in an epoch."""
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + (rest > 0 and not self.drop_last)

    def __iter__(self) -> Iterator[tuple[Tensor, ...]]:
        if self._begun:
            self._epoch, self._position = self._epoch + 1, 0
        self._begun = True
        self._iterator = token = object()
        return self._batches(token, self._epoch, self._position)

    @property
    def epoch(self) -> int:
        """The number of the epoch in progress, or of the next one; the first is 0."""
        return self._epoch

    @property
    def position(self) -> int:
        """How many batches of ``epoch`` have been handed out."""
        return self._position

    def state_dict(self) -> dict[str, int | bool]:
        """Return where the newest iterator stands, as plain integers and booleans.

        Taken inside the loop, the batch in hand counts as handed out.
        """
        return {"epoch": self._epoch, "position": self._position, **self._identity()}

    def load_state_dict(self, state: Mapping[str, int | bool]) -> None:
        """Make the next iterator hand out exactly the batches that ``state`` left over.

        The seed is taken over. Raises ValueError for missing or unknown keys, for a
        state of a loader with another dataset length, batch_size, shuffle or
        drop_last, and for a position outside the epoch. On an error nothing changes.
        """
        name = "DataLoader.load_state_dict"
        expected = self._identity()
        keys = {"epoch", "position", *expected}
        if set(state) != keys:
            raise ValueError(f"{name}: keys must be {sorted(keys)}, got {sorted(state)}")
        for key, value in expected.items():
            if key != "seed" and state[key] != value:
                raise ValueError(f"{name}: {key} must be this loader's {value}, got {state[key]}")
        epoch, position, seed = (
            check_int(name, key, state[key]) for key in ("epoch", "position", "seed")
        )
        if position > len(self):
            raise ValueError(f"{name}: position must be in [0, {len(self)}], got {position}")
        self._epoch, self._position, self.seed = epoch, position, seed
        self._iterator, self._begun = None, False

    def _identity(self) -> dict[str, int | bool]:
        return {
            "seed": self.seed,
            "length": len(self.dataset),
            "batch_size": self.batch_size,
            "shuffle": self.shuffle,
            "drop_last": self.drop_last,
        }

    def _batches(self, token: object, epoch: int, start: int) -> Iterator[tuple[Tensor, ...]]:
        order = self._order(epoch)
        for number in range(start, len(self)):
            where = order[number * self.batch_size : (number + 1) * self.batch_size]
            batch = tuple(self._tensor(field) for field in self._gather(where))
            if self._iterator is token:
                self._position = number + 1
            yield batch
        if self._iterator is token:
            self._epoch, self._position, self._begun = epoch + 1, 0, False

    def _tensor(self, field: Any) -> Tensor:
        if not self.pin_memory or isinstance(field, Tensor):
            return asarray(field, device=self.backend)
        backend = resolve_backend(self.backend)
        host = host_array(field)
        try:
            return make(backend, backend.upload(host), None)
        except ValueError as error:
            raise ValueError(f"DataLoader: pin_memory is not possible: {error}") from None

    def _order(self, epoch: int) -> NDArray[np.intp]:
        if not self.shuffle:
            return np.arange(len(self.dataset))
        sequence = np.random.SeedSequence([self.seed, epoch])
        return np.random.Generator(np.random.PCG64(sequence)).permutation(len(self.dataset))

    def _gather(self, where: NDArray[np.intp]) -> Sequence[Any]:
        # An index array even where a slice would do: a batch is a copy, so that
        # writing to it cannot reach the dataset.
        if self.collate is None and getattr(self.dataset, "vectorized", False):
            return _fields("dataset[indices]", self.dataset[where])
        samples = [self.dataset[i] for i in where.tolist()]
        return _fields("collate", (self.collate or default_collate)(samples))


def default_collate(samples: list[Any]) -> tuple[Any, ...]:
    """Stack a list of samples field by field: B tuples of arrays become a tuple of (B, ...).

    A sample that is no tuple or list is one field. Python numbers are collected in a
    list, so that they take the default dtype of their kind and not NumPy's.

    Raises TypeError for fields that are not numbers, ValueError for samples with
    unequal numbers of fields or fields of unequal shapes.
    """
    rows = [tuple(s) if isinstance(s, tuple | list) else (s,) for s in samples]
    widths = sorted({len(row) for row in rows})
    if len(widths) > 1:
        raise ValueError(f"default_collate: samples must have equally many fields, got {widths}")
    return tuple(_stack(i, list(field)) for i, field in enumerate(zip(*rows, strict=True)))


def _stack(position: int, values: list[Any]) -> Any:
    if all(isinstance(value, bool | int | float | complex) for value in values) and not any(
        isinstance(value, np.generic) for value in values
    ):
        return values
    arrays = [np.asarray(value) for value in values]
    shapes = sorted({array.shape for array in arrays})
    if len(shapes) > 1:
        raise ValueError(
            f"default_collate: field {position} must have one shape in all samples, got {shapes}"
        )
    stacked = np.stack(arrays)
    if stacked.dtype.kind not in "biufc":
        raise TypeError(
            f"default_collate: field {position} must hold numbers, "
            f"got {type(values[0]).__name__}; give DataLoader a collate="
        )
    return stacked


def _fields(origin: str, fields: Any) -> Sequence[Any]:
    if not isinstance(fields, tuple | list):
        raise TypeError(
            f"DataLoader: {origin} must return a tuple of arrays, got {type(fields).__name__}"
        )
    return fields


def _check_bool(name: str, value: bool) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"DataLoader: {name} must be a bool, got {type(value).__name__}")
    return value
