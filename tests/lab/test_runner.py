"""Runs: reproducible, resumed to the last bit, refused where they would mix."""

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tests.lab_helpers import StopAfter, Tiny
from tinygrad_bn import blas, nn
from tinygrad_bn.backend import rng
from tinygrad_bn.lab import runner, store
from tinygrad_bn.lab.digits import Digits
from tinygrad_bn.lab.training import Training
from tinygrad_bn.serialization import CheckpointError, load_checkpoint


@pytest.fixture(scope="module")
def digits():
    return Digits(subset=True)


def run(folder, digits, *, watcher=None, seeds=1, quick=True, experiment=None):
    watcher = watcher or StopAfter()
    return runner.run(
        experiment or Tiny(), folder, digits, seeds=seeds, quick=quick, watcher=watcher
    )


def values(folder):
    return store.load(folder, Tiny())[0].cells


def test_a_run_writes_all_cells_and_tells_of_them(tmp_path, digits):
    watcher = StopAfter()
    assert run(tmp_path, digits, watcher=watcher, seeds=2)
    assert watcher.told == [
        ("begin", "tiny", 4, 0),
        ("finished", "plain", 0),
        ("finished", "batch norm", 0),
        ("finished", "plain", 1),
        ("finished", "batch norm", 1),
    ]
    assert sorted(p.name for p in (tmp_path / "tiny").iterdir()) == [
        "batch-norm-seed0.json",
        "batch-norm-seed1.json",
        "plain-seed0.json",
        "plain-seed1.json",
    ]
    record = store.read(tmp_path / "tiny" / "plain-seed1.json")
    assert record["settings"] == {
        "steps": 12,
        "hidden": [8],
        "batch_size": 20,
        "quick": True,
        "backend": "numpy",
        "train_images": 8000,
    }
    again = StopAfter()
    assert run(tmp_path, digits, watcher=again, seeds=2)
    assert again.told == [("begin", "tiny", 4, 4)]


def test_the_numbers_depend_on_the_seed_alone(tmp_path, digits):
    run(tmp_path / "a", digits, seeds=2)
    rng.manual_seed(99)  # what went before does not matter
    run(tmp_path / "b", digits, seeds=2)
    a, b = values(tmp_path / "a"), values(tmp_path / "b")
    assert a == b
    assert a["plain"][0] != a["plain"][1]


@pytest.mark.parametrize("stop", [1, 7, 12, 13, 20])
def test_an_interrupted_run_ends_with_the_same_bits(tmp_path, digits, stop):
    run(tmp_path / "whole", digits)
    assert not run(tmp_path / "parts", digits, watcher=StopAfter(stop))
    rng.manual_seed(stop)  # another process begins with another random state
    assert run(tmp_path / "parts", digits)
    assert values(tmp_path / "parts") == values(tmp_path / "whole")
    assert not list(tmp_path.rglob("*.partial"))


def test_a_run_may_be_interrupted_again_and_again(tmp_path, digits):
    run(tmp_path / "whole", digits)
    for _ in range(40):
        if run(tmp_path / "parts", digits, watcher=StopAfter(3)):
            break
    else:
        pytest.fail("it never ends")
    assert values(tmp_path / "parts") == values(tmp_path / "whole")


def test_a_killed_process_goes_on_from_its_last_save(tmp_path, digits, monkeypatch):
    monkeypatch.setattr("tinygrad_bn.lab.training._SAVE_EVERY", 0.0)

    class Killed(StopAfter):
        def working(self, variant, seed, fraction):
            super().working(variant, seed, fraction)
            if self.left <= 0:
                raise MemoryError("killed")

        def stop(self):
            return False

    run(tmp_path / "whole", digits)
    with pytest.raises(MemoryError):
        run(tmp_path / "parts", digits, watcher=Killed(6))
    (partial,) = tmp_path.rglob("*.partial")
    assert load_checkpoint(partial)["trainer"]["step"] == 5
    assert run(tmp_path / "parts", digits)
    assert values(tmp_path / "parts") == values(tmp_path / "whole")


@pytest.mark.parametrize("content", [b"", b"nonsense"])
def test_a_damaged_partial_state_is_begun_anew(tmp_path, digits, content):
    run(tmp_path / "whole", digits)
    run(tmp_path / "parts", digits, watcher=StopAfter(5))
    (partial,) = tmp_path.rglob("*.partial")
    partial.write_bytes(content)
    with pytest.raises(CheckpointError):
        load_checkpoint(partial)
    assert run(tmp_path / "parts", digits)
    assert values(tmp_path / "parts") == values(tmp_path / "whole")


def test_a_partial_state_of_other_settings_is_begun_anew(tmp_path, digits):
    run(tmp_path / "whole", digits, quick=False)
    run(tmp_path / "parts", digits, watcher=StopAfter(5))
    assert run(tmp_path / "parts", digits, quick=False)
    assert values(tmp_path / "parts") == values(tmp_path / "whole")


def test_full_and_quick_runs_do_not_mix(tmp_path, digits):
    run(tmp_path, digits)
    with pytest.raises(store.StoreError, match="quick True, not False; steps 12, not 40"):
        run(tmp_path, digits, quick=False)


def test_a_damaged_cell_is_refused_before_anything_is_measured(tmp_path, digits):
    run(tmp_path, digits)
    (tmp_path / "tiny" / "plain-seed0.json").write_text("{")
    watcher = StopAfter()
    with pytest.raises(store.StoreError, match=r"plain-seed0.json is damaged"):
        run(tmp_path, digits, watcher=watcher, seeds=2)
    assert watcher.told == []


def test_blas_has_one_thread_while_a_cell_is_measured(tmp_path, digits, monkeypatch):
    for name in blas.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def threads():
        return [p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"]

    class Looking(Tiny):
        def measure(self, cell):
            return {"threads": threads()}

    with threadpool_limits(limits=2, user_api="blas"):
        before = threads()
        assert run(tmp_path, digits, experiment=Looking())
        assert threads() == before
    assert values(tmp_path)["plain"][0]["threads"] == [1] * len(before)


def test_what_does_not_use_the_digits_does_not_depend_on_them(tmp_path, digits):
    class Other(Tiny):
        on_digits = False

    assert "train_images" in runner.describe(Tiny(), digits, True)
    assert "train_images" not in runner.describe(Other(), digits, True)


def test_a_training_that_diverges_ends(tmp_path, digits):
    class Diverging(Tiny):
        def measure(self, cell):
            network = nn.Linear(784, 10)
            training = Training(cell, network, cell.digits.train, rate=1e40, batch_size=20)
            training.run(12, (), dict)
            return {"diverged": training.diverged}

    assert run(tmp_path, digits, experiment=Diverging())
    assert 1 <= values(tmp_path)["plain"][0]["diverged"] < 12
