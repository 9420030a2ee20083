"""Layer, group, instance and root-mean-square norm by kernels against the reference."""

import contextlib

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.backends.numba.compared import LAYOUTS, REFERENCE
from tests.backends.numba.normalized import B, compare, kernels_alone
from tests.helpers import normal
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.nn import functional as F

# shape, axes of statistics, axes of parameters
LAYER = [
    ((5, 6), 0, (1,)),
    ((1, 6), 0, (1,)),
    ((6, 1), 0, (1,)),
    ((1, 1), 0, (1,)),
    ((6,), (), (0,)),
    ((5, 4, 6), (0, 1), (2,)),
    ((5, 4, 6), 0, (1, 2)),
    ((3, 2050), 0, (1,)),  # rows longer than a chunk, and not a multiple of it
    ((300, 2, 9), (0, 1), (2,)),
]
GROUP = [
    ((3, 2, 4, 5), (0, 1), (1, 2)),
    ((3, 2, 4, 5, 3), (0, 1), (1, 2)),
    ((3, 1, 4, 5), (0, 1), (1, 2)),
    ((3, 2, 1, 5), (0, 1), (1, 2)),
    ((3, 2, 4, 1), (0, 1), (1, 2)),
    ((2, 2, 3, 1500), (0, 1), (1, 2)),
    ((4, 6, 3, 2), 0, (1,)),  # layer norm with parameters for each channel
]
INSTANCE = [((3, 4, 7), (0, 1), (1,)), ((2, 3, 5, 4), (0, 1), (1,)), ((3, 4, 7), (0, 1), ())]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(("shape", "axis", "own"), LAYER + GROUP + INSTANCE, ids=str)
@pytest.mark.parametrize("center", [True, False])
def test_every_form(shape, axis, own, center, dtype):
    compare(shape, axis, dtype, param_axis=own, center=center)
    compare(shape, axis, dtype, param_axis=own, center=center, affine=False)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("shape", "axis", "own"), [LAYER[0], LAYER[6], GROUP[0]], ids=str)
def test_every_layout(shape, axis, own, layout):
    compare(shape, axis, "float32", layout=layout, param_axis=own)
    compare(shape, axis, "float64", layout=layout, param_axis=own, center=False)


@pytest.mark.parametrize(
    ("shape", "axis", "own"),
    [
        ((2100, 128), 0, (1,)),
        ((4, 100_003), 0, (1,)),  # more parameters than strips are worth
        ((6, 3, 8, 1000), (0, 1), (1, 2)),
    ],
    ids=str,
)
def test_many_numbers(shape, axis, own):
    compare(shape, axis, "float32", param_axis=own)


@pytest.mark.parametrize("residual", [True, False])
def test_what_no_kernel_takes_goes_to_the_reference(residual):
    """An activation or a residual, parameters before the axes that are kept, nothing at all."""
    for shape, axis, own, options in (
        ((5, 6), 0, (1,), {"activation": "relu"}),
        ((3, 2, 4, 5), (0, 1), (1, 2), {"activation": "leaky_relu"}),
        ((5, 6), 0, (1,), {}),
        ((5, 6), 1, (0,), {}),
        ((4, 5, 6), (0, 2), (1,), {}),
        ((0, 6), 0, (1,), {}),
        ((6, 0), 0, (1,), {}),
    ):
        given = {"residual": residual, "alone": False, "param_axis": own, **options}
        compare(shape, axis, "float64", **given)


@pytest.mark.parametrize("mean", [1e3, 1e6])
@pytest.mark.parametrize(
    ("shape", "axis", "own"), [((40, 3000), 0, (1,)), ((3, 4, 6, 99), (0, 1), (1, 2))]
)
def test_accuracy_far_from_zero(shape, axis, own, mean):
    """Means of up to 10^6 standard deviations, against float64."""
    x = (normal(*shape) + mean).astype("f4")
    plan = normalization_plan(len(shape), axis, 1e-5, param_axis=own)
    with kernels_alone():
        found = B.batch_norm(x, None, None, None, None, plan=plan)
    wanted = REFERENCE.batch_norm(x.astype("f8"), None, None, None, None, plan=plan)
    centre = found[1].astype("f8") + found[2]
    np.testing.assert_allclose(centre, wanted[1] + wanted[2], rtol=0, atol=3e-7)
    np.testing.assert_allclose(found[3], wanted[3], rtol=2e-6)
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-5, atol=2e-5)
    g = normal(*shape, seed=2)
    vectors = [np.asarray(a) for a in (*wanted[1:3], wanted[4])]
    exact = REFERENCE.batch_norm_grad(
        g, x.astype("f8"), *vectors, None, None, None, None, plan=plan
    )
    with kernels_alone():
        vectors = (found[1], found[2], found[4])
        dx = B.batch_norm_grad(g.astype("f4"), x, *vectors, None, None, None, None, plan=plan)
    for a, b in zip(dx, exact, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4)


