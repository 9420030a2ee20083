"""`make test-gpu`: run everything on a GPU, and write the record of it.

    python -m tools.gpu.verify

The whole suite with the `backend` fixture on CuPy (gradient checks of both orders, comparisons with
NumPy), the tests marked `gpu`, and compute-sanitizer over every kernel. Without a usable GPU it
says why and fails, and the record stays as it is.
"""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_bn.backend import Backend, BackendUnavailableError, get_backend

from . import record

TOOLS = ("memcheck", "racecheck", "synccheck")
SUITES = {
    "suite on cupy": ["tests", "--ignore=tests/parity", "--ignore=tests/test_examples.py"],
    "cross-checks": ["tests/backends/cupy", "-m", "gpu"],
}
"""What pytest runs; the first holds the second, which is counted by itself too."""
PATIENCE = 3600
"""Seconds for one tool of compute-sanitizer."""


def run_suite(name: str) -> dict[str, Any]:
    """Run tests, and count their outcomes."""
    environment = {**os.environ, "TINYGRAD_BN_TEST_BACKENDS": "cupy"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *SUITES[name]]
        done = subprocess.run(command, env=environment, check=False)
        if not report.exists():
            return {"passed": False, "why": f"pytest ended with status {done.returncode}"}
        suite = next(ElementTree.parse(report).getroot().iter("testsuite")).attrib
    failed = int(suite["failures"]) + int(suite["errors"])
    counts = {"tests": int(suite["tests"]), "failed": failed, "skipped": int(suite["skipped"])}
    return {"passed": done.returncode == 0, **counts}


def sanitizer() -> str | None:
    """Where compute-sanitizer is."""
    usual = Path(os.environ.get("CUDA_PATH", "/usr/local/cuda")) / "bin" / "compute-sanitizer"
    return shutil.which("compute-sanitizer") or (str(usual) if usual.exists() else None)


def run_tool(tool: str) -> dict[str, Any]:
    """Run every kernel under a tool of compute-sanitizer."""
    program = sanitizer()
    if program is None:
        return {"passed": False, "why": "compute-sanitizer was not found (CUDA toolkit, PATH)"}
    command = [
        *(program, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"),
        *(sys.executable, "-m", "tools.gpu.exercise"),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return {"passed": False, "why": f"not done after {PATIENCE} seconds"}
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode:
        print("\n".join(lines[-60:]))
    summary = [line.strip("= ") for line in lines if "SUMMARY" in line]
    return {"passed": done.returncode == 0, "summary": (summary or lines)[-1]}


def surroundings(backend: Backend) -> dict[str, Any]:
    """Device, driver and versions."""
    cupy = backend.xp
    driver = cupy.cuda.runtime.driverGetVersion()
    return {
        "device": backend.place.name,
        "compute_capability": ".".join(map(str, backend.limits.capability)),
        "driver": f"CUDA {driver // 1000}.{driver % 1000 // 10}",
        "versions": {
            "tinygrad_bn": importlib.metadata.version("tinygrad_bn"),
            "cupy": cupy.__version__,
            "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def main() -> int:
    """0 if everything passed."""
    try:
        backend = get_backend("cupy")
    except BackendUnavailableError as error:
        print(f"make test-gpu needs a GPU, and there is none: {error}", file=sys.stderr)
        print(f"The record is unchanged: {record.load()['statement']}", file=sys.stderr)
        return 1
    results = {name: run_suite(name) for name in SUITES}
    results |= {tool: run_tool(tool) for tool in TOOLS}
    passed = all(result["passed"] for result in results.values())
    kernels = {
        name: {"sha256": digest, "verified": passed} for name, digest in record.hashes().items()
    }
    fresh = {
        "verified": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **surroundings(backend),
        "results": results,
        "kernels": kernels,
    }
    record.write({**fresh, "statement": record.statement(fresh)})
    for name, result in results.items():
        print(f"{'passed' if result['passed'] else 'FAILED'}  {name}  {result}")
    print(record.statement(fresh))
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
