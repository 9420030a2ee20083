"""`tinygrad-bn train`: the paper's network with and without batch normalization."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

from rich.console import Console

from tinygrad_bn import set_default_backend
from tinygrad_bn.backend import (
    BackendUnavailableError,
    UnknownBackendError,
    default_backend,
    get_backend,
)
from tinygrad_bn.blas import one_thread
from tinygrad_bn.data import mnist
from tinygrad_bn.plotting import plot_accuracy, require_matplotlib
from tinygrad_bn.serialization import CheckpointError, load_checkpoint
from tinygrad_bn.training import InterruptGuard

from . import report
from .comparison import KIND, NETWORKS, Comparison
from .console import literal_console
from .errors import CommandError, Interrupted, expecting
from .settings import Settings

CHECKPOINT = "checkpoint.safetensors"
PLOT = "accuracy.png"

_SMALL = 256  # layers up to this width, in batches up to this size, gain nothing by threads


def run(options: Mapping[str, Any], program: str) -> None:
    """Train, show, write.

    `options` holds what the user gave, by the names of `Settings`, and besides `epochs`, `out`,
    `resume` and `plot`; `program` is how the user called us.

    Raises CommandError for what may go wrong outside, Interrupted after Ctrl-C
    or SIGTERM.
    """
    if options["plot"]:
        with expecting(ImportError):
            _require_plot()
    comparison = _prepare(options)
    out = _folder(options)
    console = literal_console()
    with _threads(comparison.settings):
        _train(comparison, out, console, program)
    summary = report.summarize(comparison)
    console.print(report.table(summary))  # first: it is seen even if nothing can be written
    with expecting(OSError):
        comparison.save(out / CHECKPOINT)
        paths = report.write_files(comparison, summary, out)
        if options["plot"]:
            paths.append(out / PLOT)
            curves = {t: summary[name]["test_accuracy"] for name, t in NETWORKS.items()}
            plot_accuracy(paths[-1], summary["steps"], curves)
    console.print("Wrote", ", ".join(str(path) for path in paths), soft_wrap=True, highlight=False)


def _threads(settings: Settings) -> AbstractContextManager[Any]:
    """One thread for BLAS where the products are small; as many as it likes elsewhere."""
    small = max((*settings.hidden, settings.batch_size)) <= _SMALL
    return one_thread() if small else nullcontext()


def _require_plot() -> None:
    try:
        require_matplotlib()
    except ImportError as error:
        raise ImportError(f"{error}, or leave the plot out with --no-plot") from error


def _prepare(options: Mapping[str, Any]) -> Comparison:
    """A comparison at its start, or where the checkpoint left it."""
    given = {f.name: options[f.name] for f in dataclasses.fields(Settings) if f.name in options}
    if "data" in given:
        given["data"] = str(Path(given["data"]).absolute())  # a resumed run may start elsewhere
    tree = None
    settings = Settings(**given)
    if "resume" in options:
        tree = _read_checkpoint(options["resume"])
        with _damage_told(options["resume"]):
            settings = dataclasses.replace(Settings.load(tree["settings"]), **given)
    with expecting(UnknownBackendError, BackendUnavailableError):
        if settings.backend is not None:
            set_default_backend(get_backend(settings.backend, source=_backend_source(options)))
        default_backend()
    with expecting(OSError, ValueError):
        train, test = mnist(settings.data)
    if settings.batch_size > len(train):
        raise CommandError(
            f"--batch-size must be at most the {len(train)} training images, "
            f"got {settings.batch_size}"
        )
    if "epochs" in options:
        steps = options["epochs"] * (len(train) // settings.batch_size)
        settings = dataclasses.replace(settings, steps=steps)
    comparison = Comparison(settings, train, test)
    if tree is not None:
        _restore(comparison, tree, options["resume"])
    return comparison


def _read_checkpoint(path: str) -> Mapping[str, Any]:
    with expecting(CheckpointError, OSError):
        tree = load_checkpoint(path)
    if tree.get("kind") != KIND:
        raise CommandError(f"{path} is a checkpoint, but not one of this command")
    return tree


@contextmanager
def _damage_told(path: str) -> Iterator[None]:
    """Inside the block, what does not fit is the fault of the checkpoint."""
    try:
        yield
    except KeyError as error:
        raise CommandError(f"{path} is damaged or of another version: lacks {error}") from error
    except (TypeError, ValueError) as error:
        raise CommandError(f"{path}: {error}") from error


def _backend_source(options: Mapping[str, Any]) -> str:
    """Where the backend's name came from, for messages."""
    return "from --backend" if "backend" in options else f"from {options['resume']}"


def _restore(comparison: Comparison, tree: Mapping[str, Any], path: str) -> None:
    with _damage_told(path):
        comparison.restore(tree)
    if comparison.step > comparison.settings.steps:
        raise CommandError(
            f"{path} is at step {comparison.step} already: "
            f"--steps must be at least that, got {comparison.settings.steps}"
        )


def _folder(options: Mapping[str, Any]) -> Path:
    """The folder for the results, made if need be."""
    default = Path(options["resume"]).parent if "resume" in options else Path("runs/train")
    out = Path(options.get("out", default))
    with expecting(OSError):
        out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise CommandError(f"--out must be a folder that can be written to, got {str(out)!r}")
    return out


def _divergence(comparison: Comparison, name: str) -> str:
    step = comparison.diverged()[name]
    loss = comparison.trainers[name].history["loss"][step - 1]
    return (
        f"{NETWORKS[name]}: the loss became {loss} at step {step:,}, the training has diverged; "
        "a smaller --lr may help"
    )


def _train(comparison: Comparison, out: Path, console: Console, program: str) -> None:
    from .display import display

    with InterruptGuard() as guard, display(console, comparison) as show:
        told: set[str] = set()
        for step in comparison.run():
            show(step)
            for name in comparison.diverged().keys() - told:
                told.add(name)
                console.print(_divergence(comparison, name), highlight=False, soft_wrap=True)
            if guard.requested:
                break
    if not guard.requested:
        return
    path = out / CHECKPOINT
    with expecting(OSError):
        comparison.save(path)
    assert guard.signal is not None
    raise Interrupted(
        f"Interrupted after step {comparison.step:,}; everything so far is saved. Go on with:\n"
        f"  {program} train --resume {shlex.quote(str(path))}",
        guard.signal,
    )