def test_rows_that_drift_far_from_their_first_values():
    """The shift of the sums is far from the mean: they are made again about it."""
    x = np.linspace(0, 1e4, 3 * 5000).reshape(3, 5000).astype("f4") ** 2
    plan = normalization_plan(2, 0, 1e-5, param_axis=(1,))
    with kernels_alone():
        var = B.batch_statistics(x, None, plan=plan)[2]
    np.testing.assert_allclose(var, x.astype("f8").var(1), rtol=1e-6)


@pytest.mark.parametrize(("value", "eps"), [(1.0, 1e-100), (1.0, 0.0), (1e36, 1e-5)])
@pytest.mark.parametrize("width", [7, 5000])
def test_constant_rows(value, eps, width):
    plan = normalization_plan(2, 0, eps, param_axis=(1,))
    gamma, beta = normal(2, width).astype("f4")
    x = np.full((4, width), value, "f4")
    with kernels_alone():
        y, mean, low, var, rstd, _ = B.batch_norm(x, gamma, beta, None, None, plan=plan)
        dx, dgamma, dbeta = B.batch_norm_grad(
            np.ones_like(x), x, mean, low, rstd, gamma, beta, None, None, plan=plan
        )
    assert (y == beta).all()
    assert (var == 0).all()
    assert (rstd == (0 if eps < 1e-45 else np.float32(eps) ** -0.5)).all()
    assert np.isfinite(dx).all()
    assert (dgamma == 0).all()
    assert (dbeta == 4).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("shape", "own"), [((5, 6), (1,)), ((5, 2000), (1,)), ((5, 3, 50), (1,))])
def test_an_odd_value_stays_in_its_sample(shape, own, value):
    plan = normalization_plan(len(shape), 0, 1e-5, param_axis=own)
    x, g = normal(*shape).astype("f4"), normal(*shape, seed=2).astype("f4")
    x[1].flat[4] = value
    with kernels_alone(), np.errstate(all="ignore"):
        y, mean, low, _, rstd, _ = B.batch_norm(x, None, None, None, None, plan=plan)
        dx, *_ = B.batch_norm_grad(g, x, mean, low, rstd, None, None, None, None, plan=plan)
    for found in (y, dx):
        assert np.isfinite(found[[0, 2, 3, 4]]).all()
        assert np.isnan(found[1]).all() or np.isinf(value)
        assert np.isnan(found[1]).any()


@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "group_norm", "instance_norm"])
def test_functions_run_on_kernels(name):
    """To second order, as NumPy has it."""
    a, b = normal(3, 4, 6), normal(3, 4, 6, seed=2)
    width = 6 if name in ("layer_norm", "rms_norm") else 4
    middle = {"layer_norm": (6,), "rms_norm": (6,), "group_norm": (2,), "instance_norm": ()}[name]
    results = []
    for backend in ("numba", "numpy"):
        guard = kernels_alone() if backend == "numba" else contextlib.nullcontext()
        with tg.use_backend(backend), guard:
            x = tg.Tensor(a, requires_grad=True)
            w = tg.Tensor(normal(width, seed=3), requires_grad=True)
            y = getattr(F, name)(x, *middle, w)
            first = tg.autograd.grad((y * tg.Tensor(b)).sum(), (x, w), create_graph=True)
            total = sum((d * d).sum() for d in first)
            second = tg.autograd.grad(total, (x, w))
            results.append([t.detach().numpy() for t in (y, *first, *second)])
    for found, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-9)
