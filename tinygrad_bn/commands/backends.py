"""`tinygrad-bn backends`: what there is, what runs here, what is missing; compiling ahead."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from tinygrad_bn.backend import Backend, BackendUnavailableError, get_backend, known_backends

from .console import literal_console


def run(*, warm_up: bool) -> None:
    """Print a table of all known backends; with `warm_up`, prepare those that run here."""
    table = Table(title="Backends")
    for column in ("name", "runs here", "library", "device"):
        table.add_column(column)
    table.add_column("what else, or why not and what to do", overflow="fold")
    running = []
    for name in known_backends():
        backend, reason = load(name)
        if backend is None:
            table.add_row(name, "no", "", "", reason)
        else:
            table.add_row(name, "yes", *describe(backend))
            running.append(backend)
    console = literal_console()
    console.print(table)
    if warm_up:
        for backend in running:
            prepare(backend, console)


def load(name: str) -> tuple[Backend | None, str]:
    """A backend, or None and the reason why it cannot run."""
    try:
        return get_backend(name), ""
    except BackendUnavailableError as error:
        return None, str(error)
    except Exception as error:  # someone else's plug-in: one that is broken hides no other
        return None, f"loading it failed: {type(error).__name__}: {error}"


def describe(backend: Backend) -> tuple[str, str, str]:
    """A backend's library with its version, its device, and what else it tells."""
    device = "cpu" if backend.device is None else str(backend.device)
    try:
        details = backend.details()
    except BackendUnavailableError as error:
        return backend.library(), device, str(error)
    return backend.library(), device, "\n".join(f"{what}: {it}" for what, it in details.items())


def prepare(backend: Backend, console: Console) -> None:
    """Do what a backend can do ahead, under a bar."""
    work = backend.preparations()
    if not work:
        return
    bar = Progress(
        TextColumn(f"Warming up {backend.name}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
        console=console,
    )
    with bar:
        task = bar.add_task("", total=len(work))
        for what, do in work:
            bar.update(task, description=what)
            do()
            bar.advance(task)
        bar.update(task, description="done")
