"""The raw numbers on disk: exact, and refused by name when they are damaged or of another run."""

import json
import math

import pytest

from tests.lab_helpers import Tiny
from tinygrad_bn.lab import store
from tinygrad_bn.lab.store import StoreError


def record(variant="plain", seed=0, **changes):
    return {
        "experiment": "tiny",
        "variant": variant,
        "seed": seed,
        "settings": {"steps": 5, "quick": True},
        "machine": "here",
        "seconds": 1.5,
        "values": {"accuracy": [0.1, 1 / 3]},
        **changes,
    }


def save(folder, **changes):
    cell = record(**changes)
    path = store.path_of(folder, "tiny", cell["variant"], cell["seed"])
    store.write(path, cell)
    return path


def test_every_bit_comes_back(tmp_path):
    values = {"a": [0.1, 1e-310, math.inf, -math.inf, math.nan], "b": {"c": [True, None, "x", 3]}}
    path = save(tmp_path, values=values)
    found = store.read(path)["values"]
    assert found["b"] == values["b"]
    assert found["a"][:4] == values["a"][:4]
    assert math.isnan(found["a"][4])
    json.loads(path.read_text(), parse_constant=pytest.fail)  # plain JSON: no NaN, no Infinity


def test_names_of_files(tmp_path):
    path = store.path_of(tmp_path, "rates", "batch norm ×30", 2)
    assert path == tmp_path / "rates" / "batch-norm-30-seed2.json"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'{"experiment": "tiny"', "is damaged: "),
        (b"\xff\xfe", "is damaged: "),
        (b"[1]", "must hold .* got list"),
        (b'{"experiment": "tiny"}', r"must hold .* got \['experiment'\]"),
    ],
)
def test_damaged_files_are_refused_by_name(tmp_path, content, said):
    path = save(tmp_path)
    path.write_bytes(content)
    with pytest.raises(StoreError, match=said) as refusal:
        store.load(tmp_path, Tiny())
    assert str(path) in str(refusal.value)


def test_parts_of_a_wrong_kind_are_refused(tmp_path):
    path = save(tmp_path, settings=[])
    with pytest.raises(StoreError, match=r"seed0\.json: settings must be of type dict, got list"):
        store.read(path)


def test_other_settings_are_refused(tmp_path):
    path = save(tmp_path)
    with pytest.raises(StoreError, match=r"was measured with steps 5, not 6: choose another --out"):
        store.check_same(path, store.read(path), {"steps": 6, "quick": True})
    with pytest.raises(StoreError, match=r"rate 'absent', not 0\.1"):
        store.check_same(path, store.read(path), {"steps": 5, "quick": True, "rate": 0.1})
    save(tmp_path, seed=1, settings={"steps": 7, "quick": True})
    with pytest.raises(StoreError, match="steps 7, not 5"):
        store.load(tmp_path, Tiny())


def test_files_of_something_else_are_refused(tmp_path):
    save(tmp_path, experiment="other")
    with pytest.raises(StoreError, match="is of the experiment 'other'"):
        store.load(tmp_path, Tiny())
    save(tmp_path, variant="third")
    save(tmp_path)
    with pytest.raises(StoreError, match="is of the unknown variant 'third'"):
        store.load(tmp_path, Tiny())


def test_seeds_count_that_every_variant_has(tmp_path):
    assert store.load(tmp_path, Tiny()) is None
    save(tmp_path)
    assert store.load(tmp_path, Tiny()) is None
    save(tmp_path, variant="batch norm")
    save(tmp_path, seed=1)
    results, records = store.load(tmp_path, Tiny())
    assert results.seeds == [0]
    assert len(records) == 3
    assert results.each("plain", "accuracy") == [[0.1, 1 / 3]]
    assert results.pairs("plain", "batch norm", "accuracy") == [([0.1, 1 / 3],) * 2]
