"""Pretend GPUs for the tests of the CuPy backend's host side."""

import sys

import pytest

from tests.backends.cupy.fake import FakeCuPy, fake_cupyx
from tinygrad_bn.backend import registry


@pytest.fixture
def pretend(monkeypatch):
    """Call it to install a pretend CuPy; its arguments are those of `FakeCuPy`."""
    instances = {n: b for n, b in registry._instances.items() if not n.startswith("cupy")}
    monkeypatch.setattr(registry, "_instances", instances)

    def install(**options):
        cupy = FakeCuPy(**options)
        monkeypatch.setitem(sys.modules, "cupy", cupy)
        monkeypatch.setitem(sys.modules, "cupyx", fake_cupyx(cupy))
        for name in [n for n in instances if n.startswith("cupy")]:
            del instances[name]
        return cupy

    return install


@pytest.fixture
def cupy(pretend):
    """A pretend CuPy with two devices."""
    return pretend(devices=2, aligned=True)
