"""`make test-gpu`: run everything on a GPU, and write the record of it.

    python -m tools.gpu.verify                       # all checks
    python -m tools.gpu.verify memcheck racecheck    # some of them

The suite with the `backend` fixture on CuPy (gradient checks of both orders, comparisons with
NumPy), the tests marked `gpu`, and compute-sanitizer over every kernel. The record is written after
each check, so that what takes long can be done in parts: results of the same kernels, device and
versions are kept. Without a usable GPU it says why and fails, and the record stays as it is.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_bn.backend import Backend, BackendUnavailableError, get_backend

from . import record

WORKERS = str(min(8, os.cpu_count() or 1))
"""Processes that share the device in the long suite."""
ELSEWHERE = ("tests/parity", "tests/test_examples.py", "tests/backends/numba")
"""What needs PyTorch, trains for long, or is of the CPU alone."""
SUITES = {
    "cross-checks": ["tests/backends/cupy", "-m", "gpu"],
    "suite": ["tests", "-n", WORKERS, *(f"--ignore={place}" for place in ELSEWHERE)],
}
"""What pytest runs; the second holds the first, which is done sooner and counted by itself."""
PATIENCE = 3600
"""Seconds for one tool of compute-sanitizer."""
NO_SANITIZER = (
    "compute-sanitizer was not found: it comes with the CUDA toolkit; put its folder on PATH, or "
    "set CUDA_PATH to the toolkit's"
)


def run_suite(name: str) -> dict[str, Any]:
    """Run tests, and count their outcomes."""
    environment = {**os.environ, "TINYGRAD_BN_TEST_BACKENDS": "cupy"}
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", f"--junitxml={report}", *SUITES[name]]
        done = subprocess.run(command, cwd=record.ROOT, env=environment, check=False)
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
        return {"passed": False, "why": NO_SANITIZER}
    command = [
        *(program, "--tool", tool, "--error-exitcode", "9", "--target-processes", "all"),
        *(sys.executable, "-m", "tools.gpu.exercise"),
    ]
    try:
        done = subprocess.run(
            command, cwd=record.ROOT, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return {"passed": False, "why": f"not done after {PATIENCE} seconds"}
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    summary = [line.strip("= ") for line in lines if "SUMMARY" in line]
    if done.returncode or not summary:
        print("\n".join(lines[-60:]))
    if not summary:
        why = f"the tool ended with status {done.returncode} and no summary"
        return {"passed": False, "why": why, "said": lines[-1] if lines else ""}
    return {"passed": done.returncode == 0, "summary": summary[-1]}


def driver_release() -> str:
    """The driver's own version, as `nvidia-smi` gives it."""
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    except (OSError, subprocess.SubprocessError) as error:
        return f"of unknown release ({type(error).__name__} from nvidia-smi)"
    return (done.stdout.split() or ["of unknown release"])[0]


def surroundings(backend: Backend) -> dict[str, Any]:
    """Device, driver and versions."""
    cupy = backend.xp
    served = cupy.cuda.runtime.driverGetVersion()
    return {
        "device": backend.place.name,
        "compute_capability": ".".join(map(str, backend.limits.capability)),
        "driver": f"{driver_release()} (CUDA {served // 1000}.{served % 1000 // 10})",
        "versions": {
            "tinygrad_bn": importlib.metadata.version("tinygrad_bn"),
            "cupy": cupy.__version__,
            "cuda_runtime": cupy.cuda.runtime.runtimeGetVersion(),
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def earlier_results(before: record.Record, place: dict[str, Any]) -> dict[str, Any]:
    """Results in the record that still hold: of the same kernels, device and versions."""
    same = before["verified"] != record.NEVER and not record.differences(before)
    if not same or any(before.get(name) != value for name, value in place.items()):
        return {}
    return dict(before["results"])


def note(results: dict[str, Any], place: dict[str, Any]) -> record.Record:
    """Write the record of these results."""
    fresh: record.Record = {
        "verified": datetime.datetime.now(datetime.UTC).date().isoformat(),
        **place,
        "results": results,
    }
    verified = record.passed(fresh)
    fresh["kernels"] = {
        name: {"sha256": digest, "verified": verified} for name, digest in record.hashes().items()
    }
    fresh["statement"] = record.statement(fresh)
    record.write(fresh)
    return fresh


def arguments(given: Sequence[str] | None) -> list[str]:
    """The checks that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu.verify", description=__doc__)
    parser.add_argument("checks", nargs="*", metavar="CHECK", help=", ".join(record.CHECKS))
    wanted = parser.parse_args(given).checks
    for name in wanted:
        if name not in record.CHECKS:
            parser.error(f"there is no check {name!r}; there are {', '.join(record.CHECKS)}")
    return wanted or list(record.CHECKS)


def main(given: Sequence[str] | None = None) -> int:
    """0 if everything asked for passed."""
    wanted = arguments(given)
    try:
        backend = get_backend("cupy")
    except BackendUnavailableError as error:
        print(f"make test-gpu needs a GPU, and there is none: {error}", file=sys.stderr)
        print(f"The record is unchanged: {record.load()['statement']}", file=sys.stderr)
        return 1
    if sanitizer() is None and not set(wanted) <= set(SUITES):
        print(f"Some checks will fail: {NO_SANITIZER}", file=sys.stderr)
    place = surroundings(backend)
    results = earlier_results(record.load(), place)
    for name in wanted:
        begun = time.perf_counter()
        result = run_suite(name) if name in SUITES else run_tool(name)
        results[name] = {**result, "seconds": round(time.perf_counter() - begun)}
        outcome = "passed" if result["passed"] else "FAILED"
        print(f"{outcome}  {name}  {results[name]}", flush=True)
        statement = note(results, place)["statement"]
    print(statement)
    return 0 if all(results[name]["passed"] for name in wanted) else 1


if __name__ == "__main__":
    sys.exit(main())
