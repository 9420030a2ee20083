"""Normalization kernels against the reference: forms, layouts, dtypes, sizes, odd values."""

import numpy as np
import pytest
from tinygrad_bn.backends.numba import compiler
from tinygrad_bn.backends.numba.layout import form_of

import tinygrad_bn as tg
from tests.backends.numba.compared import LAYOUTS, REFERENCE, laid_out
from tests.helpers import normal
from tinygrad_bn.backend import get_backend
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.nn import functional as F

B = get_backend("numba")
TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-11}

# shape, axis; with the pattern that its kernels see
SHAPES = [
    ((60, 100), 1),
    ((1030, 7), 1),  # an odd tail of rows
    ((256, 33), 1),  # short rows side by side
    ((2, 1), 1),
    ((1, 3), 1),
    ((3, 7), 0),
    ((4, 3, 5, 2), 1),
    ((2, 3, 1029), 1),  # runs longer than a chunk, and not a multiple of it
    ((1, 5, 1, 1), 1),
    ((4, 5, 2, 3), 3),
    ((4, 3, 5, 2), (0, 1)),
    ((4, 3, 5, 2), (1, 3)),
    ((6,), ()),
    ((0, 3), 1),
]


def agree(found, expected, dtype):
    """Arrays equal to rounding, in shape and dtype; absent where absent."""
    for a, b in zip(found, expected, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        if b.size:
            scale = np.nanmax(np.abs(b.astype("f8"))) + 1
            np.testing.assert_allclose(
                a.astype("f8") / scale, b.astype("f8") / scale, atol=TOLERANCE[dtype]
            )


def compare(shape, axis, dtype, layout="contiguous", affine=True, residual=False, **options):
    """All methods on one input, against the reference; arguments stay as they were."""
    # A large eps keeps repeated rows, whose variance is 0, from magnifying rounding errors.
    eps = 1.0 if layout == "broadcast" else 1e-2
    plan = normalization_plan(len(shape), axis, eps, **options)
    x, g, u, r = [laid_out(normal(*shape, seed=s) + (s == 1), dtype, layout) for s in range(1, 5)]
    stat = "float32" if dtype == "float16" else dtype
    width = [shape[a] for a in plan.param_axis]
    gamma, beta, v, t = [normal(*width, seed=s).astype(stat) for s in range(5, 9)]
    if not affine:
        gamma = beta = None
    r = r if residual else None
    before = [np.array(a) for a in (x, g, u)]
    with np.errstate(all="ignore"):
        expected = REFERENCE.batch_norm(x, gamma, beta, r, None, plan=plan)
        found = B.batch_norm(x, gamma, beta, r, None, plan=plan)
        agree((found[0], *found[3:5]), (expected[0], *expected[3:5]), dtype)
        if plan.ghost is None and plan.center and x.size:
            exact = x.astype("f8").mean(plan.reduced)
            np.testing.assert_allclose(found[1].astype("f8") + found[2], exact, atol=3e-7)
        mean, low, _, rstd = expected[1:5]
        vectors = (mean, low, rstd, gamma, beta)
        if residual:
            arguments = (g, x, *vectors, r, None, None)
            name = "batch_norm_residual_grad"
        else:
            arguments = (g, x, *vectors, None, None)
            name = "batch_norm_grad"
            second = (u, v, t, *arguments)
            wanted = REFERENCE.batch_norm_grad_grad(*second, plan=plan)
            agree(B.batch_norm_grad_grad(*second, plan=plan), wanted, dtype)
        wanted = getattr(REFERENCE, name)(*arguments, plan=plan)
        agree(getattr(B, name)(*arguments, plan=plan), wanted, dtype)
        if plan.ghost is None:
            found = B.batch_statistics(x, None, plan=plan)
            wanted = REFERENCE.batch_statistics(x, None, plan=plan)
            agree([found[2]], [wanted[2]], dtype)
        if plan.ghost is None and plan.nested and plan.center:
            given = (x, mean, expected[3], gamma, beta, r)
            wanted = REFERENCE.normalize_by(*given, plan=plan)
            agree([B.normalize_by(*given, plan=plan)], [wanted], dtype)
    for a, b in zip((x, g, u), before, strict=True):
        assert (a == b).all()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), SHAPES, ids=str)
