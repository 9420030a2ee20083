"""DataLoader: contents, order, resuming, collation and errors."""

import itertools
import json
import re

import numpy as np
import pytest

from tinygrad_bn import data
from tinygrad_bn.backend import get_backend
from tinygrad_bn.tensor import Tensor


def make(n=10):
    x = np.arange(2 * n, dtype=np.float32).reshape(n, 2)
    return data.ArrayDataset(x, np.arange(n))


def labels(batches):
    """The second field of each batch, as lists: enough to tell the batches apart."""
    return [batch[1].numpy().tolist() for batch in batches]


class Samples:
    """A general dataset over a list."""

    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, i):
        return self.samples[i]


def test_batches_are_tensors_in_order():
    batches = list(data.DataLoader(make(), 4))
    assert labels(batches) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    x, y = batches[0]
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    assert x.numpy().tolist() == [[0, 1], [2, 3], [4, 5], [6, 7]]
    assert x.dtype == np.float32
    assert y.dtype == np.int64


def test_batch_size_defaults_to_one():
    assert labels(data.DataLoader(make(3))) == [[0], [1], [2]]


@pytest.mark.parametrize(
    ("n", "size", "drop_last", "count"),
    [(10, 4, False, 3), (10, 4, True, 2), (10, 5, False, 2), (3, 4, True, 0), (0, 4, False, 0)],
)
def test_length(n, size, drop_last, count):
    loader = data.DataLoader(make(n), size, drop_last=drop_last)
    assert len(loader) == len(list(loader)) == count


def test_shuffle_visits_every_sample_once_and_differs_by_epoch():
    loader = data.DataLoader(make(50), 8, shuffle=True, seed=0)
    first, second = (list(itertools.chain(*labels(loader))) for _ in range(2))
    assert sorted(first) == sorted(second) == list(range(50))
    assert first != second
    assert first != list(range(50))


def test_order_is_fixed_by_seed_and_epoch():
    one, same, other = (data.DataLoader(make(50), 8, shuffle=True, seed=seed) for seed in (5, 5, 6))
    for _ in range(3):
        order = labels(one)
        assert order == labels(same)
        assert order != labels(other)


def test_the_order_of_a_seed_stays_the_same_over_releases():
    loader = data.DataLoader(make(8), 8, shuffle=True, seed=2024)
    assert labels(loader) == [[3, 2, 7, 5, 4, 1, 6, 0]]


def test_without_a_seed_one_is_drawn_and_recorded():
    one, other = (data.DataLoader(make(50), 8, shuffle=True) for _ in range(2))
    assert one.seed != other.seed
    assert labels(data.DataLoader(make(50), 8, shuffle=True, seed=one.seed)) == labels(one)


def test_batches_do_not_alias_the_dataset():
    dataset = make()
    for x, _ in data.DataLoader(dataset, 5):
        assert not np.shares_memory(x.numpy(), dataset.arrays[0])


def test_breaking_off_begins_the_next_epoch():
    loader = data.DataLoader(make(50), 8, shuffle=True, seed=3)
    reference = data.DataLoader(make(50), 8, shuffle=True, seed=3)
    epochs = [labels(reference) for _ in range(2)]
    assert labels([next(iter(loader))]) == epochs[0][:1]
    assert loader.epoch == 0
    assert labels(loader) == epochs[1]
    assert loader.epoch == 2


def test_state_follows_the_newest_iterator():
    loader = data.DataLoader(make(), 2)
    old = iter(loader)
    next(old)
    new = iter(loader)
    next(new)
    assert len(list(old)) == 4
    assert (loader.epoch, loader.position) == (1, 1)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("seen", range(8))
def test_resuming_continues_with_the_batches_left(shuffle, seen):
    def new(seed):
        return data.DataLoader(make(50), 8, shuffle=shuffle, seed=seed)

    reference = new(11)
    epochs = [labels(reference) for _ in range(3)]

    interrupted = new(11)
    list(interrupted)
    iterator = iter(interrupted)
    assert labels(itertools.islice(iterator, seen)) == epochs[1][:seen]
    state = json.loads(json.dumps(interrupted.state_dict()))
    assert (state["epoch"], state["position"]) == (1, seen)

    resumed = new(99)
    resumed.load_state_dict(state)
    assert (resumed.epoch, resumed.position) == (1, seen)
    assert resumed.state_dict() == state
    assert labels(resumed) == epochs[1][seen:]
    assert labels(resumed) == epochs[2]


