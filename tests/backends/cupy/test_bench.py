"""`make bench-gpu` where PyTorch cannot be measured: it says so, and does not pass for reached."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from tinygrad_bn.backends.cupy.loader import Loader

from benchmarks.gpu import normalization, timing, training
from benchmarks.gpu.timing import Figure
from tests.backends.cupy.devices import DEVICES
from tools.gpu import record

command = importlib.import_module("benchmarks.gpu.__main__")


def torch_without(monkeypatch, cuda):
    """Install a pretend PyTorch, built for this CUDA or none, that finds no GPU."""
    torch = types.ModuleType("torch")
    torch.__version__ = "2.13.0"
    torch.cuda = types.SimpleNamespace(is_available=lambda: False)
    torch.version = types.SimpleNamespace(cuda=cuda)
    monkeypatch.setitem(sys.modules, "torch", torch)


def test_why_pytorch_is_not_measured(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    torch, why = timing.find_torch()
    assert torch is None
    assert why.startswith("PyTorch could not be imported (")
    torch_without(monkeypatch, None)
    assert timing.find_torch() == (None, "PyTorch 2.13.0 is built without CUDA")
    torch_without(monkeypatch, "13.0")
    assert timing.find_torch() == (None, "PyTorch 2.13.0, for CUDA 13.0, finds no GPU")


def test_normalization_against_no_pytorch(monkeypatch):
    torch_without(monkeypatch, None)
    taken = {"forward": 1.0, "backward": 1.0}
    figures = list(normalization.against_torch(None, "slabs", (2, 3, 4, 4), 1, "float32", taken))
    assert [f.name for f in figures] == [
        "slabs, float32, forward, against PyTorch",
        "slabs, float32, backward, against PyTorch",
    ]
    assert {f.outcome for f in figures} == {"not measured"}
    assert {f.note for f in figures} == {"PyTorch 2.13.0 is built without CUDA"}
    others = normalization.against_torch(None, "rows", (2, 3), 1, "float32", taken)
    assert list(others) == []  # compared on NCHW alone


CACHES = {"A100": 40 << 20, "H100": 50 << 20, "B200": 126 << 20}


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("device", CACHES)
def test_cases_are_larger_than_the_cache_and_take_the_path_they_are_named_for(device, dtype):
    for name, smallest, axis in normalization.CASES:
        shape = normalization.enlarged(smallest, axis, dtype, CACHES[device])
        assert np.prod(shape) * np.dtype(dtype).itemsize > CACHES[device]
        for slabs in normalization.SLABS.values():
            path = normalization.path_of(shape, axis, dtype, slabs, DEVICES[device])
            clusters = DEVICES[device].cluster > 1
            if clusters or path == "one kernel":  # without clusters few tiles fit
                assert path == ("two kernels" if name.startswith("large") else "one kernel")


def test_the_figures_of_normalization(pretend, monkeypatch):
    """Every case once, with kernels that do nothing and a clock that stands still."""
    pretend()
    monkeypatch.setattr(Loader, "launch", lambda self, launch, arguments: None)
    small = (("NCHW", (4, 2, 3, 4), 1), ("rows", (40, 4), 1))
    monkeypatch.setattr(normalization, "CASES", small)
    monkeypatch.setattr(normalization, "BEYOND_CACHE", 1e-7)
    torch_without(monkeypatch, None)
    monkeypatch.setattr(normalization, "copy_bandwidth", lambda cupy, size: size * 10.0)

    def seconds(cupy, call):
        call()
        return 0.4

    monkeypatch.setattr(normalization, "seconds", seconds)
    found = {f.name: f for f in normalization.figures()}
    assert len(found) == 2 * 2 * 2 + 2 * 2
    forward = found["NCHW (4, 2, 3, 4), float32, forward"]
    assert forward.value == pytest.approx(2 / 0.4 / 10)
    assert (forward.asked, forward.outcome) == (0.85, "missed")
    assert forward.note.startswith("one kernel, 400000 µs, copy ")
    assert found["NCHW (4, 2, 3, 4), float16, forward, against PyTorch"].outcome == "not measured"


def test_a_median_of_events():
    """`seconds` against NumPy and events that count the calls between them."""
    calls = []

    class Event:
        def record(self):
            self.at = len(calls)

        def synchronize(self):
            pass

    waiting = types.SimpleNamespace(synchronize=lambda: None)
    cuda = types.SimpleNamespace(
        Event=Event,
        get_current_stream=lambda: waiting,
        get_elapsed_time=lambda a, b: b.at - a.at,
    )
    functions = ("zeros", "empty_like", "uint8", "copyto")
    numpy = {name: getattr(np, name) for name in functions}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(timing, "BALLAST", 8)
        took = timing.seconds(types.SimpleNamespace(cuda=cuda, **numpy), lambda: calls.append(1), 3)
    assert took == 1e-3
    assert len(calls) == timing.WARM + 1 + 3


def test_training_against_no_pytorch(pretend, monkeypatch):
    pretend()
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(training, "step", lambda captured: None)
    monkeypatch.setattr(training, "wall", lambda call, wait: 1.0)
    *_, last = training.figures()
    assert last.name == "training step, captured, against PyTorch"
    assert (last.value, last.outcome) == (None, "not measured")
    assert last.note.startswith("PyTorch could not be imported (")


REACHED = Figure("a", 2.0, "times", 1.5)
MISSED = Figure("b", 1.0, "times", 1.5)
TOLD = Figure("c", 1.0, "µs")
LACKING = Figure("d", None, "times", 1.5, "no PyTorch")


@pytest.mark.parametrize(
    ("figures", "status"),
    [([REACHED, TOLD], 0), ([REACHED, MISSED], 1), ([REACHED, LACKING], 1)],
)
def test_the_exit_status(pretend, monkeypatch, tmp_path, capsys, figures, status):
    pretend()
    monkeypatch.setattr(normalization, "figures", lambda: figures)
    monkeypatch.setattr(training, "figures", list)
    monkeypatch.setattr(command, "OUT", tmp_path)
    assert command.main() == status
    shown = capsys.readouterr().out
    assert ("not" in shown and "no PyTorch" in shown) == (LACKING in figures)
    written = json.loads((tmp_path / "figures.json").read_text())["figures"]
    assert [f["outcome"] for f in written] == [f.outcome for f in figures]


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
def test_the_target_installs_what_it_measures_against(tmp_path):
    handed_down = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "CUPY")  # by a make that runs the tests
    plan = subprocess.run(
        ["make", "--dry-run", f"VENV={tmp_path}/venv", "bench-gpu"],
        cwd=record.ROOT,
        env={k: v for k, v in os.environ.items() if k not in handed_down},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for extra in ("dev", "cupy-cuda13", "parity"):
        assert f"--editable '.[{extra}]'" in plan
