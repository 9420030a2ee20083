"""Compiled code on disk: a checksummed file for each kernel and signature, in a private folder.

The folder is `$TINYGRAD_BN_CACHE/numba-KEY`, or `tinygrad_bn/numba-KEY` in the user's cache folder.
KEY is a hash of what all compiled code depends on: this package, Python, NumPy, Numba, LLVM, the
processor and its features. A file's name is a hash of what one kernel depends on: the types of its
arguments and its fingerprint, the code of all kernels inside it included.

A file is machine code, and a pickle. It is used only if it belongs to the user, nobody else may
write to it, and its checksum over KEY, name and contents holds: one that is truncated, damaged,
half written, of another version or under another's name is a miss. It is written under another
name and renamed, so processes that write at once do no harm.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import pickle
import stat
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core import compiler, serialize

from . import fingerprint, pruning

VARIABLE = "TINYGRAD_BN_CACHE"
_MAGIC = b"tinygrad_bn kernel 2\n"
_START = len(_MAGIC) + hashlib.sha256().digest_size
_DAY = 86400.0


def root() -> Path:
    """The folder that holds the caches of all versions."""
    chosen = os.environ.get(VARIABLE, "").strip()
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or "~/AppData/Local"
    elif sys.platform == "darwin":
        base = "~/Library/Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser().absolute() / "tinygrad_bn"


@functools.cache
def key() -> str:
    """A hash of what all compiled code depends on."""
    settings = [
        f"{name}={value}"
        for name, value in sorted(os.environ.items())
        if name.startswith("NUMBA_") and "THREAD" not in name
    ]
    digest = hashlib.sha256()
    for text in (
        version("tinygrad_bn"),
        sys.version,
        np.__version__,
        numba.__version__,
        llvmlite.__version__,
        binding.get_process_triple(),
        binding.get_host_cpu_name(),
        binding.get_host_cpu_features().flatten(),
        *settings,
    ):
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:24]


@functools.cache
def folder(parent: Path) -> Path | None:
    """The private folder of this version below `parent`, made if need be; None without one.

    Warns if it cannot be made, or if others could write to it: what lies in it is executed.
    """
    path = parent / f"numba-{key()}"
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        _require_private(path)
        os.utime(path)  # for pruning: when it was last used
    except OSError as error:
        _warn(
            f"compiled kernels are not kept, every process compiles them again: {error}; "
            f"set {VARIABLE} to a folder of your own"
        )
        return None
    return path


class DiskCache:
    """What a Numba dispatcher asks for compiled code, in place of Numba's own index files."""

    cache_path = None

    def __init__(self, function: Any, options: dict[str, Any]) -> None:
        self._function = function
        self._options = options

    def load_overload(self, signature: Any, target_context: Any) -> Any:
        """The compiled code of a signature, or None."""
        path = self._path(signature)
        payload = None if path is None else read(path)
        if payload is None:
            return None
        target_context.refresh()
        try:
            return compiler.CompileResult._rebuild(target_context, *pickle.loads(payload))
        except Exception:  # whatever it is, compiling again is the way out
            return None

    def save_overload(self, signature: Any, data: Any) -> None:
        """Keep the compiled code of a signature."""
        path = self._path(signature)
        if path is None or data.library.has_dynamic_globals:  # which are addresses of this process
            return
        write(path, serialize.dumps(data._reduce()))

    @functools.cached_property
    def _fingerprint(self) -> str:
        return fingerprint.of_function(self._function, self._options)

    def _path(self, signature: Any) -> Path | None:
        here = folder(root())
        if here is None:
            return None
        name = hashlib.sha256(f"{self._fingerprint}\0{signature}".encode()).hexdigest()[:24]
        return here / f"{self._function.__name__}-{name}.kernel"


def read(path: Path) -> bytes | None:
    """The contents of a file if it is whole and nobody else's, else None."""
    try:
        with open(path, "rb") as file:
            status = os.fstat(file.fileno())
            if not _is_private(status):
                return None
            data = file.read()
        if time.time() - status.st_mtime > _DAY:
            os.utime(path)  # for pruning: it is in use
    except OSError:
        return None
    payload = data[_START:]
    return payload if data[:_START] == _head(path, payload) else None


def write(path: Path, payload: bytes) -> None:
    """Put a file in place at once; where that fails (a full disk) there simply is none."""
    try:
        path.parent.mkdir(mode=0o700, exist_ok=True)  # it may have been pruned meanwhile
        handle, temporary = tempfile.mkstemp(prefix=pruning.UNFINISHED, dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(_head(path, payload) + payload)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        _warn(f"a compiled kernel could not be kept in {path.parent}: {error.strerror}")
        return
    pruning.prune_once(path.parent)


def _head(path: Path, payload: bytes) -> bytes:
    """What a file begins with: its kind and a checksum of where it belongs and what it holds."""
    digest = hashlib.sha256(f"{key()}\0{path.name}\0".encode())
    digest.update(payload)
    return _MAGIC + digest.digest()


def _require_private(path: Path) -> None:
    """PermissionError or NotADirectoryError for a folder that is not the user's alone."""
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise NotADirectoryError(20, "not a folder", str(path))
    if not _is_private(status):
        raise PermissionError(1, "others may write to it", str(path))
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(13, "not writable", str(path))


def _is_private(status: os.stat_result) -> bool:
    """Whether a file or folder belongs to the user and nobody else may write to it."""
    if os.name != "posix":
        return True  # the rights of the user's own cache folder hold there
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


@functools.cache
def _warn(message: str) -> None:
    """Warn once of one thing."""
    warnings.warn(message, RuntimeWarning, stacklevel=3)
