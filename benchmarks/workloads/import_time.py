"""Importing the package in a fresh interpreter, against importing NumPy and PyTorch."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from ..harness import Case
from ..peers import OURS

NAME = "import"
DESCRIPTION = "import in a fresh interpreter, bytecode cached"
SELF_TIMED = True

PROGRAM = """
import time
start = time.perf_counter()
import {module}
print(time.perf_counter() - start)
"""


def _seconds(module: str) -> float:
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    program = PROGRAM.format(module=module)
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def _build(module: str) -> Callable[[], float]:
    if importlib.util.find_spec(module) is None:
        raise ImportError(f"No module named {module!r}")
    return partial(_seconds, module)


def cases() -> dict[str, Case]:
    """One case: the three imports in turn."""
    modules = {OURS: "tinygrad_bn", "numpy": "numpy", "torch": "torch"}
    peers = {peer: partial(_build, name) for peer, name in modules.items()}
    return {"cold process": Case(peers, {"numpy": 0.5, "torch": 1.0})}
