"""Launch plans for several generations of devices: what runs, and that a device can run it."""

import numpy as np
import pytest
from tinygrad_bn.backends.cupy.elementwise_planning import (
    OPTIMIZER_CHUNK,
    first_blocks,
    plan_entropy_rows,
    plan_epilogue,
    plan_flat,
    plan_mask,
    plan_optimizer,
    plan_total,
)
from tinygrad_bn.backends.cupy.instances import SOURCES, instances
from tinygrad_bn.backends.cupy.normalization_layout import layout_of, memory_order
from tinygrad_bn.backends.cupy.normalization_planning import (
    SECOND_THREADS,
    plan_normalization,
)
from tinygrad_bn.backends.cupy.planning import (
    ITEM_SIZES,
    MOST_THREADS,
    DeviceLimits,
    block_size,
    ceil_div,
    power_at_least,
    vector_length,
)

from tests.backends.cupy.devices import A100, B200, DEVICES, H100, OLD, SMALL, T4
from tinygrad_bn.backend.normalization_plan import normalization_plan


def layout(shape, axis=1, order=None):
    plan = normalization_plan(len(shape), axis, 1e-5)
    return layout_of(shape, order or tuple(range(len(shape))), plan)


def planned(shape, limits, axis=1, dtype="float32", aligned=True, slabs=1, **options):
    return plan_normalization(layout(shape, axis), dtype, aligned, slabs, limits, **options)


# ------------------------------------------------------------------------------------- layouts


@pytest.mark.parametrize(
    ("shape", "axis", "form"),
    [
        ((32, 64, 7, 7), 1, (1, 32, 64, 49)),
        ((32, 64), 1, (1, 32, 64, 1)),
        ((32, 64), 0, (1, 1, 32, 64)),
        ((8, 5, 6, 3), 3, (1, 240, 3, 1)),
        ((8, 5, 6, 3), (0, 3), (8, 30, 3, 1)),
        ((8, 4, 3, 5, 5), (0, 2), (8, 4, 3, 25)),
        ((8, 3, 5, 5), (0, 1), (1, 1, 24, 25)),
        ((8, 3, 1, 1), 1, (1, 8, 3, 1)),
        ((9,), (), (1, 1, 1, 9)),
        ((9,), 0, (1, 1, 9, 1)),
        ((1, 1), 1, (1, 1, 1, 1)),
        ((2, 3, 4, 5), (1, 3), None),
        ((2, 3, 4, 5, 6), (0, 2, 4), None),
    ],
)
def test_forms(shape, axis, form):
    found = layout(shape, axis)
    if form is None:
        assert found is None
    else:
        assert (found.outer, found.rows, found.channels, found.length) == form
        assert found.statistics == form[0] * form[2]


def test_channels_last_memory_is_rows():
    x = np.empty((8, 5, 6, 3), "f4").transpose(0, 3, 1, 2)
    order = memory_order(x.shape, x.strides)
    assert order == (0, 2, 3, 1)
    found = layout(x.shape, 1, order)
    assert (found.rows, found.channels, found.length) == (240, 3, 1)
    assert found.by_rows
    assert not found.in_order


def test_kept_axes_in_another_order_have_no_layout():
    assert layout((4, 3, 5), (0, 1), (1, 0, 2)) is None


def test_axes_of_length_one_keep_their_places():
    assert memory_order((3, 1, 4), (4, 99, 1)) == (0, 1, 2)
    assert memory_order((3, 1, 4), (1, 0, 3)) == (2, 1, 0)


# ------------------------------------------------------------------------------ batch norm plans

