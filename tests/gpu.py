"""Which backends the `backend` fixture goes through, and what becomes of tests that need a GPU.

    TINYGRAD_BN_TEST_BACKENDS=cupy   the fixture's backends (default: numpy,numba,strict)
    TINYGRAD_BN_PRETEND_GPU=1        let `cupy` be the pretend one of tests/backends/cupy/fake.py

A test marked `gpu` needs a real one: without it the test is skipped, and the end of the run says
how many were, and why.
"""

import functools
import os
import sys

import pytest

from tinygrad_bn.backend import BackendUnavailableError, get_backend

BACKENDS = tuple(os.environ.get("TINYGRAD_BN_TEST_BACKENDS", "numpy,numba,strict").split(","))
NEEDED = "needs a GPU"
PRETEND = os.environ.get("TINYGRAD_BN_PRETEND_GPU") == "1"

if PRETEND:
    from tinygrad_bn.backends.cupy.loader import Loader

    from tests.backends.cupy.fake import FakeCuPy, fake_cupyx

    @functools.wraps(Loader.launch)  # the loader's own tests unwrap it
    def _launch(self, launch, arguments):
        self._cupy.run_kernel(launch, arguments)

    Loader.launch = _launch
    sys.modules["cupy"] = FakeCuPy(devices=2)
    sys.modules["cupyx"] = fake_cupyx(sys.modules["cupy"])


@functools.cache
def missing() -> str:
    """Why no GPU can be used here; empty if one can."""
    if PRETEND:
        return "the GPU is a pretend one"
    try:
        get_backend("cupy")
    except BackendUnavailableError as error:
        return str(error)
    return ""


def pytest_configure(config):
    """Make the marker known."""
    config.addinivalue_line("markers", "gpu: needs a real GPU; skipped, and counted, without one")


def pytest_collection_modifyitems(items):
    """Skip what needs a GPU that is not there."""
    for item in items:
        if item.get_closest_marker("gpu") and missing():
            item.add_marker(pytest.mark.skip(reason=f"{NEEDED}: {missing()}"))


def pytest_terminal_summary(terminalreporter):
    """Say how many tests were skipped for want of a GPU, and why there is none."""
    # By the reason: a report's keywords hold the names of folders too.
    skipped = [r for r in terminalreporter.stats.get("skipped", []) if NEEDED in str(r.longrepr)]
    if skipped:
        terminalreporter.section("GPU")
        terminalreporter.line(f"{len(skipped)} GPU tests were skipped: {missing()}")
