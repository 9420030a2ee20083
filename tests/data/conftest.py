"""A tiny set in MNIST's format, and a test environment that the user's own cannot reach."""

import gzip
import hashlib
import os

import numpy as np
import pytest

from tinygrad_bn.data import digits, idx

FULL_ROOT = os.environ.get(digits.ENV)


class Small:
    """Six training and three test images of 4 by 5 pixels.

    ``files`` are the specifications by part, ``raw`` the unpacked files by name.
    """

    def __init__(self):
        rng = np.random.default_rng(0)
        self.files, self.raw = {}, {}
        for part, n in (("train", 6), ("t10k", 3)):
            values = rng.integers(0, 256, (n, 4, 5), np.uint8), rng.integers(0, 10, n, np.uint8)
            named = zip(digits.FULL[part], values, strict=True)
            self.files[part] = tuple(self._add(file.name, array) for file, array in named)
        self.names = list(self.raw)

    def _add(self, name, values):
        self.raw[name] = idx.encode(values)
        return idx.IdxFile(name, values.shape, hashlib.sha256(self.raw[name]).hexdigest())

    def fill(self, folder, *, packed=True, leave_out=()):
        """Write the files into a folder, gzipped or not."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in set(self.names) - set(leave_out):
            content = gzip.compress(self.raw[name]) if packed else self.raw[name]
            (folder / (f"{name}.gz" if packed else name)).write_bytes(content)


@pytest.fixture(scope="session")
def small():
    """The tiny set."""
    return Small()


@pytest.fixture
def full_root():
    """The folder with the full MNIST; without one the test is skipped."""
    if not FULL_ROOT:
        pytest.skip(f"needs the full MNIST: set {digits.ENV} to its folder")
    return FULL_ROOT


@pytest.fixture(autouse=True)
def _clean_environment(monkeypatch):
    monkeypatch.delenv(digits.ENV, raising=False)
    monkeypatch.setenv("no_proxy", "*")
