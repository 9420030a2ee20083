"""`tinygrad-bn backends`: what there is, what runs here, and what is missing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from tinygrad_bn.backend import BackendUnavailableError, get_backend, known_backends


def run() -> None:
    """Print a table of all known backends."""
    table = Table(title="Backends")
    for column in ("name", "runs here", "version", "device"):
        table.add_column(column)
    table.add_column("why not, and what to do", overflow="fold")
    for name in known_backends():
        table.add_row(name, *describe(name))
    Console().print(table)


def describe(name: str) -> tuple[str, str, str, str]:
    """Whether a backend can run, its library's version, its device, and the reason if not."""
    try:
        backend = get_backend(name)
    except BackendUnavailableError as error:
        return "no", "", "", str(error)
    except Exception as error:  # someone else's plug-in: one that is broken hides no other
        return "no", "", "", f"loading it failed: {type(error).__name__}: {error}"
    library = backend.xp
    version = getattr(library, "__version__", "unknown")
    device = "cpu" if backend.device is None else str(backend.device)
    return "yes", f"{getattr(library, '__name__', name)} {version}", device, ""
