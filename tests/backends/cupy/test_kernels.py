"""Kernels against the reference: shapes with tails, dtypes, memory layouts, options and plans."""

import itertools

import numpy as np
import pytest

from tests.backends.cupy.devices import OLD, SMALL
from tests.backends.cupy.simt.backend import SimtBackend
from tests.backends.cupy.simt.library import has_compiler
from tests.helpers import normal
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.backend.reference_normalization import NormalizationReference as Reference

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to run kernels with")

TOLERANCE = {"float16": 2e-3, "float32": 3e-6, "float64": 1e-13}
SHAPES = {
    # one block, a cluster of several, two kernels; lengths with and without whole vectors
    "planes": ((3, 4, 8), 1),
    "planes in a cluster": ((8, 2, 16, 16), 1),
    "planes in parts": ((40, 2, 16, 8), 1),
    "odd planes": ((3, 5, 7, 7), 1),
    "odd planes in parts": ((33, 3, 7, 7), 1),
    "features": ((9, 8), 1),
    "one row": ((1, 24), 1),
    "one element": ((1, 1), 1),
    "odd features": ((37, 5), 1),
    "many features": ((13, 200), 1),
    "features in parts": ((700, 40), 1),
    "odd features in parts": ((300, 37), 1),
    "features first": ((3, 300), 0),
    "channels last": ((4, 5, 6, 3), 3),
    "instances": ((3, 2, 40), (0, 1)),
    "groups of rows": ((3, 50, 8), (0, 2)),
    "groups of planes": ((2, 5, 3, 8), (0, 2)),
}


@pytest.fixture(params=["small", "old"])
def B(request):
    backend = SimtBackend()
    backend.limits = {"small": SMALL, "old": OLD}[request.param]
    return backend


def close(name, found, expected, dtype):
    """Against what float64 gives, to a few units of the dtype of the result."""
    assert found.shape == expected.shape, name
    wide = "float32" if dtype == "float16" and found.dtype != np.float16 else dtype
    tolerance = TOLERANCE[dtype if found.dtype == np.float16 else wide]
    scale = np.abs(expected).max(initial=1.0)
    error = np.abs(found.astype("f8") - expected).max(initial=0.0)
    assert error <= tolerance * scale, f"{name}: {error / scale}"


def arguments(shape, axis, dtype, affine=True, options=None, weighting=None):
    plan = normalization_plan(len(shape), axis, 0.1, masked=weighting == "mask", **options or {})
    stat = "float64" if dtype == "float64" else "float32"
    x, g, u, residual = [normal(*shape, seed=i).astype(dtype) for i in range(4)]
    x += np.asarray(2, dtype)
    width = plan.kept(shape)
    gamma, beta = [normal(*width, seed=i).astype(stat) for i in (4, 5)]
    weights = None
    if weighting is not None:
        spread = [n if a in plan.reduced else 1 for a, n in enumerate(shape)]
        weights = np.random.default_rng(7).uniform(0.1, 2, spread)
        weights = np.where(weights < 0.6, 0.0, 1.0 if weighting == "mask" else weights)
        weights = weights > 0 if weighting == "mask" else weights.astype(stat)
    return plan, x, g, u, residual, *((gamma, beta) if affine else (None, None)), weights


def wide(*arrays):
    return [a if a is None or a.dtype.kind == "b" else a.astype("f8") for a in arrays]


