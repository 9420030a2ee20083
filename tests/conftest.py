"""Fixtures for all tests."""

import importlib.util

import pytest

from tests import strict_backend  # noqa: F401  (registers the backend)
from tests.gpu import (  # noqa: F401  (hooks of pytest)
    BACKENDS,
    pytest_collection_modifyitems,
    pytest_configure,
    pytest_terminal_summary,
)
from tests.helpers import SEED
from tinygrad_bn import use_backend
from tinygrad_bn.backend import rng


def pytest_report_header():
    return f"seed of random data: {SEED}"


@pytest.fixture(autouse=True)
def _seeded():
    """Every test starts the random streams again."""
    rng.manual_seed(SEED)


@pytest.fixture(params=BACKENDS)
def backend(request):
    """Each backend in turn, which is the default one during the test."""
    if request.param == "numba" and importlib.util.find_spec("numba") is None:
        pytest.skip("numba is not installed: pip install 'tinygrad_bn[numba]'")
    with use_backend(request.param):
        yield request.param
