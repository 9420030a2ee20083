"""Fetching one file into a folder: verified before it is there, and never there in part."""

from __future__ import annotations

import http.client
import os
import secrets
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

_TIMEOUT = 60.0  # seconds without a byte
_LARGEST = 64 * 2**20  # bytes; six times the largest file of MNIST


def download(url: str, target: Path, verify: Callable[[bytes, str], object]) -> bytes:
    """Fetch ``url``, verify it, write it to ``target``, and return its content.

    ``verify(content, url)`` raises when the content is not what it has to be; then
    nothing is written. Missing folders are made. Raises ValueError for a URL that is
    not http or https and for a file above 64 MiB, OSError when the transfer fails.
    """
    scheme = urllib.parse.urlsplit(url).scheme
    if scheme not in ("http", "https"):
        raise ValueError(f"download: url must begin with http:// or https://, got {url!r}")
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT) as response:
            content: bytes = response.read(_LARGEST + 1)
            promised = response.headers.get("Content-Length")
    except (OSError, http.client.HTTPException) as error:
        raise OSError(f"download: {url} could not be fetched: {error}") from error
    if len(content) > _LARGEST:
        raise ValueError(f"download: {url} must be at most {_LARGEST} bytes, got more")
    # A bounded read returns what came before a lost connection and does not complain.
    if promised is not None and int(promised) != len(content):
        raise OSError(
            f"download: {url} was cut short: expected {promised} bytes, got {len(content)}"
        )
    verify(content, url)
    write_atomically(target, content)
    return content


def write_atomically(target: Path, content: bytes) -> None:
    """Write a file so that a reader, or a crash, sees all of it or none of it.

    Missing folders are made. Raises OSError when the folder cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name}.{secrets.token_hex(8)}.part")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)
