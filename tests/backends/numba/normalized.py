"""All methods of a normalization at once, on the Numba backend and by the reference."""

import contextlib
from unittest import mock

import numpy as np
from tinygrad_bn.backends.numpy.normalization import NumPyNormalization

from tests.backends.numba.compared import REFERENCE, laid_out
from tests.helpers import normal
from tinygrad_bn.backend import get_backend
from tinygrad_bn.backend.normalization_plan import normalization_plan

B = get_backend("numba")
TOLERANCE = {"float16": 4e-3, "float32": 2e-5, "float64": 1e-11}
METHODS = (
    "batch_norm",
    "batch_statistics",
    "batch_norm_gate",
    "batch_norm_grad",
    "batch_norm_residual_grad",
    "batch_norm_grad_grad",
)


@contextlib.contextmanager
def kernels_alone():
    """The Numba backend may not fall back to what its parent does."""
    with contextlib.ExitStack() as stack:
        for name in METHODS:
            refuse = mock.Mock(side_effect=AssertionError(f"{name}: no kernel took the input"))
            stack.enter_context(mock.patch.object(NumPyNormalization, name, refuse, create=True))
        yield


def agree(found, expected, dtype):
    """Arrays equal to rounding where finite, exactly elsewhere; of one shape and dtype."""
    for a, b in zip(found, expected, strict=True):
        if b is None:
            assert a is None
            continue
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        finite = np.isfinite(b)
        np.testing.assert_array_equal(np.isfinite(a), finite)
        np.testing.assert_array_equal(a[~finite], b[~finite])
        if finite.any():
            scale = np.abs(b[finite].astype("f8")).max() + 1
            difference = a[finite].astype("f8") - b[finite].astype("f8")
            assert np.abs(difference).max() <= TOLERANCE[dtype] * scale


def weights_for(shape, masked, dtype, seed=11):
    """Weights of a shape, or a mask, a third of it 0."""
    w = np.random.default_rng(seed).uniform(-0.5, 1.0, shape)
    return w > 0 if masked else np.maximum(w, 0.0).astype(dtype)


def inputs(shape, plan, dtype, layout="contiguous"):
    """x, g, u, residual and gamma, beta, v, t."""
    arrays = [laid_out(normal(*shape, seed=s) + (s == 1), dtype, layout) for s in range(1, 5)]
    width = [shape[a] for a in plan.param_axis]
    stat = "float32" if dtype == "float16" else dtype
    return arrays, [normal(*width, seed=s).astype(stat) for s in range(5, 9)]


def compare(
    shape,
    axis,
    dtype,
    weights=None,
    layout="contiguous",
    affine=True,
    residual=False,
    alone=True,
    **options,
):
    """All methods on one input against the reference; arguments stay as they were.

    With `alone` the kernels must take it.
    """
    # A large eps keeps repeated rows, whose variance is 0, from magnifying rounding errors.
    eps = 1.0 if layout == "broadcast" else 1e-2
    plan = normalization_plan(len(shape), axis, eps, **options)
    (x, g, u, r), (gamma, beta, v, t) = inputs(shape, plan, dtype, layout)
    if not affine:
        gamma = beta = None
    given = [a for a in (x, g, u, r, weights, gamma, beta, v, t) if a is not None]
    before = [np.array(a) for a in given]
    guard = kernels_alone() if alone else contextlib.nullcontext()
    with guard, np.errstate(all="ignore"):
        check(x, g, u, v, t, gamma, beta, r if residual else None, weights, plan, dtype)
    for a, b in zip(given, before, strict=True):
        np.testing.assert_array_equal(a, b)


def check(x, g, u, v, t, gamma, beta, residual, weights, plan, dtype):
    """Every method that such an input can come to."""
    wanted = REFERENCE.batch_norm(x, gamma, beta, residual, weights, plan=plan)
    found = B.batch_norm(x, gamma, beta, residual, weights, plan=plan)
    agree((found[0], *found[3:]), (wanted[0], *wanted[3:]), dtype)
    agree([found[1] + found[2]], [wanted[1] + wanted[2]], dtype)
    mean, low, _, rstd, count = wanted[1:]
    vectors = (mean, low, rstd, gamma, beta)
    if plan.ghost is None:
        statistics = B.batch_statistics(x, weights, plan=plan)
        expected = REFERENCE.batch_statistics(x, weights, plan=plan)
        agree(statistics[2:], expected[2:], dtype)
    if plan.activation or plan.masked:
        both("batch_norm_gate", (g, x, *vectors, residual, weights), plan, dtype)
    if residual is not None:
        if plan.activation or plan.masked:
            arguments = (g, x, *vectors, residual, weights, count)
            both("batch_norm_residual_grad", arguments, plan, dtype)
    else:
        both("batch_norm_grad", (g, x, *vectors, weights, count), plan, dtype)
        arguments = (u, v, t, g, x, *vectors, weights, count)
        both("batch_norm_grad_grad", arguments, plan, dtype)


def both(name, arguments, plan, dtype):
    """One method of both backends."""
    found = getattr(B, name)(*arguments, plan=plan)
    wanted = getattr(REFERENCE, name)(*arguments, plan=plan)
    agree(*[a if isinstance(a, tuple) else (a,) for a in (found, wanted)], dtype)