PATHS = {
    # shape: on each device: clusters of so many blocks, or 0 for two kernels
    (32, 256, 14, 14): {"T4": 1, "A100": 1, "H100": 1, "B200": 1},
    (32, 64, 56, 56): {"T4": 0, "A100": 0, "H100": 4, "B200": 4},
    (256, 64, 56, 56): {"T4": 0, "A100": 0, "H100": 0, "B200": 0},
    (128, 64, 56, 56): {"T4": 0, "A100": 0, "H100": 8, "B200": 8},
    (32, 2048, 7, 7): {"T4": 1, "A100": 1, "H100": 1, "B200": 1},
    (60, 100): {"T4": 1, "A100": 1, "H100": 1, "B200": 1},
    (4096, 1024): {"T4": 0, "A100": 0, "H100": 8, "B200": 8},
    (65536, 64): {"T4": 0, "A100": 0, "H100": 0, "B200": 0},
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", PATHS, ids=str)
def test_the_path_that_each_generation_takes(device, shape):
    launch = planned(shape, DEVICES[device])
    assert (launch.cluster if launch.resident else 0) == PATHS[shape][device]


def shapes():
    rng = np.random.default_rng(0)
    for _ in range(60):
        yield tuple(int(n) for n in np.exp(rng.uniform(0, 5, rng.integers(2, 5))) + 1)


ALL = {**DEVICES, "small": SMALL, "old": OLD}


@pytest.mark.parametrize("device", ALL)
@pytest.mark.parametrize("dtype", ITEM_SIZES)
def test_a_device_can_run_every_plan(device, dtype):
    limits = ALL[device]
    known = {name for source in SOURCES for name in instances(source, limits.cluster)}
    for shape in shapes():
        for axis in (1, len(shape) - 1):
            for slabs, kernels in ((1, "forward"), (2, "backward"), (0, "second")):
                most = SECOND_THREADS if slabs == 0 else MOST_THREADS
                launch = planned(shape, limits, axis, dtype, shape[0] % 2 == 0, slabs, most=most)
                assert launch is not None
                check(launch, layout(shape, axis), limits, most)
                ending = "resident" if launch.resident else "apply"
                assert f"{kernels}_{ending}{launch.arguments}" in known


def check(launch, form, limits, most):
    """Within the limits, and every element in exactly one part."""
    assert launch.block <= min(most, limits.threads_per_block)
    assert launch.block % 32 == 0
    assert launch.block % launch.width == 0
    assert launch.head <= launch.shared <= limits.shared_per_block
    assert launch.cluster <= limits.cluster
    for grid in (launch.grid, launch.applying_grid):
        assert all(0 < n <= most for n, most in zip(grid, limits.grid, strict=True))
    v = int(launch.arguments.split("<")[2].split(">")[0])
    items = form.rows if form.by_rows else form.rows * form.length // v
    assert launch.chunk * launch.parts >= items
    assert launch.chunk * launch.spread * launch.applying_grid[1] >= items
    if launch.resident:
        assert launch.parts == launch.cluster
        assert launch.grid[0] % launch.cluster == 0
    else:
        assert (launch.parts - 1) * launch.chunk < items
        assert launch.shared <= 48 * 1024


def test_a_slab_has_room_for_every_item_of_a_thread():
    for slabs in (1, 2):
        launch = planned((32, 64, 56, 56), H100, slabs=slabs)
        each = ceil_div(launch.chunk, launch.block)
        assert launch.shared == launch.head + slabs * each * launch.block * 16


def test_few_channels_are_spread_over_clusters():
    assert planned((128, 8, 16, 16), H100).cluster == 8
    assert planned((128, 8, 16, 16), A100).cluster == 1
    assert planned((4, 8, 16, 16), H100).cluster == 1


def test_odd_lengths_and_addresses_take_single_elements():
    assert "Planes<4>" in planned((8, 3, 6, 6), H100).arguments
    assert "Planes<1>" in planned((8, 3, 7, 7), H100).arguments
    assert "Planes<1>" in planned((8, 3, 6, 6), H100, aligned=False).arguments
    assert "Rows<8>" in planned((50, 64), H100, dtype="float16").arguments
    assert "Rows<1>" in planned((50, 63), H100, dtype="float16").arguments


def test_what_cannot_be_numbered_is_left_to_the_reference():
    assert planned((2**31, 2, 1), H100, axis=(0, 1)) is None
    assert planned((2**16, 1, 2**16 - 1), H100, aligned=False) is None
    assert planned((1, 1, 2**31), H100, dtype="float16") is None  # fewer items than elements
    few = DeviceLimits((7, 5), 2, 3072, 4096, grid=(2**31 - 1, 3, 1))
    assert planned((1000, 2, 50), few) is None
    narrow = DeviceLimits((7, 5), 2, 3072, 4096, grid=(3, 65535, 1))
    assert planned((100, 5, 50), narrow) is None


def test_the_largest_grid_is_never_exceeded():
    """Tiles times blocks of a cluster: a smaller cluster, or two kernels, where it would be."""
    tight = DeviceLimits((9, 0), 132, 227 * 1024, 228 * 1024, grid=(100, 65535, 1), cluster=8)
    assert planned((32, 64, 56, 56), tight).grid[0] <= 100


# ---------------------------------------------------------------------------------- other plans


def test_rows_of_classes():
    warp = plan_entropy_rows("float32", 1000, 10, True, H100)
    assert (warp.grid, warp.block, warp.together, warp.instance) == (
        (250, 1, 1),
        128,
        False,
        "<float, 1>",
    )
    block = plan_entropy_rows("float16", 1000, 50_000, True, H100)
    assert (block.grid, block.block, block.together) == ((1000, 1, 1), 512, True)
    assert block.instance == "<Half, 8>"
    assert plan_entropy_rows("float32", 2**40, 10, True, H100) is None
    assert plan_entropy_rows("float32", 1, 2**31 - 1, True, H100) is None


def test_flat_launches():
    assert plan_flat(1000, "<float>", T4).blocks == 4
    assert plan_flat(2**41, "<float>", T4) is None
    assert plan_epilogue("float32", 4000, 40, True, T4).instance == "<float, 4>"
    assert plan_epilogue("float32", 4000, 40, False, T4).instance == "<float, 1>"
    assert plan_mask("float64", 4097, B200).blocks == ceil_div(1025, 256)
    assert plan_total("float32", 10**6, B200).blocks == 1


def test_blocks_of_the_optimizer():
    assert first_blocks([1, OPTIMIZER_CHUNK, OPTIMIZER_CHUNK + 1]) == [0, 1, 2, 4]
    assert plan_optimizer("float32", 4, H100).grid == (4, 1, 1)
    with pytest.raises(
        ValueError, match=r"the grid must have from 1 to 2147483647 blocks, got 2147"
    ):
        plan_optimizer("float32", 2**31, H100)


def test_small_helpers():
    assert [power_at_least(n) for n in (0, 1, 2, 3, 64, 65)] == [1, 1, 2, 4, 64, 128]
    assert [block_size(n, 4, H100) for n in (1, 129, 10**9)] == [32, 64, 512]
    assert vector_length("float64", 6, True) == 2
    assert vector_length("float64", 7, True) == 1
