"""Weighted and masked batch norm, and gates, by kernels against the reference."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.backends.numba.compared import LAYOUTS, REFERENCE
from tests.backends.numba.normalized import (
    B,
    agree,
    both,
    check,
    compare,
    inputs,
    kernels_alone,
    weights_for,
)
from tests.helpers import normal
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.nn import functional as F

# shape, axis, weights that are the same for all channels
SHAPES = [
    ((60, 100), 1, (60, 1)),
    ((131, 7), 1, (131, 1)),
    ((256, 33), 1, (256, 1)),  # short rows side by side
    ((5, 7, 3), 2, (5, 7, 1)),  # sequences
    ((5, 7, 3), 2, (1, 7, 1)),
    ((2, 1), 1, (2, 1)),
    ((3, 7), 0, (1, 7)),
    ((4, 3, 5, 2), 1, (4, 1, 5, 2)),
    ((4, 3, 5, 2), 1, (4, 1, 1, 1)),
    ((2, 3, 1029), 1, (2, 1, 1029)),  # runs longer than a chunk, and not a multiple of it
    ((4, 5, 2, 3), 3, (4, 5, 1, 1)),
    ((4, 3, 5, 2), (0, 1), (4, 1, 5, 1)),
    ((9,), (), (9,)),
]
MASKED = pytest.mark.parametrize("masked", [False, True])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "axis", "wide"), SHAPES, ids=str)
@MASKED
def test_every_form(shape, axis, wide, masked, dtype):
    for lengths in (wide, shape):
        w = weights_for(lengths, masked, dtype)
        compare(shape, axis, dtype, w, masked=masked)
        compare(shape, axis, dtype, w, masked=masked, affine=False, center=False)
        compare(shape, axis, dtype, w, masked=masked, activation="relu")
        options = {"activation": "leaky_relu", "slope": 0.2, "residual": True}
        compare(shape, axis, dtype, w, masked=masked, **options)
        compare(shape, axis, dtype, w, masked=masked, residual=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    ("shape", "axis", "wide"),
    [((33, 5), 1, (33, 1)), ((4, 3, 5, 2), 1, (4, 1, 5, 2)), ((4, 5, 2, 3), 3, (4, 5, 2, 1))],
)
@MASKED
def test_every_layout(shape, axis, wide, layout, masked):
    # Sums over repeated rows cancel: in float32 all that is left of them is rounding.
    dtype = "float64" if layout == "broadcast" else "float32"
    for lengths in (wide, shape):
        w = weights_for(lengths, masked, dtype)[::-1]
        compare(shape, axis, dtype, w, layout, masked=masked)
        compare(shape, axis, dtype, w, layout, masked=masked, activation="relu", residual=True)


@MASKED
@pytest.mark.parametrize("center", [True, False])
def test_ghost_batches_with_weights_and_a_remainder(masked, center):
    for shape, wide in (((11, 3), (11, 1)), ((8, 3, 4), (8, 1, 4)), ((8, 3, 4), (8, 3, 4))):
        w = weights_for(wide, masked, "float64")
        options = {"ghost": 3, "masked": masked, "center": center, "alone": False}
        compare(shape, 1, "float64", w, **options)
        compare(shape, 1, "float32", w, activation="relu", **options)
        compare(shape, 1, "float64", w, activation="leaky_relu", residual=True, **options)


@MASKED
def test_groups_with_shared_parameters(masked):
    """What ghost batches become: parameters are summed over the groups."""
    for shape, axis, own, wide in (
        ((3, 5, 4), (0, 2), (2,), (3, 5, 1)),
        ((3, 5, 4, 6), (0, 2), (2,), (3, 5, 1, 6)),
        ((3, 4, 6), (0, 1), (1,), (1, 1, 6)),
    ):
        w = weights_for(wide, masked, "float64")
        compare(shape, axis, "float64", w, param_axis=own, masked=masked)
        compare(shape, axis, "float32", w, param_axis=own, masked=masked, activation="relu")
        compare(shape, axis, "float64", param_axis=own, activation="relu")


@pytest.mark.parametrize(
    ("shape", "axis", "options"),
    [((60, 7), 1, {}), ((4, 3, 50), 1, {}), ((3, 5, 4), (0, 2), {"param_axis": (2,)})],
)
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_the_gate_without_weights(shape, axis, options, dtype, activation):
    plan = normalization_plan(len(shape), axis, 1e-3, activation=activation, **options)
    (x, g, _, r), (gamma, beta, *_) = inputs(shape, plan, dtype)
    mean, low, _, rstd, _ = REFERENCE.batch_norm(x, gamma, beta, r, None, plan=plan)[1:]
    with kernels_alone():
        for residual in (r, None):
            arguments = (g, x, mean, low, rstd, gamma, beta, residual, None)
            both("batch_norm_gate", arguments, plan, dtype)


@pytest.mark.parametrize(
    ("shape", "axis"), [((30_001, 5), 1), ((20_480, 16), 1), ((3, 4, 9001), 1)]
)
def test_many_numbers(shape, axis):
    wide = tuple(1 if a == axis else n for a, n in enumerate(shape))
    for lengths in (wide, shape):
        compare(shape, axis, "float32", weights_for(lengths, False, "float32"))
        w = weights_for(lengths, True, "float32")
        compare(shape, axis, "float32", w, masked=True, activation="relu", residual=True)


@pytest.mark.parametrize("dtype", ["bool", "int64", "float16", "float64"])
@MASKED
def test_weights_of_any_dtype(dtype, masked):
    w = np.arange(40).reshape(40, 1) % 3
    compare((40, 5), 1, "float32", w.astype(dtype), masked=masked, activation="relu")
    compare((4, 3, 10), 1, "float32", w.reshape(4, 1, 10).astype(dtype), masked=masked)


@MASKED
@pytest.mark.parametrize(("shape", "axis"), [((40, 5), 1), ((4, 3, 50), 1)])
def test_channels_without_any_weight(shape, axis, masked):
    w = weights_for(shape, masked, "float64")
    np.moveaxis(w, axis, 0)[1] = 0
    compare(shape, axis, "float64", w, masked=masked, activation="relu")
    compare(shape, axis, "float32", w, masked=masked)
    compare(shape, axis, "float32", np.zeros_like(w), masked=masked)
    shared = np.zeros([1 if a == axis else n for a, n in enumerate(shape)], w.dtype)
    compare(shape, axis, "float32", shared, masked=masked, residual=True)


def odd_inputs(shape, axis, value, where, shared):
    """Inputs with an odd value wherever the weight is 0, or 0 in channel 1 alone."""
    plan = normalization_plan(len(shape), axis, 1e-2, masked=where == "padding")
    arrays, parameters = inputs(shape, plan, "float32")
    wide = [1 if a == axis else n for a, n in enumerate(shape)] if shared else shape
    w = weights_for(wide, False, "float32")
    for a in arrays:
        if where == "channel":
            np.moveaxis(a, axis, 0)[1].flat[7] = value
        else:
            a[np.broadcast_to(w, shape) == 0] = value
    return arrays, parameters, w


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("activation", [None, "relu", "leaky_relu"])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((40, 5), 1), ((90, 3), 1), ((4, 3, 50), 1)])
def test_padding_is_not_read(shape, axis, value, activation, shared):
    """Odd values there change nothing at all, to second order."""
    (x, g, u, r), (gamma, beta, v, t), w = odd_inputs(shape, axis, value, "padding", shared)
    plan = normalization_plan(len(shape), axis, 1e-2, masked=True, activation=activation)
    at = np.broadcast_to(w, shape) == 0
    results = []
    for fill in (value, 0.5):
        for a in (x, g, u, r):
            a[at] = fill
        with kernels_alone():
            y, *stats = B.batch_norm(x, gamma, beta, r, w, plan=plan)
            mean, low, _, rstd, count = stats
            vectors = (mean, low, rstd, gamma, beta)
            found = [y, *stats, *B.batch_norm_grad(g, x, *vectors, w, count, plan=plan)]
            found += B.batch_norm_residual_grad(g, x, *vectors, r, w, count, plan=plan)
            found += B.batch_norm_grad_grad(u, v, t, g, x, *vectors, w, count, plan=plan)
        assert (y[at] == 0).all()
        assert all(np.isfinite(a).all() for a in found)
        results.append(found)
    for a, b in zip(*results, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize(("shape", "axis"), [((40, 5), 1), ((4, 3, 50), 1)])
def test_what_has_no_weight_is_normalised_all_the_same(shape, axis, value, shared):
    """Statistics do not read it; its own output is what an odd value gives."""
    (x, *_), (gamma, beta, *_), w = odd_inputs(shape, axis, value, "weightless", shared)
    plan = normalization_plan(len(shape), axis, 1e-2, activation="relu")
    with kernels_alone(), np.errstate(all="ignore"):
        found = B.batch_norm(x, gamma, beta, None, w, plan=plan)
        wanted = REFERENCE.batch_norm(x, gamma, beta, None, w, plan=plan)
    agree((found[0], *found[3:]), (wanted[0], *wanted[3:]), "float32")
    assert np.isfinite(found[3]).all()
    at = np.broadcast_to(w, shape) == 0
    assert np.isfinite(found[0][~at]).all()
    assert np.isnan(found[0][at]).all() or np.isinf(value)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize(("shape", "axis"), [((40, 5), 1), ((4, 3, 50), 1)])
@MASKED
def test_an_odd_value_stays_in_its_channel(shape, axis, value, masked):
    (x, g, *_), (gamma, beta, *_), _ = odd_inputs(shape, axis, value, "channel", True)
    w = np.ones([1 if a == axis else n for a, n in enumerate(shape)], "f4")
    plan = normalization_plan(len(shape), axis, 1e-2, masked=masked, activation="relu")
    with kernels_alone(), np.errstate(all="ignore"):
        y, mean, low, _, rstd, count = B.batch_norm(x, gamma, beta, None, w, plan=plan)
        dx = B.batch_norm_grad(g, x, mean, low, rstd, gamma, beta, w, count, plan=plan)[0]
    for found in (y, dx):
        channels = np.moveaxis(found, axis, 0)
        assert np.isfinite(np.delete(channels, 1, axis=0)).all()
        assert np.isnan(channels[1]).any()


def test_a_weight_that_is_not_a_number():
    w = np.ones((40, 1), "f4")
    w[3] = np.nan
    for shape, weights in (((40, 5), w), ((4, 3, 10), w.reshape(4, 1, 10))):
        plan = normalization_plan(len(shape), 1, 1e-2)
        (x, *_), _ = inputs(shape, plan, "float32")
        with np.errstate(all="ignore"):
            found = B.batch_norm(x, None, None, None, weights, plan=plan)
            wanted = REFERENCE.batch_norm(x, None, None, None, weights, plan=plan)
        agree(found, wanted, "float32")
        assert np.isnan(found[0]).all()


@pytest.mark.parametrize("mean", [1e3, 1e6])
@pytest.mark.parametrize(("shape", "axis"), [((5000, 3), 1), ((600, 40), 1), ((4, 3, 2000), 1)])
@pytest.mark.parametrize("shared", [True, False])
def test_accuracy_far_from_zero(shape, axis, mean, shared):
    """Means of up to 10^6 standard deviations, with weights, against float64."""
    x = (normal(*shape) + mean).astype("f4")
    wide = [1 if a == axis else n for a, n in enumerate(shape)] if shared else shape
    w = weights_for(wide, False, "float32")
    plan = normalization_plan(len(shape), axis, 1e-5)
    found = B.batch_norm(x, None, None, None, w, plan=plan)
    wanted = REFERENCE.batch_norm(x.astype("f8"), None, None, None, w.astype("f8"), plan=plan)
    centre = found[1].astype("f8") + found[2]
    np.testing.assert_allclose(centre, wanted[1] + wanted[2], rtol=0, atol=3e-7)
    np.testing.assert_allclose(found[3], wanted[3], rtol=2e-6)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=2e-5)


@pytest.mark.parametrize("shared", [True, False])
def test_data_that_drift_far_from_their_first_values(shared):
    """The shift of the sums is far from the mean, or none is found: they are made again."""
    x = np.linspace(0, 1e4, 3 * 5000).reshape(5000, 3).astype("f4")
    w = np.ones((5000, 1 if shared else 3), "f4")
    w[:40] = 0
    w[:4000, -1] = 0
    for array, axis, weights in ((x, 1, w), (x.T[None].copy(), 1, w.T[None].copy())):
        plan = normalization_plan(array.ndim, axis, 1e-5)
        var = B.batch_statistics(array, weights, plan=plan)[2]
        wide = [a.astype("f8") for a in (array, weights)]
        np.testing.assert_allclose(var, REFERENCE.batch_statistics(*wide, plan=plan)[2], rtol=1e-6)


@pytest.mark.parametrize(("shape", "axis"), [((20_000, 3), 1), ((4, 3, 5000), 1)])
@pytest.mark.parametrize(("value", "eps"), [(1.0, 1e-100), (1.0, 0.0), (1e36, 1e-5)])
def test_constant_channels(shape, axis, value, eps):
    w = weights_for([1 if a == axis else n for a, n in enumerate(shape)], False, "float32")
    plan = normalization_plan(len(shape), axis, eps)
    y, mean, _, var, rstd, _ = B.batch_norm(
        np.full(shape, value, "f4"), None, None, None, w, plan=plan
    )
    assert (y == 0).all()
    assert (var == 0).all()
    np.testing.assert_allclose(mean, value, rtol=1e-7)
    assert (rstd == (0 if eps < 1e-45 else np.float32(eps) ** -0.5)).all()


@MASKED
def test_what_no_kernel_takes_goes_to_the_reference(masked):
    for shape, axis, wide in (
        ((4, 3, 5, 2), (1, 3), (4, 1, 5, 1)),
        ((0, 3), 1, (0, 1)),
        ((1, 3), 1, (1, 1)),
        ((1,), (), (1,)),
    ):
        w = weights_for(wide, masked, "float64")
        compare(shape, axis, "float64", w, alone=False, masked=masked, activation="relu")
    plan = normalization_plan(2, 1, 1e-2, masked=masked, activation="relu")
    (x, g, u, r), (gamma, beta, v, t) = inputs((40, 5), plan, "float64")
    w = weights_for((40, 1), masked, "float64")
    x, g = x.astype("f4"), g.astype("f8")  # a cotangent of another dtype
    gamma, beta, v, t = [a.astype("f4") for a in (gamma, beta, v, t)]
    check(x, g, u, v, t, gamma, beta, r.astype("f4"), w, plan, "float32")


def test_padded_sequences_train_as_the_shorter_ones_would():
    """Through the functional form: outputs and gradients of what is no padding."""
    x, g = normal(6, 9, 4), normal(6, 9, 4, seed=2)
    mask = np.arange(9) < np.array([9, 3, 5, 1, 7, 2])[:, None]
    with tg.use_backend("numba"):
        padded = tg.Tensor(np.where(mask[..., None], x, np.nan), requires_grad=True)
        y, _ = F.batch_norm(padded, axis=2, mask=tg.Tensor(mask), activation="relu")
        y.backward(tg.Tensor(g))
        dense = tg.Tensor(x[mask], requires_grad=True)
        z, _ = F.batch_norm(dense, axis=1, activation="relu")
        z.backward(tg.Tensor(g[mask]))
    np.testing.assert_allclose(y.detach().numpy()[mask], z.detach().numpy(), atol=1e-12)
    np.testing.assert_allclose(padded.grad.numpy()[mask], dense.grad.numpy(), atol=1e-12)
    assert (padded.grad.numpy()[~mask] == 0).all()
