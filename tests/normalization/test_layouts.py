"""Memory layouts, dtypes and refusals of the functional forms."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import nn
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.nn import functional as F
from tinygrad_bn.testing import check_op

LAYOUTS = ("contiguous", "transposed", "reversed", "broadcast")


def expected(x, gamma, beta, axis=1, eps=1e-5):
    axes = tuple(a for a in range(x.ndim) if a not in np.atleast_1d(axis) % x.ndim)
    wide = [n if a not in axes else 1 for a, n in enumerate(x.shape)]
    mean, var = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * gamma.reshape(wide) + beta.reshape(wide)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [
        ((6, 3), 1),
        ((3, 6), 0),
        ((4, 3, 5), 1),
        ((3, 2, 3, 4), 1),
        ((3, 2, 4, 3), -1),
        ((2, 3, 2, 3, 2), 1),
        ((2, 3, 4, 2), (1, 3)),
        ((2, 3, 4), (0, 2)),
    ],
)
def test_every_layout(backend, shape, axis):
    kept = tuple(shape[a] for a in np.atleast_1d(axis))

    def fn(x, gamma, beta, *, axis):
        return F.batch_norm(x, gamma, beta, axis=axis)[0]

    check_op(
        fn,
        [normal(*shape), normal(*kept), normal(*kept, seed=1)],
        expected,
        backends=[backend],
        orders=(),
        layouts=LAYOUTS[:3],
        zero_size=False,
        accuracy32=1e-4,
        axis=axis,
    )


@pytest.mark.parametrize("m", [40, 5000])
def test_views_give_what_copies_give(m):
    """Large enough for blocks; float32, so that the small steps differ if they can."""
    base = normal(3, m, 2, 4).astype("f")
    gamma = tg.Tensor(normal(3).astype("f"))
    for view, axis in [
        (np.moveaxis(base, 0, -1), 3),
        (base[:, ::-1], 0),
        (base[:, ::2, :, 1:3], 0),
        (np.broadcast_to(base[:, :, :1], base.shape), 0),
    ]:
        with np.errstate(all="raise"):
            a = F.batch_norm(tg.asarray(view), gamma, axis=axis)[0].numpy()
        b = F.batch_norm(tg.asarray(view.copy()), gamma, axis=axis)[0].numpy()
        np.testing.assert_allclose(a, b, atol=2e-6)


def test_inputs_are_not_changed_and_not_shared(backend):
    arrays = [normal(5, 3), normal(3), normal(3, seed=2), normal(5, 3, seed=3)]
    tensors = [tg.Tensor(a, requires_grad=True) for a in arrays]
    y, found = F.batch_norm(*tensors[:3], residual=tensors[3], activation="relu")
    for a in (y, found.mean, found.var):
        a.detach()._write(..., 7.0)
    for t, a in zip(tensors, arrays, strict=True):
        assert t.tolist() == a.tolist()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_dtypes(dtype):
    x = tg.Tensor(normal(6, 3).astype(dtype), requires_grad=True)
    gamma = tg.Tensor([1.0, 2.0, 3.0], requires_grad=True)
    y, found = F.batch_norm(x, gamma)
    statistic = "float64" if dtype == "float64" else "float32"
    assert y.dtype.name == dtype
    assert found.mean.dtype.name == found.var.dtype.name == statistic
    dx, dgamma = tg.autograd.grad(y, [x, gamma], tg.ones_like(y), create_graph=True)
    assert (dx.dtype.name, dgamma.dtype.name) == (dtype, "float32")
    z = F.normalize_by(x, found.mean, found.var, gamma)
    assert z.dtype.name == dtype
    np.testing.assert_allclose(z.tolist(), y.tolist(), atol=4e-3 if dtype == "float16" else 1e-5)


def test_statistics_alone(backend):
    x = normal(4, 3, 5)
    found = F.batch_statistics(tg.Tensor(x))
    np.testing.assert_allclose(found.mean.tolist(), x.mean((0, 2)), rtol=1e-12)
    np.testing.assert_allclose(found.unbiased().tolist(), x.var((0, 2), ddof=1), rtol=1e-12)
    assert found.count == 20
    assert not found.mean.requires_grad


def test_statistics_are_outside_the_graph():
    found = F.batch_norm(tg.Tensor(normal(4, 3), requires_grad=True))[1]
    assert not any(t.requires_grad for t in found[:2])


def test_family_against_its_definitions(backend):
    x = normal(2, 4, 3)
    w, b = normal(4), normal(4, seed=1)
    t, tw, tb = tg.Tensor(x), tg.Tensor(w), tg.Tensor(b)

    def standard(a, axes):
        return (a - a.mean(axes, keepdims=True)) / np.sqrt(a.var(axes, keepdims=True) + 1e-5)

    wide = (w[:, None], b[:, None])
    grouped = standard(x.reshape(2, 2, 2, 3), (2, 3)).reshape(x.shape) * wide[0] + wide[1]
    np.testing.assert_allclose(F.group_norm(t, 2, tw, tb).tolist(), grouped, rtol=1e-11)
    single = standard(x, (2,)) * wide[0] + wide[1]
    np.testing.assert_allclose(F.instance_norm(t, tw, tb).tolist(), single, rtol=1e-11)
    np.testing.assert_allclose(F.layer_norm(t, (4, 3)).tolist(), standard(x, (1, 2)), rtol=1e-11)
    rms = x / np.sqrt((x**2).mean(-1, keepdims=True) + np.finfo(np.float64).eps)
    np.testing.assert_allclose(F.rms_norm(t, 3).tolist(), rms, rtol=1e-12)


def test_layers_of_the_family_are_their_functions():
    x = tg.Tensor(normal(2, 4, 3).astype("f"))
    pairs = [
        (nn.LayerNorm(3), F.layer_norm(x, 3)),
        (nn.LayerNorm((4, 3), elementwise_affine=False), F.layer_norm(x, (4, 3))),
        (nn.RMSNorm(3), F.rms_norm(x, 3)),
        (nn.GroupNorm(2, 4), F.group_norm(x, 2)),
        (nn.InstanceNorm1d(4, affine=True), F.instance_norm(x)),
    ]
    for layer, y in pairs:
        np.testing.assert_allclose(layer(x).tolist(), y.tolist(), atol=1e-6)
    unbatched = nn.InstanceNorm1d(4)(tg.Tensor(x.numpy()[0])).tolist()
    np.testing.assert_allclose(unbatched, F.instance_norm(x).tolist()[0], atol=1e-6)


def test_instance_norm_keeps_an_estimate_if_asked():
    layer = nn.InstanceNorm1d(4, track_running_stats=True, dtype=tg.float64)
    x = normal(2, 4, 5)
    layer(tg.Tensor(x))
    np.testing.assert_allclose(layer.running_mean.tolist(), 0.1 * x.mean((0, 2)), rtol=1e-12)
    var = x.var(2, ddof=1).mean(0)
    np.testing.assert_allclose(layer.running_var.tolist(), 0.9 + 0.1 * var, rtol=1e-12)
    y = layer.eval()(tg.Tensor(x)).numpy()
    mean, var = layer.running_mean.numpy()[:, None], layer.running_var.numpy()[:, None]
    np.testing.assert_allclose(y, (x - mean) / np.sqrt(var + 1e-5), rtol=1e-12)


X = tg.zeros((4, 3))


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (
            lambda: F.batch_norm(tg.asarray([[1, 2]])),
            TypeError,
            r"batch_norm: x must be real float",
        ),
        (lambda: F.batch_norm(X, axis=2), ValueError, r"axis must lie in \[-2, 2\) .* got 2"),
        (lambda: F.batch_norm(X, axis=(1, -1)), ValueError, r"axis names an axis twice: \(1, -1\)"),
        (
            lambda: F.batch_norm(X, eps=-1.0),
            ValueError,
            r"eps must be a finite number >= 0, got -1",
        ),
        (
            lambda: F.batch_norm(X, tg.ones(4)),
            ValueError,
            r"gamma must have the shape \(3,\) of axis",
        ),
        (
            lambda: F.batch_norm(X, beta=2.0),
            ValueError,
            r"beta must have the shape \(3,\) .* got \(\)",
        ),
        (
            lambda: F.batch_norm(X, activation="elu"),
            ValueError,
            r"'relu' or 'leaky_relu', got 'elu'",
        ),
        (lambda: F.batch_norm(X, ghost_size=0), ValueError, r"at least 1 sample, got 0"),
        (lambda: F.batch_norm(X, residual=tg.ones(3)), ValueError, r"residual must have the shape"),
        (
            lambda: F.batch_norm(X, weights=tg.ones(3)),
            ValueError,
            r"weights must broadcast to .*\(4,\)",
        ),
        (lambda: F.batch_norm(X, mask=tg.ones(3)), ValueError, r"mask must broadcast to"),
        (
            lambda: F.batch_norm(X, mask=[1], weights=[1]),
            ValueError,
            r"give mask or weights, not both",
        ),
        (
            lambda: F.batch_norm(X, weights=tg.Tensor([1.0] * 4, requires_grad=True)),
            ValueError,
            r"weights are data and have no derivative; pass weights.detach\(\)",
        ),
        (lambda: F.normalize_by(X, tg.ones(4), tg.ones(3)), ValueError, r"normalize_by: mean must"),
        (
            lambda: F.batch_renorm(X, tg.ones(3), tg.ones(3), r_max=0.5),
            ValueError,
            r"r_max must be >= 1 and d_max >= 0, got 0.5 and 5.0",
        ),
        (lambda: F.layer_norm(X, (4,)), ValueError, r"normalized_shape \(4,\), got shape \(4, 3\)"),
        (lambda: F.rms_norm(X, 3, tg.ones(2)), ValueError, r"rms_norm: weight must have the shape"),
        (lambda: F.group_norm(X, 2), ValueError, r"num_groups must divide the channels .* got 2"),
        (lambda: F.group_norm(X, 3, tg.ones(2)), ValueError, r"group_norm: weight must be \(3,\)"),
        (lambda: F.instance_norm(X), ValueError, r"instance_norm: x must be \(N, C, ...\), got"),
    ],
)
def test_refusals(call, kind, text):
    with pytest.raises(kind, match=text):
        call()


def test_a_plan_works_out_its_axes():
    plan = normalization_plan(4, (-1, 1), 1e-5)
    assert (plan.axis, plan.reduced, plan.nested, plan.trailing) == ((1, 3), (0, 2), True, False)
    assert plan.extent((2, 3, 4, 5)) == 8
    assert plan.kept((2, 3, 4, 5)) == (3, 5)
