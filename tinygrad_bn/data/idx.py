"""The IDX file format: an array of bytes behind a short big-endian header.

Layout: two zero bytes, the type code (0x08, unsigned byte), the number of
dimensions, one 32-bit big-endian length per dimension, then the values in C order.

Source: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits".
"""

from __future__ import annotations

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_UNSIGNED_BYTE = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


@dataclass(frozen=True)
class IdxFile:
    """What one IDX file has to be: its name without ``.gz``, its shape, its content.

    ``sha256`` is the hexadecimal digest of the unpacked file, header included.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str


def unpack(content: bytes, origin: str) -> bytes:
    """Return ``content`` without its gzip wrapping, or as it is when it has none.

    ``origin`` is the path or URL that an error names.
    Raises ValueError when the gzip stream is truncated or corrupt.
    """
    if not content.startswith(_GZIP_MAGIC):
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise ValueError(
            f"{origin}: the gzip stream is truncated: it ends after {len(content)} bytes"
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{origin}: the gzip stream is corrupt: {error}") from error


def decode(raw: bytes, shape: tuple[int, ...], origin: str) -> NDArray[np.uint8]:
    """Return the array that the unpacked IDX file ``raw`` holds; it must have ``shape``.

    The array is read-only and shares the memory of ``raw``.
    Raises ValueError, naming ``origin``, for a wrong magic number, a shape other
    than expected, missing values or bytes after the last one.
    """
    header = 4 + 4 * len(shape)
    if len(raw) < header:
        raise ValueError(
            f"{origin}: truncated IDX header: expected {header} bytes, got {len(raw)} in all"
        )
    magic, *sizes = struct.unpack(f">{1 + len(shape)}I", raw[:header])
    expected_magic = _UNSIGNED_BYTE << 8 | len(shape)
    if magic != expected_magic:
        raise ValueError(
            f"{origin}: wrong IDX magic number: expected 0x{expected_magic:08x} "
            f"(unsigned bytes, {len(shape)} dimensions), got 0x{magic:08x}"
        )
    if tuple(sizes) != shape:
        raise ValueError(
            f"{origin}: wrong shape in the IDX header: expected {shape}, got {tuple(sizes)}"
        )
    expected, got = math.prod(shape), len(raw) - header
    if got != expected:
        fault = "truncated" if got < expected else "trailing garbage"
        raise ValueError(
            f"{origin}: {fault}: expected {expected} bytes after the IDX header, got {got}"
        )
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)


def read(content: bytes, expected: IdxFile, origin: str) -> NDArray[np.uint8]:
    """Return the array in the IDX file ``content``, gzipped or not, fully verified.

    Shape: ``expected.shape``. Raises ValueError, naming ``origin`` and what was
    expected and got, when the content is not exactly the expected file.
    """
    raw = unpack(content, origin)
    # The header first: its message says more than "another checksum".
    values = decode(raw, expected.shape, origin)
    digest = hashlib.sha256(raw).hexdigest()
    if digest != expected.sha256:
        raise ValueError(
            f"{origin}: corrupt content: expected SHA-256 {expected.sha256}, got {digest}"
        )
    return values


def encode(values: NDArray[np.uint8]) -> bytes:
    """Return the unpacked IDX file that holds ``values``.

    Raises TypeError when ``values`` is not an array of unsigned bytes.
    """
    if values.dtype != np.uint8:
        raise TypeError(f"encode: values must have dtype uint8, got {values.dtype}")
    magic = _UNSIGNED_BYTE << 8 | values.ndim
    return struct.pack(f">{1 + values.ndim}I", magic, *values.shape) + values.tobytes()
