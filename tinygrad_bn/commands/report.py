"""What a comparison found: the table, the metrics as JSON, the weights."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tinygrad_bn.serialization import save, write_atomically

from .comparison import NETWORKS, Comparison, is_milestone

if TYPE_CHECKING:
    from rich.table import Table


def summarize(comparison: Comparison) -> dict[str, Any]:
    """The results as plain values: curves, bests, steps to the plain network's best, seconds."""
    curve = comparison.curve
    plain_best = max(curve["plain"]["accuracy"])
    networks = {}
    for name in NETWORKS:
        accuracies = curve[name]["accuracy"]
        networks[name] = {
            "test_accuracy": accuracies,
            "test_loss": curve[name]["loss"],
            "best_accuracy": max(accuracies),
            "steps_to_plain_best": _first(curve["steps"], accuracies, plain_best),
            "train_seconds": comparison.seconds[name],
            "diverged_at_step": comparison.diverged().get(name),
        }
    return {
        "settings": comparison.settings.as_dict(),
        "backend": next(iter(comparison.trainers["plain"].model.parameters())).backend,
        "train_images": len(comparison.loader.dataset),
        "steps": curve["steps"],
        "plain_best_accuracy": plain_best,
        **networks,
    }


def _first(steps: list[int], accuracies: list[float], goal: float) -> int | None:
    return next((s for s, a in zip(steps, accuracies, strict=True) if a >= goal), None)


def table(summary: dict[str, Any]) -> Table:
    """The summary for the eye."""
    from rich.table import Table

    rows = Table(title="Test accuracy")
    rows.add_column("after", justify="right")
    for title in NETWORKS.values():
        rows.add_column(title, justify="right")
    steps = summary["steps"]
    for i, step in enumerate(steps):
        if is_milestone(step) or i == len(steps) - 1:
            rows.add_row(
                f"{step:,} steps",
                *[f"{summary[name]['test_accuracy'][i]:.2%}" for name in NETWORKS],
            )
    rows.add_section()
    rows.add_row("best", *[f"{summary[name]['best_accuracy']:.2%}" for name in NETWORKS])
    rows.add_row(
        f"steps to {summary['plain_best_accuracy']:.2%}",
        *[_count(summary[name]["steps_to_plain_best"]) for name in NETWORKS],
    )
    rows.add_row(
        "seconds of training", *[f"{summary[name]['train_seconds']:.1f}" for name in NETWORKS]
    )
    return rows


def _count(steps: int | None) -> str:
    return "not reached" if steps is None else f"{steps:,}"


def write_files(comparison: Comparison, summary: dict[str, Any], folder: Path) -> list[Path]:
    """Write the metrics and both networks' weights; returns the paths."""
    metrics = folder / "metrics.json"
    text = json.dumps(_finite(summary), indent=2, allow_nan=False)
    write_atomically(metrics, f"{text}\n".encode())
    paths = [metrics]
    for name, trainer in comparison.trainers.items():
        path = folder / f"{name}.safetensors"
        save(path, trainer.model.state_dict())
        paths.append(path)
    return paths


def _finite(value: Any) -> Any:
    """The tree with null for NaN and infinity, the losses of a diverged run: JSON has no others."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
