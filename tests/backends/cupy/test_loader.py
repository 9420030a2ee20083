"""Kernels by way of a pretend RawModule: compiled once, launched, and what failures say."""

import inspect
import re

import numpy as np
import pytest
from tinygrad_bn.backends.cupy import DeviceMemoryError, KernelError, launch, loader
from tinygrad_bn.backends.cupy.launch import Launch

from tinygrad_bn.backend import get_backend


@pytest.fixture(autouse=True)
def own_launch(monkeypatch):
    """The loader's own `launch`, also in a run on a pretend GPU, which has replaced it."""
    monkeypatch.setattr(loader.Loader, "launch", inspect.unwrap(loader.Loader.launch))


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


@pytest.fixture
def broken(cupy, monkeypatch):
    """A context in which every call fails, as it does once a kernel went astray."""
    error = cupy.cuda.runtime.CUDARuntimeError

    def fail():
        raise error("cudaErrorIllegalAddress: an illegal memory access was encountered")

    monkeypatch.setattr(cupy.cuda.runtime, "memGetInfo", fail)


def test_an_illegal_address_is_not_want_of_memory(B, cupy, source, broken):
    cupy.cuda.launch_error = cupy.cuda.driver.CUDADriverError(
        "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered"
    )
    message = (
        r"kernel 'scale', instance 'scale<float>', could not be launched .* arguments "
        r"\(float32 \(4, 3\)\): CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was"
    )
    x = B.ones((4, 3), dtype="float32")
    with pytest.raises(KernelError, match=message):
        B.launch(PLAN, x)


def test_the_first_error_is_told_where_the_pool_cannot_be_asked(B, cupy, source, broken):
    cupy.cuda.launch_error = cupy.cuda.driver.CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out")
    message = r"'scale<float>', could not be launched .*OUT_OF_MEMORY: out; what the pool holds is"
    with pytest.raises(DeviceMemoryError, match=message) as caught:
        B.launch(PLAN)
    assert caught.value.__cause__ is cupy.cuda.launch_error
    message = r"out of memory on cuda:0: asked for [\d,]+ bytes; what the pool holds is not known"
    with pytest.raises(DeviceMemoryError, match=message):
        cupy.cuda.get_allocator()(1 << 60)


@pytest.mark.parametrize(
    "said", ["scale.cu(3): error: no such memory space", "fatal: the compiler is out of memory"]
)
def test_a_compiler_that_speaks_of_memory(B, cupy, source, said):
    cupy.cuda.compile_error = said
    with pytest.raises(KernelError, match=rf"could not be compiled .*{re.escape(said)}"):
        B.launch(PLAN)


def test_a_module_that_finds_no_room(B, cupy, source, monkeypatch):
    def load(self, name):
        raise cupy.cuda.driver.CUDADriverError("CUDA_ERROR_OUT_OF_MEMORY: out of memory")

    monkeypatch.setattr("tests.backends.cupy.fake_memory.RawModule.get_function", load)
    with pytest.raises(
        DeviceMemoryError, match=r"'scale<float>', could not be compiled .*the pool"
    ):
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
