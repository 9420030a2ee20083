"""Every instance of every kernel compiles for every generation of devices, and keeps its values in
registers."""

import re

import numpy as np
import pytest
from tinygrad_bn.backends.cupy.instances import SOURCES, instances
from tinygrad_bn.backends.cupy.launch import KERNELS, PARAMETER_BYTES
from tinygrad_bn.backends.cupy.normalization_call import PROBLEM
from tinygrad_bn.backends.cupy.normalization_planning import SECOND_THREADS
from tinygrad_bn.backends.cupy.optim import ADAM_TABLE, ADAPTION, DESCENT, SGD_TABLE
from tinygrad_bn.backends.cupy.planning import MOST_THREADS

from tests.backends.cupy.devices import DEVICES

pytest.importorskip("cuda.bindings.nvrtc", reason="NVRTC is not installed")

from tests.backends.cupy.compiling import (
    CAPABILITIES,
    CompileError,
    assembly,
    batches,
    compile_batch,
    compile_text,
    main,
    names_of,
    parse,
)

REGISTERS = 65536
"""Of a multiprocessor, on every generation."""


@pytest.mark.parametrize(("source", "capability", "batch"), batches())
def test_every_instance_compiles_without_spilling(source, capability, batch):
    found = compile_batch(source, capability, batch)
    assert sorted(c.instance for c in found) == sorted(names_of(source, capability, batch))
    assert [c for c in found if c.spilled or c.stack] == []
    threads = SECOND_THREADS if source == "batch_norm_second" else MOST_THREADS
    assert all(c.registers * threads <= REGISTERS for c in found)


def test_the_generations_are_those_that_plans_are_made_for():
    found = {"{}.{}".format(*limits.capability): limits.cluster for limits in DEVICES.values()}
    assert found == CAPABILITIES


def test_every_kernel_of_every_source_has_instances():
    assert {path.stem for path in KERNELS.glob("*.cu")} == set(SOURCES)
    for source in SOURCES:
        text = (KERNELS / f"{source}.cu").read_text()
        declared = re.findall(r"__launch_bounds__\(\w+, 1\)\s+(\w+)\(", text)
        found = instances(source, 8)
        assert {name.partition("<")[0] for name in found} == set(declared)
        assert len(found) == len(set(found))


def test_records_are_those_of_the_kernels():
    """Sizes as C lays the structs out, asserted by the compiler itself."""
    sizes = {
        "batch_norm_forward": {"Problem": PROBLEM},
        "optimizers": {
            "Table<3>": SGD_TABLE,
            "Table<5>": ADAM_TABLE,
            "Descent": DESCENT,
            "Adaption": ADAPTION,
        },
    }
    for source, records in sizes.items():
        checks = "".join(
            f'static_assert(sizeof({name}) == {dtype.itemsize}, "{name}");\n'
            for name, dtype in records.items()
        )
        text = f'#include "{source}.cu"\n{checks}__global__ void empty() {{}}\n'
        assert compile_text(text, ["empty"], "9.0")[0].instance == "empty"
    assert ADAM_TABLE.itemsize + ADAPTION.itemsize <= PARAMETER_BYTES
    assert PROBLEM.itemsize + 16 * np.dtype(np.uintp).itemsize <= PARAMETER_BYTES


RESIDENT = ("batch_norm_forward", "forward_resident"), ("batch_norm_backward", "backward_resident")


@pytest.mark.parametrize(("source", "kernel"), RESIDENT)
def test_resident_kernels_move_16_bytes_at_a_time(source, kernel):
    for arguments, suffix in (("float, Planes<4>", "v4.f32"), ("Half, Planes<8>", "v4.u32")):
        ptx = assembly(source, f"{kernel}<{arguments}, 8>", "9.0")
        for access in ("ld.global.nc", "st.global", "ld.shared", "st.shared"):
            assert f"{access}.{suffix}" in ptx
        assert "ld.shared.f32" not in ptx
        assert "ld.shared.u16" not in ptx
        assert ".local" not in ptx


@pytest.mark.parametrize(("source", "kernel"), RESIDENT)
def test_clusters_are_compiled_into_the_instance(source, kernel):
    for blocks in (1, 4, 8):
        ptx = assembly(source, f"{kernel}<float, Planes<4>, {blocks}>", "10.0")
        assert f".reqnctapercluster {blocks}, 1, 1" in ptx
        assert ptx.count("barrier.cluster.arrive") == ptx.count("barrier.cluster.wait") == 2
        assert ptx.count("ld.shared::cluster.f64") >= 1
    assert "cluster" not in assembly(source, f"{kernel}<float, Planes<4>, 1>", "8.0")


def test_what_does_not_compile_is_reported():
    with pytest.raises(CompileError, match=r'kernels.cu\(1\): error: identifier "y" is undefined'):
        compile_text("__global__ void wrong(int* x) { *x = y; }", ["wrong"], "8.0")


def test_a_spill_is_seen():
    text = """
    __global__ void __launch_bounds__(1024, 2) crowded(double* x) {
        double a[64];
        #pragma unroll
        for (int i = 0; i < 64; ++i) a[i] = x[i * 7];
        __syncthreads();
        #pragma unroll
        for (int i = 0; i < 64; ++i) x[i * 7] = a[63 - i] * a[i];
    }"""
    (found,) = compile_text(text, ["crowded"], "9.0")
    assert found.spilled > 0
    assert parse("ptxas info: nothing", {}) == []


def test_the_report(capsys):
    main(["optimizers"])
    assert "0 bytes  sgd<float>" in capsys.readouterr().out