def test_every_form(shape, axis, dtype):
    compare(shape, axis, dtype)
    compare(shape, axis, dtype, affine=False)
    compare(shape, axis, dtype, activation="relu")
    compare(shape, axis, dtype, activation="leaky_relu", slope=0.2, residual=True)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((70, 130), 1),  # the last tile overlaps the one before
        ((67, 512), 1),  # rows that begin within a line of the cache
        ((9, 6, 49), 1),  # short runs, walked in bundles
        ((3, 70, 21), 1),  # bundles, the last one smaller
    ],
    ids=str,
)
def test_tiles_and_bundles(shape, axis, dtype):
    for options in ({}, {"activation": "relu"}, {"activation": "leaky_relu", "residual": True}):
        compare(shape, axis, dtype, **options)


@pytest.mark.skipif(not compiler.COMPILED, reason="takes minutes as plain Python")
@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((1700, 1024), 1),  # rows of a page
        ((26000, 64), 1),  # a row is a tile
        ((13001, 130), 1),  # rows that fill no lines: ordinary stores
        ((130, 250, 50), 1),  # bundles whose runs share lines, and end within one
        ((70, 64, 260), 1),  # bundles of whole lines, runs that are none
        ((33, 60, 32, 20), 1),  # runs of whole lines
        ((3, 17, 34000), 1),  # a run of many chunks
    ],
    ids=str,
)
def test_large_results(shape, axis):
    for options in ({}, {"activation": "relu"}, {"activation": "relu", "residual": True}):
        compare(shape, axis, "float32", **options)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "axis"), [((33, 5), 1), ((4, 3, 5, 2), 1), ((4, 5, 2, 3), 3)])
def test_every_layout(shape, axis, layout):
    # Sums over repeated rows cancel: in float32 all that is left of them is rounding.
    dtype = "float64" if layout == "broadcast" else "float32"
    compare(shape, axis, dtype, layout)
    compare(shape, axis, dtype, layout, activation="relu", residual=True)


@pytest.mark.parametrize("center", [True, False])
def test_groups_with_shared_parameters(center):
    compare((7, 3), 1, "float64", ghost=3, center=center)
    compare((7, 3, 4), 1, "float64", ghost=3, center=center, activation="relu")
    compare((3, 2, 5), (0, 1), "float64", param_axis=(1,), center=center)
    compare((3, 4, 2), (0, 2), "float64", param_axis=(2,), center=center)
    compare((5, 6), 0, "float64", param_axis=(1,), center=center)  # layer norm: the reference


@pytest.mark.parametrize(
    ("shape", "axis", "options"),
    [
        ((5, 3, 2, 4), (1, 3), {"ghost": 1}),
        ((4, 3, 6, 5), (0, 1, 3), {"param_axis": (1, 3)}),
        ((4, 3, 6, 5), (0, 2, 3), {"param_axis": (3,)}),
        ((50, 3, 5), (1, 2), {"param_axis": (2,)}),
        ((17, 70, 1, 4), (0,), {"param_axis": ()}),
    ],
)
def test_kept_axes_that_merge_though_only_some_have_parameters(shape, axis, options):
    compare(shape, axis, "float64", **options)
    compare(shape, axis, "float32", "transposed", activation="relu", **options)


