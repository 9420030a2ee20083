"""Deliberate faults in the kernels: the comparison with the reference has to catch each."""

import functools

import pytest

from tests.backends.cupy.simt import backend as simt
from tests.backends.cupy.simt.library import LaunchError, has_compiler, library
from tests.backends.cupy.test_kernels import SHAPES, arguments, compare

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to run kernels with")

FAULTS = {
    "the barrier after the shuffles is missing": (
        "reduction.cuh",
        "__syncthreads();\n#pragma unroll\n    for (int v = 0; v < LANES; ++v) {\n        double",
        "\n#pragma unroll\n    for (int v = 0; v < LANES; ++v) {\n        double",
    ),
    "the scratch is used again too early": (
        "reduction.cuh",
        "        a[v] = total;\n    }\n    __syncthreads();\n",
        "        a[v] = total;\n    }\n",
    ),
    "the shuffles stop halfway": (
        "reduction.cuh",
        "away >= width; away /= 2",
        "away > width; away /= 2",
    ),
    "only the first block of a cluster counts": (
        "batch_norm_forward.cu",
        "for (int r = 0; r < BLOCKS; ++r) {",
        "for (int r = 0; r < 1; ++r) {",
    ),
    "a block reads before the others have written": (
        "batch_norm_forward.cu",
        "    cluster_barrier();\n    for (int i",
        "    for (int i",
    ),
    "Chan's formula without its last term": (
        "reduction.cuh",
        "square += b.square + delta * (delta * (n * share));",
        "square += b.square;",
    ),
    "the low part of the mean is lost": (
        "reduction.cuh",
        "return (x - high) - low;",
        "return x - high;",
    ),
    "the last item of a part is left out": (
        "layout.cuh",
        "end_ = first + p.chunk < total ? first + p.chunk : total;",
        "end_ = first + p.chunk < total ? first + p.chunk : total - 1;",
    ),
    "the slab of a thread is its neighbour's": (
        "batch_norm_moments.cuh",
        "const Pack<T, V>* own = slab + threadIdx.x;",
        "const Pack<T, V>* own = slab + (threadIdx.x ^ 1);",
    ),
    "the slab begins too far behind": (
        "reduction.cuh",
        "6 * wide + 1) / 2 * 2;",
        "6 * wide + 1) / 2 * 2 + 2;",
    ),
    "the second row is the first again": (
        "layout.cuh",
        "row_ * pitch_",
        "(row_ / 2 * 2) * pitch_",
    ),
    "relu lets nothing through at zero's other side": (
        "batch_norm_map.cuh",
        "return z > 0 || z != z ? z : (S)0;",
        "return z < 0 || z != z ? z : (S)0;",
    ),
    "dx keeps its mean": (
        "batch_norm_backward.cu",
        "(less.shift + term.c * less.slope)",
        "(term.c * less.slope)",
    ),
    "the cotangent passes relu unhindered": (
        "batch_norm_backward.cu",
        "g = gated(g, c * map.scale + map.shift, p);",
        "",
    ),
    "the sums of a cluster are those of its last block": (
        "batch_norm_backward.cu",
        "s1 += cluster_read",
        "s1 = cluster_read",
    ),
    "the slabs of x and g overlap": (
        "batch_norm_backward.cu",
        "own += 2 * blockDim.x",
        "own += blockDim.x",
    ),
    "a block leaves before the others have read its moments": (
        "batch_norm_forward.cu",
        "    cluster_barrier();  // a block's shared memory has to outlive the reading of others\n",
        "",
    ),
    "a block leaves before the others have read its sums": (
        "batch_norm_backward.cu",
        "    cluster_barrier();  // a block's shared memory has to outlive the reading of others\n",
        "",
    ),
    "a part ends behind the last item": (
        "layout.cuh",
        "end_ = first + p.chunk < total ? first + p.chunk : total;",
        "end_ = first + p.chunk < total ? first + p.chunk : total + 1;",
    ),
    "the first elements of a channel that is none are looked at": (
        "layout.cuh",
        "if (!valid) channel = 0;",
        "",
    ),
    "the slab begins at an odd number of doubles": (
        "reduction.cuh",
        "6 * wide + 1) / 2 * 2;",
        "6 * wide + 1) / 2 * 2 - 1;",
    ),
    "the second order lacks a term": (
        "batch_norm_second.cu",
        "(2 * u1 * g1 - rest)",
        "(2 * u1 * g1)",
    ),
}


def compare_all():
    """Some shapes on all paths, with a mean so large that its low part counts."""
    for case in ("planes in a cluster", "planes in parts", "features", "odd planes in parts"):
        shape, axis = SHAPES[case]
        given = arguments(shape, axis, "float32", options={"activation": "relu"})
        given[1][...] += 1000
        compare(simt.SimtBackend(), "float32", *given)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_caught(name, monkeypatch):
    change = FAULTS[name]
    place = change[0].removesuffix(".cu") if change[0].endswith(".cu") else "batch_norm_forward"

    def faulty(source):
        return library(source, (change,) if source == place else ())

    monkeypatch.setattr(simt, "library", functools.cache(faulty))
    with pytest.raises((AssertionError, LaunchError)):
        compare_all()


def test_without_a_fault_nothing_is_caught():
    compare_all()


def test_a_fault_has_to_be_in_the_text():
    with pytest.raises(ValueError, match=r"reduction.cuh has no 'gone'"):
        library("batch_norm_forward", (("reduction.cuh", "gone", ""),))