def compare(B, dtype, plan, x, g, u, residual, gamma, beta, weights):
    """All four methods against the reference in float64 for the same numbers."""
    before = [a.copy() for a in (x, g, u, residual)]
    found = B.batch_norm(x, gamma, beta, residual, weights, plan=plan)
    exact = Reference.batch_norm(B, *wide(x, gamma, beta, residual, weights), plan=plan)
    for name, a, e in zip(("y", "mean", "low", "var", "rstd", "count"), found, exact, strict=True):
        assert (a is None) == (e is None)
        if a is not None and name not in ("low", "mean"):
            close(name, a, e, dtype)
    close("mean", found[1].astype("f8") + found[2], exact[1] + exact[2], dtype)
    mean, low, _, rstd, count = found[1:]
    channels = mean, low, rstd, gamma, beta
    gate = B.batch_norm_gate(g, x, *channels, residual, weights, plan=plan)
    expected = Reference.batch_norm_gate(B, *wide(g, x, *channels, residual, weights), plan=plan)
    close("gate", gate, expected, dtype)
    grads = B.batch_norm_grad(g, x, *channels, weights, count, plan=plan)
    expected = Reference.batch_norm_grad(B, *wide(g, x, *channels, weights, count), plan=plan)
    for name, a, e in zip(("dx", "dgamma", "dbeta"), grads, expected, strict=True):
        close(name, a, e, dtype)
    v, t = mean + 1, rstd - 2
    second = B.batch_norm_grad_grad(u, v, t, g, x, *channels, weights, count, plan=plan)
    inputs = wide(u, v, t, g, x, *channels, weights, count)
    for name, a, e in zip(
        ("dg", "dx", "dgamma"),
        second,
        Reference.batch_norm_grad_grad(B, *inputs, plan=plan),
        strict=True,
    ):
        close(f"second {name}", a, e, dtype)
    for a, b in zip((x, g, u, residual), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", SHAPES)
def test_shapes(B, name, dtype):
    shape, axis = SHAPES[name]
    compare(B, dtype, *arguments(shape, axis, dtype, options={"activation": "relu"}))
    assert B.launches


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
@pytest.mark.parametrize("weighting", [None, "weights", "mask"])
def test_options(B, activation, weighting, affine):
    for name in ("planes in a cluster", "odd features", "features in parts", "instances"):
        shape, axis = SHAPES[name]
        options = {"activation": activation, "slope": 0.2}
        compare(B, "float32", *arguments(shape, axis, "float32", affine, options, weighting))


@pytest.mark.parametrize("name", ["channels last", "planes in parts", "odd planes"])
def test_memory_orders(B, name):
    """Channels-last memory under channels-first axes, and the other way round; mixed arguments."""
    shape, axis = SHAPES[name]
    plan, x, g, u, residual, *rest = arguments(shape, axis, "float32")
    place = 1 if axis == x.ndim - 1 else -1
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, axis, place)), place, axis)
    assert not turned.flags.c_contiguous
    compare(B, "float32", plan, turned, g, u[::-1], residual, *rest)
    y = B.batch_norm(turned, *rest[:2], None, None, plan=plan)[0]
    assert y.strides == turned.strides


def test_addresses_that_are_no_multiples_of_16(B):
    plan, x, g, u, residual, *rest = arguments((6, 3, 8), 1, "float32")
    shifted = []
    for a in (x, g, u, residual):
        room = np.empty(a.size + 1, a.dtype)
        shifted.append(room[1:].reshape(a.shape))
        shifted[-1][...] = a
    compare(B, "float32", plan, *shifted, *rest)
    assert {launch.instance.split("<")[2][0] for launch in B.launches} == {"1"}


def test_parameters_of_another_dtype_are_converted(B):
    plan, x, g, u, residual, gamma, beta, _ = arguments((6, 3, 8), 1, "float32")
    compare(B, "float32", plan, x, g, u, residual, gamma.astype("f8"), beta.astype("f2"), None)


