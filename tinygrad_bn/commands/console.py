"""The console that all commands print to."""

from __future__ import annotations

from rich.console import Console


def literal_console() -> Console:
    """Prints text as it is: `[red]` in a path is no markup, `:x:` no emoji."""
    return Console(markup=False, emoji=False)
