"""The CPU's stand-in for a GPU: it keeps the rules of CUDA, and notices where a kernel does not."""

import numpy as np
import pytest
from tinygrad_bn.backends.cupy.launch import Launch

from tests.backends.cupy.simt.library import LaunchError, can_watch, has_compiler, library

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to run kernels with")


watched = pytest.mark.skipif(not can_watch(), reason="the compiler cannot watch over memory")


def launch(kernel, *arguments, grid=1, block=64, shared=0, cluster=1, seed=0, more=None):
    plan = Launch("probe", kernel, (grid, 1, 1), block, shared, cluster)
    library("probe").launch(plan, arguments, seed, more)


@pytest.mark.parametrize("block", [32, 64, 512])
def test_shuffles_and_shared_memory(block):
    values = np.arange(3 * block, dtype="i4")
    out = np.zeros(3, "i4")
    launch("sums", values, out, grid=3, block=block, shared=64)
    assert out.tolist() == values.reshape(3, block).sum(1).tolist()


def test_a_missing_barrier_shows():
    right = np.r_[2:65, 1]
    found = np.zeros((5, 64), "i4")
    for seed, out in enumerate(found):
        launch("neighbours", out, np.int32(1), shared=256, seed=seed)
    assert (found == right).all()
    for seed, out in enumerate(found):
        launch("neighbours", out, np.int32(0), shared=256, seed=seed)
    assert not (found == right).all()
    assert len({tuple(row) for row in found.tolist()}) > 1


def test_a_deadlock_is_an_error():
    with pytest.raises(LaunchError, match=r"deadlock: 32 threads wait in a shuffle, 32 at __sync"):
        launch("stuck", np.zeros(1, "i4"))


def test_writing_behind_shared_memory_is_an_error():
    out = np.zeros(1, "i4")
    launch("overrun", out, np.int32(15), shared=64)
    with pytest.raises(LaunchError, match="a write behind the end of shared memory"):
        launch("overrun", out, np.int32(16), shared=64)


def test_clusters_read_each_other():
    out = np.zeros(8, "i4")
    launch("clusters", out, grid=8, shared=8, cluster=4)
    assert out.tolist() == [1234] * 4 + [5678] * 4


def test_half_precision_is_that_of_numpy():
    x = np.arange(1 << 16, dtype=np.uint16).view("f2")
    wide, back = np.zeros(x.size, "f4"), np.zeros(x.size, "f2")
    launch("halves", x, wide, back, np.int32(x.size), grid=1024)
    np.testing.assert_array_equal(wide, x.astype("f4"))
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(back, (wide * np.float32(1.0009765625)).astype("f2"))


def test_records_are_passed_by_value():
    pair = np.array((7, 2.5), np.dtype([("first", "i4"), ("second", "f8")], align=True))[()]
    whole, part = np.zeros(1, "i4"), np.zeros(1)
    launch("record", pair, whole, part)
    assert (whole[0], part[0]) == (7, 2.5)


def test_what_nobody_has_written_is_no_number():
    out = np.zeros(64)
    launch("unwritten", out, shared=512)
    assert np.isnan(out).all()


def test_a_block_that_leaves_too_early_shows():
    """Its shared memory may be another block's before its neighbour has read it."""
    out = np.zeros((8, 2))
    for seed, row in enumerate(out):
        launch("leave", row, np.int32(1), grid=2, shared=8, cluster=2, seed=seed)
    assert (out == [2, 1]).all()
    for seed, row in enumerate(out):
        launch("leave", row, np.int32(0), grid=2, shared=8, cluster=2, seed=seed)
    assert np.isnan(out).any()


# -------------------------------------------------------------------------------- access to memory


@watched
@pytest.mark.parametrize("at", [-1, 8])
def test_access_outside_of_the_arguments(at):
    room = np.arange(24, dtype="f4")
    x, out = room[8:16], np.zeros(1, "f4")
    launch("reach", x, out, np.int32(7), np.int32(0), more=[])
    assert out[0] == 15
    with pytest.raises(LaunchError, match="a read of 4 bytes outside of all arguments"):
        launch("reach", x, out, np.int32(at), np.int32(0), more=[])
    launch("put", x, np.int32(7), more=[])
    with pytest.raises(LaunchError, match="a write of 4 bytes outside of all arguments"):
        launch("put", x, np.int32(at), more=[])
    assert room[8 + at] == 8 + at
    launch("reach", x, out, np.int32(at), np.int32(0), more=[room])
    launch("reach", x, out, np.int32(at), np.int32(0))  # nothing is watched


@watched
def test_misaligned_access():
    x, out = np.arange(12, dtype="f4"), np.zeros(1, "f4")
    assert x.ctypes.data % 16 == 0
    launch("reach", x, out, np.int32(4), np.int32(1), more=[])
    assert out[0] == 4 + 5 + 6 + 7
    with pytest.raises(LaunchError, match=r"a misaligned access at probe\.cu:\d+"):
        launch("reach", x, out, np.int32(1), np.int32(1), more=[])


@watched
def test_shared_memory_ends_where_it_ends():
    out = np.zeros(1, "i4")
    launch("overrun", out, np.int32(15), shared=64, more=[])
    with pytest.raises(LaunchError, match="a write of 4 bytes outside of all arguments"):
        launch("overrun", out, np.int32(16), shared=64, more=[])


@watched
def test_an_overflow_of_integers():
    out = np.array([2**30], "i4")
    launch("product", out, np.int32(1), more=[])
    with pytest.raises(LaunchError, match=r"an overflow at probe\.cu:\d+"):
        launch("product", out, np.int32(2), more=[])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"block": 33}, "a block of 33 threads"),
        ({"block": 2048}, "a block of 2048 threads"),
        ({"grid": 3, "cluster": 2}, "the grid is no multiple of the cluster"),
    ],
)
def test_launches_that_no_device_has(options, text):
    with pytest.raises(LaunchError, match=text):
        launch("clusters", np.zeros(8, "i4"), **options)


def test_arguments_are_counted_and_typed():
    with pytest.raises(LaunchError, match="takes 1 arguments, got 2"):
        launch("clusters", None, None)
    with pytest.raises(LaunchError, match="no such instance"):
        launch("absent")
    with pytest.raises(TypeError, match="must be an array, None or a NumPy scalar, got 3"):
        launch("clusters", 3)
