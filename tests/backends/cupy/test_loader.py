"""Kernels by way of a pretend RawModule: compiled once, launched, and what failures say."""

import numpy as np
import pytest
from tinygrad_bn.backends.cupy import KernelError, launch, loader
from tinygrad_bn.backends.cupy.launch import Launch

from tinygrad_bn.backend import get_backend


@pytest.fixture
def cupy(pretend):
    """A pretend CuPy with two devices, whose kernels do nothing."""
    return pretend(devices=2)


@pytest.fixture
def B(cupy):
    return get_backend("cupy")


@pytest.fixture
def source(tmp_path, monkeypatch):
    """A folder of kernels with one source."""
    (tmp_path / "scale.cu").write_text('#include "common.cuh"\n// the kernel\n')
    (tmp_path / "common.cuh").write_text("// shared\n")
    monkeypatch.setattr(loader, "KERNELS", tmp_path)
    monkeypatch.setattr(launch, "KERNELS", tmp_path)
    loader.digests.cache_clear()
    loader.source_text.cache_clear()
    yield tmp_path
    loader.digests.cache_clear()
    loader.source_text.cache_clear()


PLAN = Launch("scale", "scale<float>", (4, 1, 1), 128)


def test_compiled_at_first_use_and_kept(B, cupy, source):
    x = B.ones((4, 3), dtype="float32")
    assert cupy.cuda.compiled == []
    for _ in range(2):
        B.launch(PLAN, x, None, np.int64(3))
    assert cupy.cuda.compiled == ["scale<float>"]
    name, grid, block, shared, _ = cupy.cuda.launches[0]
    assert (name, grid, block, shared) == ("scale<float>", (4, 1, 1), (128, 1, 1), 0)
    assert len(cupy.cuda.launches) == 2


def test_each_device_compiles_its_own(B, cupy, source):
    B.launch(PLAN)
    get_backend("cupy:1").launch(PLAN)
    assert cupy.cuda.compiled == ["scale<float>"] * 2


def test_an_included_file_counts(source):
    """CuPy caches by the text alone, which does not change with what it includes."""
    before = loader.source_text("scale")
    loader.digests.cache_clear()
    loader.source_text.cache_clear()
    (source / "common.cuh").write_text("// changed\n")
    assert loader.source_text("scale") != before
    assert before.endswith("// the kernel\n")


def test_more_shared_memory_is_asked_for(B, cupy, source):
    B.launch(Launch("scale", "scale<float>", (1, 1, 1), 32, shared=100_000))
    kernel = B._loader._kernels["scale", "scale<float>"]
    assert kernel.max_dynamic_shared_size_bytes == 100_000


def test_structs_go_by_value(B, cupy, source, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "tests.backends.cupy.fake_memory.RawKernel.__call__",
        lambda self, grid, block, args, shared_mem=0: seen.extend(args),
    )
    struct = np.zeros((), dtype=np.dtype([("n", "i4"), ("p", "f8")], align=True))[()]
    B.launch(PLAN, struct, None)
    assert isinstance(seen[0], np.ndarray)
    assert seen[0].shape == (1,)
    assert seen[1] == np.uint64(0)


def test_a_kernel_that_does_not_compile(B, cupy, source):
    cupy.cuda.compile_error = "scale.cu(3): error: identifier 'y' is undefined"
    message = (
        r"kernel 'scale', instance 'scale<float>', could not be compiled on cuda:0 \(Pretend "
        r"H100\): grid \(4, 1, 1\), block 128, 0 bytes of shared memory, cluster 1, arguments "
        r"\(float32 \(4, 3\), null, int64 3, a struct\): scale.cu\(3\): error: identifier 'y'"
    )
    struct = np.zeros((), dtype=[("n", "i4")])[()]
    with pytest.raises(KernelError, match=message):
        B.launch(PLAN, B.ones((4, 3), dtype="float32"), None, np.int64(3), struct)


def test_a_kernel_that_does_not_launch(B, cupy, source):
    cupy.cuda.launch_error = cupy.cuda.driver.CUDADriverError("CUDA_ERROR_INVALID_VALUE: invalid")
    with pytest.raises(KernelError, match=r"'scale<float>', could not be launched .*INVALID_VALUE"):
        B.launch(PLAN)


def test_a_launch_without_memory(B, cupy, source):
    cupy.cuda.launch_error = cupy.cuda.driver.CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out")
    message = r"launched .*OUT_OF_MEMORY: out; the pool holds [\d,]+ bytes \([\d,]+ in use\), the d"
    with pytest.raises(MemoryError, match=message):
        B.launch(PLAN)


def test_a_source_that_does_not_exist(B, source):
    with pytest.raises(KernelError, match=r"kernel 'gone': there is no source gone\.cu"):
        B.launch(Launch("gone", "gone<float>", (1, 1, 1), 32))


def test_limits_of_the_device(B):
    limits = B.limits
    assert limits.capability == (9, 0)
    assert limits.multiprocessors == 4
    assert limits.shared_per_block == 6144
    assert limits.cluster == 8