def test_state_between_epochs():
    loader = data.DataLoader(make(), 4, shuffle=True, seed=1)
    list(loader)
    state = loader.state_dict()
    assert (state["epoch"], state["position"]) == (1, 0)
    resumed = data.DataLoader(make(), 4, shuffle=True, seed=1)
    resumed.load_state_dict(state)
    assert labels(resumed) == labels(loader)


def test_loading_into_a_loader_that_runs_detaches_its_iterator():
    loader = data.DataLoader(make(), 2)
    running = iter(loader)
    next(running)
    state = loader.state_dict()
    next(running)
    loader.load_state_dict(state)
    list(running)
    assert (loader.epoch, loader.position) == (0, 1)
    assert labels(loader) == [[2, 3], [4, 5], [6, 7], [8, 9]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epoch": -1}, ValueError, "epoch must be >= 0, got -1"),
        ({"epoch": 1.5}, TypeError, "epoch must be an int, got float"),
        ({"position": 4}, ValueError, "position must be in [0, 3], got 4"),
        ({"position": -1}, ValueError, "position must be >= 0, got -1"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"length": 11}, ValueError, "length must be this loader's 10, got 11"),
        ({"batch_size": 5}, ValueError, "batch_size must be this loader's 4, got 5"),
        ({"shuffle": True}, ValueError, "shuffle must be this loader's False, got True"),
        ({"drop_last": True}, ValueError, "drop_last must be this loader's False, got True"),
        (
            {"extra": 0},
            ValueError,
            "keys must be ['batch_size', 'drop_last', 'epoch', 'length', 'position', 'seed', "
            "'shuffle'], got ['batch_size', 'drop_last', 'epoch', 'extra', 'length', 'position', "
            "'seed', 'shuffle']",
        ),
    ],
)
def test_load_state_dict_refuses_and_changes_nothing(change, error, message):
    loader = data.DataLoader(make(), 4, seed=0)
    before = loader.state_dict()
    with pytest.raises(error, match=f"^{re.escape('DataLoader.load_state_dict: ' + message)}$"):
        loader.load_state_dict({**before, **change})
    assert loader.state_dict() == before


def test_subsets_load_like_their_dataset():
    subset = data.Subset(make(), [7, 1, 3])
    assert labels(data.DataLoader(subset, 2)) == [[7, 1], [3]]


def test_a_vectorized_dataset_is_asked_once_per_batch():
    class Counting(data.ArrayDataset):
        calls = 0

        def __getitem__(self, index):
            self.calls += 1
            return super().__getitem__(index)

    dataset = Counting(np.arange(10))
    list(data.DataLoader(dataset, 4))
    assert dataset.calls == 3


def test_general_datasets_are_collated():
    dataset = Samples([(np.full(2, i, np.float32), i, float(i)) for i in range(5)])
    x, i, f = list(data.DataLoader(dataset, 2))[1]
    assert x.numpy().tolist() == [[2, 2], [3, 3]]
    assert i.numpy().tolist() == [2, 3]
    assert f.numpy().tolist() == [2.0, 3.0]
    assert (x.dtype, i.dtype, f.dtype) == (np.float32, np.int64, np.float32)


def test_numpy_scalars_keep_their_dtype():
    (batch,) = next(iter(data.DataLoader(Samples([np.float64(1), np.float64(2)]), 2)))
    assert batch.dtype == np.float64


def test_a_sample_that_is_no_tuple_is_one_field():
    (batch,) = next(iter(data.DataLoader(Samples([np.zeros(3), np.ones(3)]), 2)))
    assert batch.shape == (2, 3)


def test_collate_replaces_stacking():
    dataset = Samples([{"text": "ab"}, {"text": "abc"}])
    loader = data.DataLoader(
        dataset, 2, collate=lambda samples: ([len(s["text"]) for s in samples],)
    )
    ((lengths,),) = list(loader)
    assert lengths.numpy().tolist() == [2, 3]


