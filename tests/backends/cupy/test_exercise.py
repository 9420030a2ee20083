"""What compute-sanitizer is given to watch: every instance of every kernel, on every generation."""

import pytest
from tinygrad_bn.backends.cupy.instances import SOURCES, instances
from tinygrad_bn.backends.cupy.loader import Loader

from tests.backends.cupy.devices import DEVICES
from tests.backends.cupy.simt.library import has_compiler
from tinygrad_bn.backend import get_backend
from tools.gpu import exercise


@pytest.fixture
def idle(pretend, monkeypatch):
    """A pretend CuPy whose kernels do nothing."""
    monkeypatch.setattr(Loader, "launch", lambda self, launch, arguments: None)
    return pretend()


@pytest.mark.parametrize("device", DEVICES)
def test_every_instance_is_launched(idle, device):
    backend = get_backend("cupy")
    limits = backend.limits = DEVICES[device]
    watch = exercise.Watch(backend)
    exercise.normalizations(backend)
    exercise.training()
    assert watch.missing() == []
    assert len(watch.seen) == sum(len(instances(s, limits.cluster)) for s in SOURCES)
    assert backend.limits is limits


def test_an_instance_that_is_not_launched_is_an_error(idle, monkeypatch):
    monkeypatch.setattr(exercise, "check_backend", lambda backend: None)
    get_backend("cupy").limits = DEVICES["H100"]
    monkeypatch.setattr(exercise, "LARGE", ())
    with pytest.raises(SystemExit, match=r"^\d+ instances were not launched: batch_norm_forward: "):
        exercise.main()


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to run the kernels on the CPU")
def test_it_runs_without_the_pool(pretend, monkeypatch):
    """The whole of it on the CPU, on shapes of one block: each array an allocation of its own."""
    cupy = pretend(aligned=True)
    monkeypatch.setattr(Loader, "launch", lambda s, launch, a: s._cupy.run_kernel(launch, a))
    monkeypatch.setattr(exercise, "LARGE", ())
    monkeypatch.setattr(exercise.Watch, "missing", lambda self: [])
    exercise.main()
    assert cupy.cuda.pool.used_bytes() == 0
    assert cupy.cuda.pool.total_bytes() == 0
