"""The IDX format: round trip, and a message for every way a file can be wrong."""

import gzip
import hashlib
import re
import struct

import numpy as np
import pytest

from tinygrad_bn.data import idx

VALUES = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
RAW = idx.encode(VALUES)
FILE = idx.IdxFile("some-images", VALUES.shape, hashlib.sha256(RAW).hexdigest())
PACKED = gzip.compress(RAW, mtime=0)


def test_layout():
    assert RAW[:16] == bytes.fromhex("00000803 00000002 00000003 00000004")
    assert RAW[16:] == bytes(range(24))


@pytest.mark.parametrize("content", [RAW, PACKED])
def test_round_trip(content):
    values = idx.read(content, FILE, "here")
    np.testing.assert_array_equal(values, VALUES)
    assert values.dtype == np.uint8
    assert not values.flags.writeable


def test_labels_round_trip():
    raw = idx.encode(np.array([3, 1], dtype=np.uint8))
    assert raw == struct.pack(">II2B", 0x801, 2, 3, 1)
    assert idx.decode(raw, (2,), "here").tolist() == [3, 1]


def test_only_bytes_are_encoded():
    with pytest.raises(TypeError, match=r"^encode: values must have dtype uint8, got int64$"):
        idx.encode(np.arange(3))


flipped = bytearray(RAW)
flipped[20] ^= 1
BROKEN = {
    "empty": (b"", "truncated IDX header: expected 16 bytes, got 0 in all"),
    "header": (RAW[:10], "truncated IDX header: expected 16 bytes, got 10 in all"),
    "magic": (
        b"\0\0\x0d\x03" + RAW[4:],
        "wrong IDX magic number: expected 0x00000803 (unsigned bytes, 3 dimensions), "
        "got 0x00000d03",
    ),
    "count": (
        RAW[:4] + struct.pack(">I", 5) + RAW[8:],
        "wrong shape in the IDX header: expected (2, 3, 4), got (5, 3, 4)",
    ),
    "truncated": (RAW[:-1], "truncated: expected 24 bytes after the IDX header, got 23"),
    "trailing": (
        RAW + b"xy",
        "trailing garbage: expected 24 bytes after the IDX header, got 26",
    ),
    "content": (
        bytes(flipped),
        f"corrupt content: expected SHA-256 {FILE.sha256}, "
        f"got {hashlib.sha256(flipped).hexdigest()}",
    ),
}


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
@pytest.mark.parametrize(("content", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_content_is_refused(content, message, pack):
    with pytest.raises(ValueError, match=f"^{re.escape('/a/file: ' + message)}$"):
        idx.read(pack(content), FILE, "/a/file")


def test_truncated_gzip():
    message = f"/a/file: the gzip stream is truncated: it ends after {len(PACKED) - 9} bytes"
    with pytest.raises(ValueError, match=f"^{message}$"):
        idx.read(PACKED[:-9], FILE, "/a/file")


@pytest.mark.parametrize(
    "content",
    [
        PACKED[:20] + b"\xff\xff\xff" + PACKED[23:],
        PACKED[:-8] + bytes(8),
        PACKED + b"garbage",
    ],
    ids=["deflate", "checksum", "trailing"],
)
def test_corrupt_gzip(content):
    with pytest.raises(ValueError, match=r"^/a/file: the gzip stream is corrupt: "):
        idx.read(content, FILE, "/a/file")
