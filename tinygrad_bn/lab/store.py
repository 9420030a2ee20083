"""The raw numbers on disk: one JSON file for each cell, `OUT/NAME/VARIANT-seedN.json`."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..serialization import write_atomically
from .experiment import Experiment, Results, Values

_KEYS = {"experiment", "variant", "seed", "settings", "machine", "seconds", "values"}

_KINDS = {"experiment": str, "variant": str, "seed": int, "settings": dict, "values": dict}


class StoreError(ValueError):
    """A file of results is damaged, or of another run; the message names it."""


def path_of(folder: Path, experiment: str, variant: str, seed: int) -> Path:
    """Where a cell's numbers are; the variant's name in letters that every file system has."""
    stem = re.sub(r"[^a-z0-9.]+", "-", variant.lower()).strip("-")
    return folder / experiment / f"{stem}-seed{seed}.json"


def write(path: Path, record: Mapping[str, Any]) -> None:
    """Write a cell; infinity and NaN, which JSON lacks, as the words 'inf', '-inf' and 'nan'."""
    assert set(record) == _KEYS, set(record)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_to_json(record), indent=None, allow_nan=False, ensure_ascii=False)
    write_atomically(path, f"{text}\n".encode())


def read(path: Path) -> dict[str, Any]:
    """Read a cell; StoreError, naming the file, when it is not one."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(
            f"{path} is damaged: {error}; remove it, and its cell is measured anew"
        ) from None
    if not isinstance(record, dict) or set(record) != _KEYS:
        keys = sorted(record) if isinstance(record, dict) else type(record).__name__
        raise StoreError(f"{path} must hold {sorted(_KEYS)}, got {keys}")
    for key, kind in _KINDS.items():
        if not isinstance(record[key], kind):
            found = type(record[key]).__name__
            raise StoreError(f"{path}: {key} must be of type {kind.__name__}, got {found}")
    return _from_json(record)


def check_same(path: Path, record: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """StoreError, saying what differs, unless the cell was measured with these settings."""
    other = record["settings"]
    differing = [
        f"{key} {other.get(key, 'absent')!r}, not {settings.get(key, 'absent')!r}"
        for key in sorted({*other, *settings})
        if other.get(key) != settings.get(key) or (key in other) != (key in settings)
    ]
    if differing:
        raise StoreError(
            f"{path} was measured with {'; '.join(differing)}: choose another --out, or remove it"
        )


def load(folder: Path, experiment: Experiment) -> tuple[Results, list[dict[str, Any]]] | None:
    """All finished cells of an experiment, with their records; None if there are none.

    Seeds count that every variant has. Raises StoreError for a damaged file, and for cells of
    runs with different settings.
    """
    paths = sorted((folder / experiment.name).glob("*-seed*.json"))
    records = [read(path) for path in paths]
    for path, record in zip(paths, records, strict=True):
        check_same(path, record, records[0]["settings"])
        if record["experiment"] != experiment.name:
            raise StoreError(f"{path} is of the experiment {record['experiment']!r}")
    if not records:
        return None
    settings = records[0]["settings"]
    cells: dict[str, dict[int, Values]] = {v: {} for v in experiment.variants(settings)}
    for path, record in zip(paths, records, strict=True):
        if record["variant"] not in cells:
            raise StoreError(f"{path} is of the unknown variant {record['variant']!r}")
        cells[record["variant"]][record["seed"]] = record["values"]
    seeds = sorted(set.intersection(*(set(c) for c in cells.values())))
    return (Results(settings, cells, seeds), records) if seeds else None


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _to_json(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_to_json(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _from_json(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_from_json(v) for v in value]
    return float(value) if value in ("inf", "-inf", "nan") else value
