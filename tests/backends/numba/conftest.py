"""What the tests of the compiler share: small kernels in a folder, run by fresh interpreters."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytest.importorskip("numba", reason="numba is not installed: pip install 'tinygrad_bn[numba]'")

ROOT = Path(__file__).parents[3]

KERNELS = """
import numpy as np
from numba import prange
from tinygrad_bn.backends.numba.compiler import driver, exact, kernel

FACTOR = 2.0

@exact
def innermost(a):
    return a * FACTOR

@kernel
def inner(a):
    return innermost(a) + 1.0

@driver
def outer(x, y):
    for i in prange(x.size):
        y[i] = inner(x[i])

@driver
def sums(x, y):
    for i in prange(x.shape[0]):
        total = 0.0
        for j in range(x.shape[1]):
            total += x[i, j]
        y[i] = total
"""

RUN = """
import sys, warnings
import numpy as np
from tinygrad_bn.backends.numba import compiler, threads
threads.configure()
import sample
x, y = np.arange(40.0), np.zeros(40)
sample.outer(0, x, y)
assert (y == x * sample.FACTOR + 1).all(), y
y[:] = 0
sample.outer.parallel(x, y)
assert (y == x * sample.FACTOR + 1).all(), y
rows = np.arange(12.0).reshape(4, 3)
sample.sums(0, rows, y[:4])
assert (y[:4] == rows.sum(1)).all(), y
forms = [sample.outer.serial, sample.outer.parallel, sample.sums.serial]
print(sum(sum(f.stats.cache_hits.values()) for f in forms))
"""
"""Calls three forms, checks their results and prints how many came from the disk."""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A cache folder of this process's own."""
    from tinygrad_bn.backends.numba import cache, pruning

    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    for function in (cache.folder, cache._warn, pruning.prune_once):
        function.cache_clear()
    yield cache.folder(cache.root())
    for function in (cache.folder, cache._warn, pruning.prune_once):
        function.cache_clear()


@pytest.fixture
def workshop(tmp_path):
    """A folder with the module `sample`, a cache of its own, and interpreters that use both."""
    if os.environ.get("NUMBA_DISABLE_JIT", "0") != "0":
        pytest.skip("nothing is compiled with NUMBA_DISABLE_JIT")
    return Workshop(tmp_path)


class Workshop:
    def __init__(self, folder):
        self.folder = folder
        self.cache = folder / "cache"
        self.users_cache = os.environ.get("TINYGRAD_BN_CACHE", "")
        self.write(KERNELS)

    def write(self, source):
        """Make `source` the module `sample`."""
        (self.folder / "sample.py").write_text(source)

    def start(self, code=RUN, flags=("-W", "error"), **environment):
        """An interpreter that runs `code`."""
        env = os.environ | {
            "TINYGRAD_BN_CACHE": str(self.cache),
            "PYTHONPATH": os.pathsep.join([str(self.folder), str(ROOT)]),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        return subprocess.Popen(
            [sys.executable, *flags, "-c", textwrap.dedent(code)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=env | environment,
        )

    def run(self, code=RUN, **options):
        """What such an interpreter prints; it must end well."""
        out, err = self.finish(self.start(code, **options))
        assert err == "", err
        return out

    def finish(self, process):
        """Output and errors of an interpreter that must end well."""
        out, err = process.communicate(timeout=1100)
        assert process.returncode == 0, err
        return out.strip(), err.strip()

    def entries(self):
        """The files in the cache."""
        return sorted(self.cache.glob("numba-*/*.kernel"))
