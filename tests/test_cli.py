"""The command line: help, exit codes, errors in one line, the main job, interruption."""

import errno
import json
import os
import re
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tinygrad_bn import blas, cli, data, nn
from tinygrad_bn.backend import (
    BackendUnavailableError,
    default_backend,
    registry,
    set_default_backend,
)
from tinygrad_bn.commands import comparison as comparison_module
from tinygrad_bn.commands import report
from tinygrad_bn.commands.comparison import BinaryImages, Comparison, build_pair, is_milestone
from tinygrad_bn.commands.settings import Settings
from tinygrad_bn.serialization import load, load_checkpoint, save, save_checkpoint

SHORT = ["--hidden", "16", "--batch-size", "100", "--eval-every", "5", "--no-plot"]


@pytest.fixture(autouse=True)
def _clean(monkeypatch):
    """The user's own choices stay out, and a backend chosen by a command does not stay."""
    monkeypatch.delenv("TINYGRAD_BN_DATA", raising=False)
    monkeypatch.setattr(sys, "argv", ["tinygrad-bn"])
    before = default_backend()
    yield
    set_default_backend(before)


def run(*arguments):
    return cli.main([str(a) for a in arguments])


def usage_error(capsys, *arguments):
    """What an error in the arguments says."""
    with pytest.raises(SystemExit) as stop:
        run(*arguments)
    assert stop.value.code == 2
    return capsys.readouterr().err


def results(folder):
    """The metrics without what depends on the clock."""
    metrics = json.loads((folder / "metrics.json").read_text())
    for name in comparison_module.NETWORKS:
        del metrics[name]["train_seconds"]
    return metrics


# -------------------------------------------------------------------------------------- basics


def test_help_and_version(capsys):
    for arguments in (["--help"], ["train", "--help"], ["--version"]):
        with pytest.raises(SystemExit) as stop:
            run(*arguments)
        assert stop.value.code == 0
    out = capsys.readouterr().out
    assert "tinygrad-bn 0." in out
    for option in ("--data", "--steps", "--epochs", "--lr", "--momentum", "--hidden", "--seed"):
        assert option in out
    for option in ("--batch-size", "--activation", "--backend", "--out", "--resume", "--no-plot"):
        assert option in out


def test_help_imports_nothing_heavy():
    code = (
        "import sys; from tinygrad_bn import cli\n"
        "try: cli.main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "heavy = {'rich', 'matplotlib', 'safetensors', 'tinygrad_bn.nn', 'tinygrad_bn.data'}\n"
        "sys.exit(str(heavy & set(sys.modules)) if heavy & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_as_a_module():
    command = [sys.executable, "-m", "tinygrad_bn", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("python -m tinygrad_bn 0.")


def test_backends(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    assert run("backends") == 0
    out = capsys.readouterr().out
    (line,) = [x for x in out.splitlines() if re.match(r"\W*numpy\b.*\byes\b", x)]
    assert np.__version__ in line
    assert "cpu" in line


def test_backends_that_cannot_run(capsys, monkeypatch):
    def broken(name, device):
        raise RuntimeError("no driver")

    def missing(name, device):
        raise BackendUnavailableError("install the thing")

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setitem(registry._targets, "broken", broken)
    monkeypatch.setitem(registry._targets, "missing", missing)
    assert run("backends") == 0
    out = capsys.readouterr().out
    assert re.search("broken.* no .*loading it failed: RuntimeError: no driver", out)
    assert re.search("missing.* no .*install the thing", out)


def test_the_advice_on_cupy_names_its_extra():
    code = (
        "import sys; sys.modules['cupy'] = None\n"
        "from tinygrad_bn import cli; sys.exit(cli.main(['backends']))"
    )
    environment = {**os.environ, "COLUMNS": "400", "TINYGRAD_BN_BACKEND": ""}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (line,) = [x for x in done.stdout.splitlines() if re.match(r"\W*cupy\b.*\bno\b", x)]
    assert "pip install 'tinygrad_bn[cupy-cuda13]'" in line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", "0"], "argument --steps: must be an integer >= 1, got '0'"),
        (["--steps", "1", "--epochs", "1"], "not allowed with argument --steps"),
        (["--lr", "-1"], "argument --lr: must be a number >= 0, got '-1'"),
        (["--lr", "nan"], "argument --lr: must be a number >= 0, got 'nan'"),
        (["--hidden", "10,x"], "argument --hidden: must be an integer >= 1, got 'x'"),
        (["--batch-size", "1"], "argument --batch-size: must be an integer >= 2, got '1'"),
        (["--activation", "step"], "argument --activation: invalid choice: 'step'"),
        (["--resume", "f", "--lr", "1", "--hidden", "3"], "--lr, --hidden: a resumed run keeps"),
    ],
)
def test_usage_errors(capsys, arguments, message):
    assert message in usage_error(capsys, "train", *arguments)


def test_a_command_is_needed(capsys):
    assert "command" in usage_error(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "/no/such/folder"], "folder '/no/such/folder' does not exist"),
        (["--backend", "nunpy"], "unknown backend 'nunpy' .* did you mean 'numpy'"),
        (["--resume", "/no/file"], "there is no file '/no/file'"),
        (["--batch-size", "9000"], "--batch-size must be at most the 8000 training images"),
    ],
)
def test_what_is_wrong_outside_is_told_in_one_line(capsys, tmp_path, arguments, message):
    assert run("train", "--no-plot", "--out", tmp_path / "out", *arguments) == 1
    err = capsys.readouterr().err
    assert re.fullmatch(rf"tinygrad-bn: .*{message}.*\n", err)
    assert not (tmp_path / "out").exists()


