"""Pretend GPUs for the tests of the CuPy backend's host side."""

import sys

import pytest
from tinygrad_bn.backends.cupy.loader import Loader

from tests.backends.cupy.fake import FakeCuPy, fake_cupyx
from tests.backends.cupy.simt.library import has_compiler
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
def cupy(pretend, monkeypatch):
    """A pretend CuPy with two devices, whose hand-written kernels run on the CPU."""
    if not has_compiler():
        pytest.skip("no C++ compiler to run the kernels on the CPU")
    monkeypatch.setattr(Loader, "launch", lambda s, launch, a: s._cupy.run_kernel(launch, a))
    return pretend(devices=2, aligned=True)
