"""`make bench-gpu` where PyTorch cannot be measured: it says so, and does not pass for reached."""

import importlib
import json
import os
import shutil
import subprocess
import sys
import types

import pytest

from benchmarks.gpu import normalization, timing, training
from benchmarks.gpu.timing import Figure
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