def test_an_environment_that_names_no_backend(tmp_path):
    command = [sys.executable, "-m", "tinygrad_bn", "train", "--no-plot", "--out", str(tmp_path)]
    environment = {**os.environ, "TINYGRAD_BN_BACKEND": "nope"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "unknown backend 'nope' (chosen by the environment variable" in done.stderr


def test_checkpoints_of_something_else(capsys, tmp_path):
    save(tmp_path / "weights", {"a": np.ones(1)})
    assert run("train", "--no-plot", "--resume", tmp_path / "weights") == 1
    assert "holds tensors only, no training state" in capsys.readouterr().err
    (tmp_path / "weights").write_bytes(b"text, not a checkpoint")
    assert run("train", "--no-plot", "--resume", tmp_path / "weights") == 1
    assert "is no safetensors file" in capsys.readouterr().err


def test_damaged_checkpoints_of_this_command(capsys, tmp_path):
    assert run("train", *SHORT, "--steps", 1, "--out", tmp_path) == 0
    path = tmp_path / "checkpoint.safetensors"
    tree = load_checkpoint(path)
    for key in set(tree) - {"kind"}:
        save_checkpoint(path, {k: v for k, v in tree.items() if k != key})
        assert run("train", "--no-plot", "--resume", path) == 1
        assert f"is damaged or of another version: lacks '{key}'" in capsys.readouterr().err
    for changed, message in ({"new": 1}, "argument 'new'"), ({"activation": "x"}, "activation 'x'"):
        save_checkpoint(path, {**tree, "settings": {**tree["settings"], **changed}})
        assert run("train", "--no-plot", "--resume", path) == 1
        assert re.search(f"checkpoint.safetensors: .*{message}\n", capsys.readouterr().err)


def test_a_backend_that_cannot_run_names_the_option(capsys):
    assert run("train", "--no-plot", "--backend", "nope") == 1
    assert "unknown backend 'nope' (from --backend)" in capsys.readouterr().err


def test_an_output_folder_that_cannot_be_written_to(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert run("train", *SHORT, "--steps", 1, "--out", tmp_path) == 1
    captured = capsys.readouterr()
    assert "--out must be a folder that can be written to, got" in captured.err
    assert captured.out == ""


def test_a_full_disk_hides_no_results(capsys, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run("train", *SHORT, "--steps", 1, "--out", tmp_path) == 1
    captured = capsys.readouterr()
    assert "Test accuracy" in captured.out
    assert re.search(r"No space left on device: '.*/checkpoint.safetensors'", captured.err)


def test_the_losses_of_a_diverged_run_are_null():
    folder = {"a": [1.0, float("nan")], "b": (float("-inf"), None, "nan"), "c": True}
    assert report._finite(folder) == {"a": [1.0, None], "b": [None, None, "nan"], "c": True}


def test_an_output_folder_that_is_a_file(capsys, tmp_path):
    (tmp_path / "f").write_text("")
    assert run("train", *SHORT, "--steps", 1, "--out", tmp_path / "f") == 1
    assert "File exists" in capsys.readouterr().err


def test_without_matplotlib_it_says_so_before_training(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    assert run("train", "--steps", 1, "--out", tmp_path / "out") == 1
    err = capsys.readouterr().err
    assert "pip install 'tinygrad_bn[plot]', or leave the plot out with --no-plot" in err
    assert not (tmp_path / "out").exists()


# ---------------------------------------------------------------------------------------- train


def test_the_main_job(capsys, tmp_path):
    assert run("train", "--steps", 120, "--out", tmp_path) == 0
    out = capsys.readouterr().out
    assert "step 100: plain" in out
    assert "120 steps" in out
    assert (tmp_path / "accuracy.png").read_bytes().startswith(b"\x89PNG")
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["steps"] == [100, 120]
    assert metrics["settings"]["hidden"] == [100, 100, 100]
    plain, normalized = (metrics[name]["test_accuracy"][0] for name in ("plain", "batch_norm"))
    assert plain < 0.2
    assert normalized > 0.7
    weights = load(tmp_path / "batch_norm.safetensors")
    net = build_pair(Settings(), 784)["batch_norm"]
    net.load_state_dict(weights)
    assert "1.running_mean" in weights


def test_brackets_in_a_path_are_no_markup(capsys, tmp_path):
    folder = tmp_path / "tr[red]x:smile:"
    assert run("train", *SHORT, "--steps", 1, "--out", folder) == 0
    assert f"Wrote {folder / 'metrics.json'}, " in capsys.readouterr().out


def test_epochs_are_counted_in_whole_batches(tmp_path):
    assert run("train", *SHORT, "--epochs", 1, "--batch-size", 3000, "--out", tmp_path) == 0
    assert results(tmp_path)["steps"] == [2]


@pytest.mark.parametrize("activation", ["relu", "leaky_relu", "softplus"])
def test_options_reach_the_networks(tmp_path, activation):
    options = ["--activation", activation, "--momentum", 0.9, "--hidden", "8,6", "--seed", 4]
    arguments = ["train", "--steps", 3, *SHORT, *options, "--out", tmp_path]
    assert run(*arguments, "--backend", "numpy") == 0
    settings = results(tmp_path)["settings"]
    assert settings["activation"] == activation
    assert (settings["momentum"], settings["hidden"], settings["seed"]) == (0.9, [8, 6], 4)
    assert load(tmp_path / "plain.safetensors")["2.weight"].shape == (6, 8)


def test_the_folder_with_the_data(monkeypatch, tmp_path):
    asked = []
    shipped = data.mnist(subset=True)
    monkeypatch.setattr(
        "tinygrad_bn.commands.train.mnist", lambda root: (asked.append(root), shipped)[1]
    )
    monkeypatch.chdir(tmp_path)
    assert run("train", *SHORT, "--steps", 1, "--data", "digits", "--out", tmp_path) == 0
    assert asked == [str(tmp_path / "digits")]


def test_a_finished_run_can_be_extended(capsys, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run("train", *SHORT, "--steps", 15, "--out", whole) == 0
    assert run("train", *SHORT, "--steps", 10, "--out", parts) == 0
    checkpoint = parts / "checkpoint.safetensors"
    assert run("train", "--no-plot", "--resume", checkpoint, "--steps", 15) == 0
    assert results(parts) == results(whole)
    for name in ("plain", "batch_norm"):
        file = f"{name}.safetensors"
        assert (whole / file).read_bytes() == (parts / file).read_bytes()
    assert run("train", "--no-plot", "--resume", checkpoint, "--steps", 3) == 1
    assert "is at step 15 already: --steps must be at least that" in capsys.readouterr().err


def test_ctrl_c_saves_and_says_how_to_go_on(tmp_path):
    arguments = [*SHORT, "--seed", "3", "--steps", "4000"]
    whole, parts = tmp_path / "whole", tmp_path / "with space"
    program = [sys.executable, "-m", "tinygrad_bn", "train"]
    command = [*program, *arguments, "--out", str(parts)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    first = [process.stdout.readline(), process.stdout.readline()]
    assert "step 100" in first[1]
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert err == ""
    shown = out.splitlines()[-1].strip()
    assert shown == f"python -m tinygrad_bn train --resume '{parts / 'checkpoint.safetensors'}'"
    told = int(re.search(r"Interrupted after step ([\d,]+);", out).group(1).replace(",", ""))
    steps = str(told + 40)
    again = [sys.executable, *shlex.split(shown)[1:], "--steps", steps, "--no-plot"]
    done = subprocess.run(again, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert run("train", *arguments[:-1], steps, "--out", whole) == 0
    assert results(parts) == results(whole)


def test_sigterm_saves_too(tmp_path):
    program = [sys.executable, "-m", "tinygrad_bn", "train"]
    command = [*program, *SHORT, "--steps", "100000", "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while "step 100" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 143, (out, err)
    assert "everything so far is saved" in out
    assert (tmp_path / "checkpoint.safetensors").is_file()


def test_a_training_that_diverges_is_told(capsys, tmp_path):
    options = ("--lr", "1e30", "--activation", "relu", "--steps", 30, "--out", tmp_path)
    assert run("train", *SHORT, *options) == 0
    out = capsys.readouterr().out
    found = re.findall(r"(plain|with batch norm): the loss became (nan|inf) at step (\d+)", out)
    assert [f[0] for f in found].count("plain") == 1
    assert "the training has diverged; a smaller --lr may help" in out
    (step,) = [int(f[2]) for f in found if f[0] == "plain"]
    assert json.loads((tmp_path / "metrics.json").read_text())["plain"]["diverged_at_step"] == step


def test_ctrl_c_before_the_training(monkeypatch, capsys, tmp_path):
    def interrupted(root):
        raise KeyboardInterrupt

    monkeypatch.setattr("tinygrad_bn.commands.train.mnist", interrupted)
    assert run("train", *SHORT, "--out", tmp_path) == 130
    assert capsys.readouterr().err == "tinygrad-bn: interrupted\n"


# --------------------------------------------------------------------------------------- pieces


def test_the_pair_starts_with_the_same_weights(backend):
    plain, normalized = build_pair(Settings(hidden=(20, 30)), 50).values()
    linear = [[m for m in net if isinstance(m, nn.Linear)] for net in (plain, normalized)]
    for a, b in zip(*linear, strict=True):
        assert a.weight.tolist() == b.weight.tolist()
    assert np.std(linear[0][1].weight.tolist()) == pytest.approx(0.1, rel=0.1)
    assert plain[0].bias.tolist() == [0] * 20
    assert normalized[0].bias is None
    assert sum(isinstance(m, nn.BatchNorm) for m in normalized) == 2


def test_images_are_binary():
    pixels = np.array([[[0, 127], [128, 255]]], np.uint8)
    images = BinaryImages(data.ImageDataset(pixels, np.array([7])))
    x, y = images[np.array([0])]
    assert x.tolist() == [[0, 0, 1, 1]]
    assert x.dtype == np.float32
    assert y.tolist() == [7]
    assert (len(images), images.features) == (1, 4)


def test_milestones():
    found = [n for n in range(1, 60_000) if is_milestone(n)]
    assert found == [100, 500, 1000, 5000, 10_000, 50_000]


def test_the_summary_counts_steps_to_the_plain_best(monkeypatch):
    train, test = data.mnist(subset=True)
    pair = Comparison(Settings(hidden=(4,)), train, test)
    pair.curve = {
        "steps": [10, 20, 30],
        "plain": {"accuracy": [0.1, 0.5, 0.4], "loss": [3.0, 2.0, 1.0]},
        "batch_norm": {"accuracy": [0.3, 0.4, 0.45], "loss": [3.0, 2.0, 1.0]},
    }
    summary = report.summarize(pair)
    assert summary["plain_best_accuracy"] == 0.5
    assert summary["plain"]["steps_to_plain_best"] == 20
    assert summary["batch_norm"]["steps_to_plain_best"] is None
    pair.curve["batch_norm"]["accuracy"][0] = 0.5
    assert report.summarize(pair)["batch_norm"]["steps_to_plain_best"] == 10


def test_the_live_bar(monkeypatch):
    import io

    from rich.console import Console

    from tinygrad_bn.commands.display import display

    train, test = data.mnist(subset=True)
    pair = Comparison(Settings(hidden=(4,), steps=5, eval_every=2), train, test)
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    with display(console, pair) as show:
        for step in pair.run():
            show(step)
    shown = console.file.getvalue()
    assert "5/5" in shown
    assert re.search(r"plain \d+\.\d%, with batch norm \d+\.\d%", shown)


@pytest.mark.parametrize(("hidden", "inside"), [("16", 1), ("8,300", 2)])
def test_blas_has_one_thread_for_a_small_network(tmp_path, monkeypatch, hidden, inside):
    for name in blas.VARIABLES:
        monkeypatch.delenv(name, raising=False)

    def threads():
        return {p["num_threads"] for p in threadpool_info() if p["user_api"] == "blas"}

    seen = set()
    step = Comparison.run

    def looking(self):
        seen.update(threads())
        return step(self)

    monkeypatch.setattr(Comparison, "run", looking)
    with threadpool_limits(limits=2, user_api="blas"):
        if threads() != {2}:
            pytest.skip("NumPy's BLAS has no threads that can be set")
        out = ["--hidden", hidden, "--out", tmp_path]
        assert run("train", *SHORT, "--steps", 2, *out) == 0
        assert threads() == {2}
    assert seen == {inside}
