"""Keeps the cache of compiled kernels small: what no process has used for a while is removed.

Another process may use what is removed here: it then compiles again, and that is all.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import shutil
import time
from pathlib import Path

UNFINISHED = ".new-"
"""How the name of a file begins that is being written."""

UNUSED = 30 * 86400.0
"""Seconds after which a file, or the folder of another version, is no longer wanted."""
VERSIONS = 8
"""How many folders of versions are kept at most."""
SIZE = 1 << 30
"""Bytes that the files of one version may take."""
_LEFT = 3600.0  # seconds after which a file that was never finished is nobody's
_FOLDER = re.compile("numba-[0-9a-f]{24}")


@functools.cache
def prune_once(folder: Path) -> None:
    """Remove what is old in `folder` and beside it, once in the life of a process."""
    with contextlib.suppress(OSError):
        prune_files(folder)
        prune_versions(folder)


def prune_versions(current: Path) -> None:
    """Remove the folders of other versions that are old or too many."""
    others = []
    for path in current.parent.iterdir():
        if _FOLDER.fullmatch(path.name) and path != current and not path.is_symlink():
            with contextlib.suppress(OSError):
                others.append((path.stat().st_mtime, path))
    others.sort(reverse=True)
    for number, (used, path) in enumerate(others, start=2):
        if number > VERSIONS or time.time() - used > UNUSED:
            shutil.rmtree(path, ignore_errors=True)


def prune_files(folder: Path) -> None:
    """Remove files that are old, were never finished, or are the oldest of too many."""
    now, total = time.time(), 0
    files = []
    for entry in os.scandir(folder):
        with contextlib.suppress(OSError):
            status = entry.stat(follow_symlinks=False)
            files.append((status.st_mtime, status.st_size, entry))
    for used, size, entry in sorted(files, key=lambda file: file[0], reverse=True):
        total += size
        limit = _LEFT if entry.name.startswith(UNFINISHED) else UNUSED
        if total > SIZE or now - used > limit:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)