def test_instance_norm_of_a_sequence_with_time_first():
    a = normal(50, 8, 3)
    with tg.use_backend("numba"):
        x = tg.permute_dims(tg.Tensor(a, requires_grad=True), (1, 2, 0))
        y = F.instance_norm(
            x, tg.Tensor(np.array([1.0, 2, 3])), tg.Tensor(np.array([10.0, 20, 30]))
        )
    np.testing.assert_allclose(y.detach().numpy().mean(2), [[10, 20, 30]] * 8, atol=1e-12)
    np.testing.assert_allclose(y.detach().numpy().std(2), [[1, 2, 3]] * 8, rtol=1e-4)


@pytest.mark.parametrize(("shape", "axis"), [((20_000, 3), 1), ((4, 3, 5000), 1)])
@pytest.mark.parametrize(("value", "eps"), [(1.0, 1e-100), (1.0, 1e-50), (1e36, 1e-5)])
def test_constant_channels(shape, axis, value, eps):
    plan = normalization_plan(len(shape), axis, eps)
    y, mean, _, var, rstd, _ = B.batch_norm(
        np.full(shape, value, "f4"), None, None, None, None, plan=plan
    )
    assert (y == 0).all()
    assert (var == 0).all()
    np.testing.assert_allclose(mean, value, rtol=1e-7)
    assert (rstd == (0 if eps < 1e-45 else np.float32(eps) ** -0.5)).all()


@pytest.mark.parametrize("shape", [(1, 4, 262_147), (3, 5, 71_001)], ids=str)
@pytest.mark.parametrize("options", [{}, {"activation": "relu", "residual": True}])
def test_results_that_go_past_the_caches(shape, options):
    """Runs that begin anywhere between two 16-byte boundaries."""
    compare(shape, 1, "float32", **options)


def test_many_rows():
    compare((70_001, 5), 1, "float32", activation="relu", residual=True)
    compare((65_536, 16), 1, "float32")
    compare((40_000, 40), 1, "float32", activation="leaky_relu")


def test_a_permuted_image_keeps_its_memory_format():
    x = np.ascontiguousarray(normal(2, 4, 5, 3).astype("f4")).transpose(0, 3, 1, 2)
    plan = normalization_plan(4, 1, 1e-5)
    assert form_of(x, plan).rows
    y = B.batch_norm(x, None, None, None, None, plan=plan)[0]
    assert y.strides == x.strides
    agree([y], [REFERENCE.batch_norm(x, None, None, None, None, plan=plan)[0]], "float32")


def test_read_only_input():
    x = normal(40, 3).astype("f4")
    x.flags.writeable = False
    plan = normalization_plan(2, 1, 1e-5)
    found = B.batch_norm(x, None, None, None, None, plan=plan)
    agree(found[:1], REFERENCE.batch_norm(x, None, None, None, None, plan=plan)[:1], "float32")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("shape", "axis"), [((600, 3), 1), ((5, 3, 700), 1), ((9, 8, 3), 2)])
def test_a_bad_value_stays_in_its_channel(bad, shape, axis):
    x, g = normal(*shape).astype("f4"), normal(*shape, seed=2).astype("f4")
    np.moveaxis(x, axis, 0)[1].flat[7] = bad
    with tg.use_backend("numba"):
        t = tg.Tensor(x, requires_grad=True)
        y, _ = F.batch_norm(t, axis=axis, activation="relu")
        y.backward(tg.Tensor(g))
    for found in (y.detach().numpy(), t.grad.numpy()):
        channels = np.moveaxis(found, axis, 0)
        assert np.isfinite(channels[[0, 2]]).all()
        assert np.isnan(channels[1]).any()


def test_data_that_drift_far_from_their_first_values():
    """The shift of the sums is far from the mean: they are made again about it."""
    x = np.linspace(0, 1e4, 3 * 5000).reshape(5000, 3).astype("f4")
    for array, axis in ((x, 1), (np.ascontiguousarray(x.T)[None], 1)):
        plan = normalization_plan(array.ndim, axis, 1e-5)
        var = B.batch_statistics(array, None, plan=plan)[2]
        exact = array.astype("f8").var(plan.reduced)
        np.testing.assert_allclose(var, exact, rtol=1e-6)
