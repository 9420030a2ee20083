"""Compiled code on disk: a checksummed file for each kernel and signature, in a private folder.

The folder is `$TINYGRAD_BN_CACHE/numba-KEY`, or `tinygrad_bn/numba-KEY` in the user's cache folder.
KEY is a hash of everything that compiled code depends on: this package's kernels, Python, NumPy,
Numba, LLVM, the processor and its features. A file is written under another name and renamed, and
read only if its checksum holds: one that is truncated, damaged or half written is a miss.
"""

from __future__ import annotations

import functools
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core import compiler, serialize
from numba.core.caching import CompileResultCacheImpl

VARIABLE = "TINYGRAD_BN_CACHE"
_MAGIC = b"tinygrad_bn kernel 1\n"
_DIGEST = hashlib.sha256().digest_size


def root() -> Path:
    """The folder that holds the caches of all versions."""
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "tinygrad_bn"


@functools.cache
def key() -> str:
    """A hash of all that compiled code depends on."""
    versions = [
        version("tinygrad_bn"),
        sys.version,
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
    ]
    features = binding.get_host_cpu_features().flatten()
    settings = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and "THREAD" not in name
    ]
    digest = hashlib.sha256()
    for text in (*versions, binding.get_host_cpu_name(), features, *settings):
        digest.update(text.encode() + b"\0")
    for source in sorted(Path(__file__).parent.rglob("*.py")):
        digest.update(source.read_bytes() + b"\0")
    return digest.hexdigest()[:24]


@functools.cache
def folder(parent: Path) -> Path | None:
    """The private folder of this version below `parent`, made if need be; None without one.

    Warns if it cannot be made, or if others could write to it: what lies in it is executed.
    """
    path = parent / f"numba-{key()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = path.stat()
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(13, "not writable", str(path))
        if os.name == "posix" and (
            status.st_uid != os.geteuid() or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        ):
            raise PermissionError(1, "others may write to it", str(path))
    except OSError as error:
        warnings.warn(
            f"compiled kernels are not kept, every process compiles them again: {error}; "
            f"set {VARIABLE} to a folder of your own",
            RuntimeWarning,
            stacklevel=2,
        )
        return None
    return path


class DiskCache:
    """What a Numba dispatcher asks for compiled code, in place of Numba's own index files."""

    cache_path = None

    def __init__(self, function: Any) -> None:
        self._name = f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        self._implementation = _Checks()

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled code of a signature, or None."""
        path = self._path(signature)
        payload = None if path is None else read(path)
        if payload is None:
            return None
        target_context.refresh()
        return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep the compiled code of a signature."""
        path = self._path(signature)
        if path is not None and self._implementation.check_cachable(data):
            write(path, serialize.dumps(data._reduce()))

    def _path(self, signature: Any) -> Path | None:
        here = folder(root())
        if here is None:
            return None
        name = hashlib.sha256(str(signature).encode()).hexdigest()[:24]
        return here / f"{self._name}-{name}.kernel"


class _Checks(CompileResultCacheImpl):
    """Numba's test of what can be kept, without its search for a place."""

    def __init__(self) -> None:
        pass


def read(path: Path) -> bytes | None:
    """The contents of a file if it is whole, else None."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    start = len(_MAGIC) + _DIGEST
    payload = data[start:]
    if data[:start] != _MAGIC + hashlib.sha256(payload).digest():
        return None
    return payload


def write(path: Path, payload: bytes) -> None:
    """Put a file in place at once; where that fails (a full disk) there simply is none."""
    try:
        handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_MAGIC + hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        warnings.warn(f"a compiled kernel could not be kept: {error}", RuntimeWarning, stacklevel=2)