def test_what_no_kernel_handles_is_the_references(B):
    x = normal(6, 4).astype("f4")
    layer = normalization_plan(2, (0,), 0.1, param_axis=(1,))
    expected = Reference.batch_norm(B, x, None, None, None, None, plan=layer)[0]
    assert (B.batch_norm(x, None, None, None, None, plan=layer)[0] == expected).all()
    plan = normalization_plan(4, (1, 3), 0.1)
    x = normal(2, 3, 4, 5)
    assert B.batch_norm(x, None, None, None, None, plan=plan)[0].shape == x.shape
    plan = normalization_plan(2, 1, 0.1)
    assert B.batch_norm(x[0, :0, :, 0], None, None, None, None, plan=plan)[0].shape == (0, 4)
    assert B.batch_norm_grad(
        x[0, :, :, 0], x[0, :, :, 0].astype("f4"), *np.ones((3, 4), "f4"), None, None, None, None,
        plan=plan,
    )[0].dtype == np.float32  # fmt: skip
    assert B.launches == []


@pytest.mark.parametrize("name", ["planes in a cluster", "features in parts", "odd planes"])
def test_nan_stays_in_its_channel(B, name):
    shape, axis = SHAPES[name]
    plan, x, g, *_ = arguments(shape, axis, "float32")
    bad = [slice(None)] * x.ndim
    bad[axis] = 1
    x[tuple([0 if a != axis else 1 for a in range(x.ndim)])] = np.nan
    y, *statistics = B.batch_norm(x, None, None, None, None, plan=plan)
    dx, dgamma, _ = B.batch_norm_grad(
        g, x, statistics[0], statistics[1], statistics[3], None, None, None, None, plan=plan
    )
    for a in (y, dx):
        assert np.isnan(a[tuple(bad)]).all()
        assert np.isfinite(np.delete(a, 1, axis)).all()
    for a in (*statistics[:4], dgamma):
        assert np.isnan(a).tolist() == [i == 1 for i in range(a.size)]


@pytest.mark.parametrize("name", ["planes in a cluster", "features in parts", "planes in parts"])
def test_a_constant_channel_however_large(B, name):
    """The square of its mean is beyond float64."""
    shape, axis = SHAPES[name]
    plan = normalization_plan(len(shape), axis, 0.1)
    y, mean, _, var, _, _ = B.batch_norm(np.full(shape, 1e200), None, None, None, None, plan=plan)
    assert (y == 0).all()
    assert (mean == 1e200).all()
    assert (var == 0).all()


def test_results_do_not_depend_on_the_order_of_threads(B):
    for name in ("planes in a cluster", "features in parts", "odd features in parts"):
        shape, axis = SHAPES[name]
        plan, x, g, _, _, gamma, beta, _ = arguments(shape, axis, "float32")
        runs = []
        for seed in range(3):
            B.seed = 100 * seed
            y, mean, low, var, rstd, _ = B.batch_norm(x, gamma, beta, None, None, plan=plan)
            grads = B.batch_norm_grad(g, x, mean, low, rstd, gamma, beta, None, None, plan=plan)
            runs.append([y, mean, low, var, rstd, *grads])
        for other, a in itertools.product(runs[1:], range(8)):
            assert runs[0][a].tobytes() == other[a].tobytes()


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_given_statistics(B, dtype):
    for name in ("planes", "odd planes in parts", "features in parts", "channels last"):
        shape, axis = SHAPES[name]
        plan, x, _, _, residual, gamma, beta, _ = arguments(
            shape, axis, dtype, options={"activation": "leaky_relu"}
        )
        mean, var = gamma + 1, beta**2
        found = B.normalize_by(x, mean, var, gamma, beta, residual, plan=plan)
        inputs = wide(x, mean, var, gamma, beta, residual)
        close("y", found, Reference.normalize_by(B, *inputs, plan=plan), dtype)


def test_every_path_ran(B):
    for name in ("planes", "planes in a cluster", "planes in parts"):
        shape, axis = SHAPES[name]
        compare(B, "float32", *arguments(shape, axis, "float32"))
    kernels = {launch.instance.split("<")[0] for launch in B.launches}
    clusters = {launch.cluster for launch in B.launches}
    assert {"forward_partials", "backward_apply", "second_apply", "gate"} <= kernels
    assert {"forward_resident", "backward_resident"} <= kernels
    assert max(clusters) == B.limits.cluster or max(clusters) == 4