def test_collate_is_used_for_array_datasets_too():
    loader = data.DataLoader(make(4), 2, collate=lambda samples: (np.array(len(samples)),))
    assert [int(n.numpy()) for (n,) in loader] == [2, 2]


@pytest.mark.parametrize(
    ("samples", "error", "message"),
    [
        (
            [(1, 2), (1,)],
            ValueError,
            "default_collate: samples must have equally many fields, got [1, 2]",
        ),
        (
            [np.zeros(2), np.zeros(3)],
            ValueError,
            "default_collate: field 0 must have one shape in all samples, got [(2,), (3,)]",
        ),
        (
            [(1, {}), (2, {})],
            TypeError,
            "default_collate: field 1 must hold numbers, got dict; give DataLoader a collate=",
        ),
    ],
)
def test_default_collate_refuses(samples, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        next(iter(data.DataLoader(Samples(samples), 2)))


def test_collate_must_return_a_tuple():
    loader = data.DataLoader(make(), 2, collate=lambda samples: np.zeros(2))
    message = "DataLoader: collate must return a tuple of arrays, got ndarray"
    with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be >= 1, got 0"),
        ({"batch_size": -3}, ValueError, "batch_size must be >= 1, got -3"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an int, got float"),
        ({"batch_size": True}, TypeError, "batch_size must be an int, got bool"),
        ({"shuffle": 1}, TypeError, "shuffle must be a bool, got int"),
        ({"drop_last": None}, TypeError, "drop_last must be a bool, got NoneType"),
        ({"seed": -1}, ValueError, "seed must be >= 0, got -1"),
        ({"seed": "0"}, TypeError, "seed must be an int, got str"),
        ({"collate": 3}, TypeError, "collate must be callable, got int"),
        ({"dataset": iter([])}, TypeError, "dataset must have __len__, got list_iterator"),
        ({"dataset": {1, 2}}, TypeError, "dataset must have __getitem__, got set"),
    ],
)
def test_bad_arguments(arguments, error, message):
    with pytest.raises(error, match=f"^DataLoader: {re.escape(message)}$"):
        data.DataLoader(**{"dataset": make(), **arguments})


def test_an_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="nosuch"):
        next(iter(data.DataLoader(make(), 2, backend="nosuch")))


def test_a_backend_can_be_named():
    (x, _) = next(iter(data.DataLoader(make(), 2, backend="numpy")))
    assert x.numpy().tolist() == [[0, 1], [2, 3]]


# ------------------------------------------------------------------------------- pinned memory


def test_pinned_batches_are_the_same(monkeypatch):
    """Through `Backend.upload`, of which backends without a device have none."""
    seen = []
    backend = get_backend("strict")

    def upload(host):
        seen.append(host.dtype.name)
        return backend.from_numpy(host)

    monkeypatch.setattr(backend, "upload", upload)
    plain = data.DataLoader(make(5), batch_size=2, backend="strict")
    pinned = data.DataLoader(make(5), batch_size=2, backend="strict", pin_memory=True)
    for expected, got in zip(plain, pinned, strict=True):
        assert [t.tolist() for t in got] == [t.tolist() for t in expected]
        assert [t.dtype for t in got] == [t.dtype for t in expected]
        assert {t.backend for t in got} == {"strict"}
    assert seen == ["float32", "int64"] * 3


def test_pinned_python_numbers_take_the_default_dtype(monkeypatch):
    backend = get_backend("strict")
    monkeypatch.setattr(backend, "upload", backend.from_numpy)
    loader = data.DataLoader(Samples([(1.5, 2), (2.5, 3)]), 2, backend="strict", pin_memory=True)
    x, y = next(iter(loader))
    assert (x.dtype.name, y.dtype.name) == ("float32", "int64")


def test_pinned_memory_where_nothing_is_copied():
    loader = data.DataLoader(make(5), pin_memory=True, backend="numpy")
    message = (
        "DataLoader: pin_memory is not possible: upload: backend 'numpy' computes in the host's own"
    )
    with pytest.raises(ValueError, match=message):
        next(iter(loader))
    with pytest.raises(TypeError, match="pin_memory must be"):
        data.DataLoader(make(5), pin_memory=1)
