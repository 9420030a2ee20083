"""Kernel sources compiled for the CPU against `simt.h`, and launched on NumPy arrays."""

from __future__ import annotations

import ctypes
import fcntl
import functools
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from tinygrad_bn.backends.cupy.instances import instances
from tinygrad_bn.backends.cupy.launch import Launch, source_files

HERE = Path(__file__).parent
WATCHING = (
    *("-DSIMT_WATCH", "-fsanitize=kernel-address,alignment,signed-integer-overflow"),
    *("-fsanitize=integer-divide-by-zero", "--param", "asan-stack=0", "--param", "asan-globals=0"),
    *("--param", "asan-instrumentation-with-call-threshold=0"),
)
"""With these the compiler calls the functions of watch.h before every access; GCC's options."""
CLUSTER = 8
"""Blocks of the largest cluster whose kernels are compiled: all that planning can ask for."""
COMPILER = os.environ.get("CXX") or "g++"
OPTIONS = (
    *("-std=c++17", "-O1", "-shared", "-fPIC", "-U_FORTIFY_SOURCE", "-ffp-contract=off"),
    *("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas"),
)


def has_compiler() -> bool:
    """Whether there is a C++ compiler to run the kernels with."""
    return shutil.which(COMPILER) is not None


@functools.cache
def can_watch() -> bool:
    """Whether the compiler can watch over accesses to memory, as GCC on Linux does."""
    made = subprocess.run(
        [COMPILER, *WATCHING, "-c", "-x", "c++", "-", "-o", os.devnull],
        input="int main() { return 0; }", capture_output=True, text=True, check=False,
    )  # fmt: skip
    return made.returncode == 0 and sys.platform == "linux"


def options() -> tuple[str, ...]:
    """How libraries are compiled."""
    return (*OPTIONS, *WATCHING) if can_watch() else OPTIONS


class LaunchError(RuntimeError):
    """A kernel that could not be launched, or misbehaved."""


class Library:
    """All instances of one source, compiled."""

    def __init__(self, path: Path) -> None:
        self._launch = ctypes.CDLL(str(path)).simt_launch

    def launch(self, launch: Launch, arguments: tuple, seed: int, more=None) -> None:
        """Run a kernel to its end.

        With `more`, arrays whose addresses are in structs, it may touch these and those among the
        arguments alone, where the compiler can watch over that.
        """
        cells, keep, arrays = [], [], []
        for a in arguments:
            cell = _cell(a)
            keep.append(cell)
            cells.append(ctypes.cast(ctypes.byref(cell), ctypes.c_void_p))
        values = (ctypes.c_void_p * len(cells))(*cells)
        if more is not None:
            arrays = [a for a in (*arguments, *more) if isinstance(a, np.ndarray)]
        known = [n for a in arrays for n in (a.ctypes.data, a.nbytes)]
        error = ctypes.create_string_buffer(1000)
        grid = (ctypes.c_uint * 3)(*launch.grid)
        failed = self._launch(
            launch.instance.encode(), grid, ctypes.c_uint(launch.block),
            ctypes.c_size_t(launch.shared), ctypes.c_uint(launch.cluster), ctypes.c_uint(seed),
            values, ctypes.c_int(len(cells)), (ctypes.c_size_t * len(known))(*known),
            ctypes.c_int(len(arrays)), error, ctypes.c_size_t(len(error)),
        )  # fmt: skip
        if failed:
            raise LaunchError(f"{launch.source}.cu: {launch}: {error.value.decode()}")


def _cell(a):
    """What a kernel gets for an argument, as a ctypes object of its size."""
    if a is None:
        return ctypes.c_void_p(0)
    if isinstance(a, np.ndarray):
        assert a.flags.c_contiguous, f"an argument of shape {a.shape} must be contiguous"
        return ctypes.c_void_p(a.ctypes.data)
    if not isinstance(a, np.generic):
        raise TypeError(f"an argument must be an array, None or a NumPy scalar, got {a!r}")
    return ctypes.create_string_buffer(a.tobytes(), a.nbytes)


PROBES = (
    *("sums", "neighbours", "stuck", "overrun", "clusters", "halves", "record"),
    *("reach", "put", "product", "leave", "unwritten"),
)
"""The kernels of probe.cu."""


def text_of(source: str, changes: tuple[tuple[str, str, str], ...] = ()) -> dict[str, str]:
    """The files that a source is compiled from, with replacements (file, old, new) made."""
    files = {name: path.read_text() for name, path in source_files().items()}
    files["probe.cu"] = (HERE / "probe.cu").read_text()
    for name, old, new in changes:
        if files[name].count(old) == 0:
            raise ValueError(f"{name} has no {old!r}")
        files[name] = files[name].replace(old, new)
    files = {name: text for name, text in files.items() if _needed(name, source)}
    names = PROBES if source == "probe" else instances(source, CLUSTER)
    if changes:  # for one comparison, in single precision
        names = [name for name in names if "<float" in name]
    entries = ",\n    ".join(f"SIMT_ENTRY({name})" for name in names)
    files["main.cc"] = (
        f'#include "simt.h"\n#include "{source}.cu"\n#include "simt_library.h"\n'
        f"SIMT_LIBRARY(\n    {entries})\n"
    )
    for name in ("simt.h", "simt_library.h", "watch.h"):
        files[name] = (HERE / name).read_text()
    return files


def _needed(name: str, source: str) -> bool:
    """Whether a file may be included by a source: a header, or the source itself."""
    return name.endswith(".cuh") or name == f"{source}.cu"


@functools.cache
def library(source: str, changes: tuple[tuple[str, str, str], ...] = ()) -> Library:
    """The library of a source; compiled once for all processes and sessions, by content."""
    files = text_of(source, changes)
    content = "\0".join([COMPILER, *options(), *(f"{n}\0{t}" for n, t in sorted(files.items()))])
    key = hashlib.sha256(content.encode()).hexdigest()[:20]
    folder = Path(tempfile.gettempdir()) / f"tinygrad_bn-simt-{os.getuid()}" / f"{source}-{key}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "library.so").exists():
            _compile(folder, files)
    return Library(folder / "library.so")


def _compile(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).write_text(text)
    made = subprocess.run(
        [COMPILER, *options(), "-I.", "main.cc", "-o", "unfinished.so"],
        cwd=folder, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        raise LaunchError(f"{COMPILER} failed:\n{made.stderr[:5000]}")
    (folder / "unfinished.so").rename(folder / "library.so")
