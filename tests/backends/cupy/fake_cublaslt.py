"""The pretend cublasLt: compiled from C, so that the calls by ctypes are real ones."""

from __future__ import annotations

import ctypes
import functools
import shutil
import subprocess
import tempfile
from pathlib import Path

SOURCE = Path(__file__).parent / "cublaslt.c"
COMPILER = shutil.which("cc")


@functools.cache
def compiled():
    """The library, built once in a session."""
    folder = Path(tempfile.mkdtemp(prefix="tinygrad_bn-cublaslt-"))
    target = folder / "libcublasLt.so"
    command = [COMPILER, "-std=c99", "-O1", "-shared", "-fPIC", "-o", str(target), str(SOURCE)]
    subprocess.run(command, check=True)
    library = ctypes.CDLL(str(target))
    shutil.rmtree(folder)
    return library


class CublasLt:
    """The library beside a pretend CuPy: products of a capturing stream are recorded.

    Attributes:
        planned: how many products have been planned.
    """

    def __init__(self, cupy):
        self._cupy = cupy
        self.planned = 0

    def __getattr__(self, name):
        return getattr(compiled(), name)

    def cublasLtMatmulAlgoGetHeuristic(self, *arguments):
        """Planning; not while a stream captures."""
        self._cupy.cuda.refuse_while_capturing("planning")
        self.planned += 1
        return compiled().cublasLtMatmulAlgoGetHeuristic(*arguments)

    def cublasLtMatmul(self, *arguments):
        """A product."""
        status = compiled().cublasLtMatmul(*arguments)
        self._cupy.cuda.record(lambda: compiled().cublasLtMatmul(*arguments), None)
        return status
