"""`python -m benchmarks.gpu`: measure on the first GPU, print the figures, write them as JSON."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tinygrad_bn.backend import BackendUnavailableError, get_backend

from . import normalization, training
from .timing import Figure

OUT = Path("runs/bench-gpu")
NOT_REACHED = ("missed", "not measured")


def main() -> int:
    """1 if there is no GPU, or a figure was missed or not measured."""
    try:
        backend = get_backend("cupy")
    except BackendUnavailableError as error:
        print(f"make bench-gpu needs a GPU, and there is none: {error}", file=sys.stderr)
        return 1
    figures = [*normalization.figures(), *training.figures()]
    show(figures, str(backend.place))
    OUT.mkdir(parents=True, exist_ok=True)
    found = {
        "device": str(backend.place),
        "figures": [{**asdict(f), "outcome": f.outcome} for f in figures],
    }
    (OUT / "figures.json").write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 1 if any(f.outcome in NOT_REACHED for f in figures) else 0


def show(figures: list[Figure], device: str) -> None:
    """Print a table: what was measured, what was asked, and whether it was reached."""
    table = Table(title=f"On {device}")
    for column in ("figure", "measured", "asked", "", "how"):
        table.add_column(column)
    for f in figures:
        asked = "" if f.asked is None else f"≥ {f.asked:g}"
        measured = "" if f.value is None else f"{f.value:.3g} {f.unit}"
        table.add_row(f.name, measured, asked, f.outcome, f.note)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
