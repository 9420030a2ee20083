"""`tinygrad-bn lab`: what it prints, what it refuses, and how it is interrupted."""

import io
import signal
import subprocess
import sys

import pytest
from rich.console import Console

from tests.lab_helpers import Tiny
from tinygrad_bn import cli
from tinygrad_bn.backend import default_backend, set_default_backend
from tinygrad_bn.commands import lab as command
from tinygrad_bn.lab import registry, store


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    monkeypatch.delenv("TINYGRAD_BN_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["tinygrad-bn"])
    before = default_backend()
    yield
    set_default_backend(before)


@pytest.fixture
def tiny(monkeypatch):
    """The small experiment in the place of all others."""
    monkeypatch.setattr(registry, "NAMES", {"tiny": "Tiny"})
    monkeypatch.setattr(registry, "get", lambda name: Tiny())


def run(*arguments):
    return cli.main(["lab", *map(str, arguments)])


def test_list_shows_all(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("list") == 0
    out = capsys.readouterr().out
    for name in registry.NAMES:
        assert name in out
    assert "Ioffe and Szegedy, 2015" in out


def test_run_and_report(capsys, tmp_path, tiny):
    assert run("run", "tiny", "--quick", "--seeds", 2, "--backend", "numpy", "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert "tiny: Is it small? 4 cells, 0 of them measured before" in out
    assert "batch norm, seed 1:" in out
    assert f"For the page: tinygrad-bn lab report {tmp_path}" in out
    assert run("report", tmp_path, "--markdown", tmp_path / "docs") == 0
    assert f"Wrote {tmp_path}/report.html, {tmp_path}/docs/README.md" in capsys.readouterr().out
    assert "</html>" in (tmp_path / "report.html").read_text()


def test_brackets_in_a_path_are_no_markup(capsys, tmp_path, tiny):
    out, pages = tmp_path / "tr[red]x:smile:", tmp_path / "[b]"
    assert run("run", "tiny", "--quick", "--out", out) == 0
    printed = capsys.readouterr().out
    assert f"The numbers are in {out}. For the page:" in printed
    assert f"lab report '{out}'" in printed
    assert run("report", out, "--markdown", pages) == 0
    assert f"Wrote {out}/report.html, {pages}/README.md" in capsys.readouterr().out


def test_all_means_all(capsys, tmp_path, tiny):
    assert run("run", "all", "--quick", "--out", tmp_path) == 0
    assert len(list(tmp_path.rglob("*.json"))) == 2


def test_an_unknown_experiment(capsys, tmp_path):
    assert run("run", "fastr", "--out", tmp_path) == 1
    assert "unknown experiment 'fastr', did you mean 'faster'?" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_what_is_refused(capsys, tmp_path, tiny):
    quick = ("run", "tiny", "--quick", "--out", tmp_path)
    assert run(*quick, "--backend", "numpi") == 1
    assert "numpy" in capsys.readouterr().err
    assert run(*quick, "--data", tmp_path / "nowhere") == 1
    assert "nowhere" in capsys.readouterr().err
    assert run(*quick) == 0
    (tmp_path / "tiny" / "plain-seed0.json").write_text("[")
    assert run(*quick) == 1
    assert "plain-seed0.json is damaged" in capsys.readouterr().err
    assert run("report", tmp_path) == 1
    assert "plain-seed0.json is damaged" in capsys.readouterr().err
    assert run("report", tmp_path / "empty") == 1
    assert "holds no finished experiment" in capsys.readouterr().err
    for wrong in (["run"], ["run", "tiny"], ["run", "tiny", "--seeds", "0", "--out", "x"], []):
        with pytest.raises(SystemExit) as stop:
            run(*wrong)
        assert stop.value.code == 2


def test_an_interrupted_run_says_how_to_go_on_and_ends_the_same(
    capsys, tmp_path, tiny, monkeypatch
):
    quick = ("run", "tiny", "--quick", "--seeds", 2, "--out")
    assert run(*quick, tmp_path / "whole") == 0
    capsys.readouterr()
    left = iter(range(6, -1, -1))

    def stop(self):
        if next(left) == 0:
            self._guard._note(signal.SIGINT, None)
        return self._guard.requested

    with monkeypatch.context() as patched:
        patched.setattr(command.Display, "stop", stop)
        assert run(*quick, tmp_path / "parts") == 130
    out = capsys.readouterr().out
    assert "Interrupted; everything so far is saved. Go on with the same command:" in out
    assert f"tinygrad-bn lab run tiny --quick --seeds 2 --out {tmp_path}/parts" in out
    assert run(*quick, tmp_path / "parts") == 0
    whole, parts = (store.load(tmp_path / name, Tiny())[0] for name in ("whole", "parts"))
    assert whole == parts


def test_nothing_heavy_is_loaded_for_help_or_by_the_package():
    code = (
        "import sys, tinygrad_bn\n"
        "loaded = [m for m in sys.modules if m.startswith(('tinygrad_bn.lab', "
        "'tinygrad_bn.diagnostics', 'matplotlib', 'rich'))]\n"
        "assert not loaded, loaded\n"
        "from tinygrad_bn import cli\n"
        "try: cli.main(['lab', 'run', '--help'])\n"
        "except SystemExit: pass\n"
        "loaded = [m for m in sys.modules if m.startswith(('tinygrad_bn.lab', 'rich', "
        "'matplotlib', 'tinygrad_bn.nn'))]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_bar_on_a_terminal(tmp_path, tiny, monkeypatch):
    shown = Console(force_terminal=True, width=120, record=True, file=io.StringIO())
    monkeypatch.setattr(command, "literal_console", lambda: shown)
    assert run("run", "tiny", "--quick", "--out", tmp_path) == 0
    text = shown.export_text()
    assert "2/2" in text
    assert "batch norm, seed 0" in text
