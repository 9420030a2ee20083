"""What must hold exactly, at eps = 0 where that is where it holds."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn.nn import functional as F

LAYOUTS = {
    "features last": ((12, 3), 1),
    "images": ((4, 3, 2, 5), 1),
    "channels last": ((5, 4, 3), 2),
}


def gradients(shape, axis, eps=0.0, gamma=None):
    """x, g, dx, dgamma, dbeta, xhat and variance, with axes of length 1 for those of channels."""
    x = tg.Tensor(normal(*shape), requires_grad=True)
    g = normal(*shape, seed=1)
    channels = shape[axis]
    gamma = np.linspace(-1.5, 2, channels) if gamma is None else gamma
    scale = tg.Tensor(gamma, requires_grad=True)
    beta = tg.Tensor(np.zeros(channels), requires_grad=True)
    y, found = F.batch_norm(x, scale, beta, axis=axis, eps=eps)
    dx, dgamma, dbeta = (d.numpy() for d in tg.autograd.grad(y, [x, scale, beta], tg.Tensor(g)))
    wide = [1] * len(shape)
    wide[axis] = channels
    mean, var = found.mean.numpy().reshape(wide), found.var.numpy().reshape(wide)
    xhat = (x.detach().numpy() - mean) / np.sqrt(var + eps)
    axes = tuple(a for a in range(len(shape)) if a != axis)
    return g, dx, dgamma, dbeta, xhat, var, gamma.reshape(wide), axes


@pytest.mark.parametrize("name", LAYOUTS)
def test_dx_is_orthogonal_to_ones_and_to_xhat(backend, name):
    _, dx, _, _, xhat, _, _, axes = gradients(*LAYOUTS[name])
    np.testing.assert_allclose(dx.sum(axes), 0, atol=1e-13)
    np.testing.assert_allclose((dx * xhat).sum(axes), 0, atol=1e-13)


@pytest.mark.parametrize("name", LAYOUTS)
def test_norm_of_dx(backend, name):
    g, dx, _, _, xhat, var, gamma, axes = gradients(*LAYOUTS[name])
    m = dx.size / gamma.size
    expected = (gamma**2 / var).ravel() * (
        (g**2).sum(axes) - m * g.mean(axes) ** 2 - m * (g * xhat).mean(axes) ** 2
    )
    np.testing.assert_allclose((dx**2).sum(axes), expected, rtol=1e-12)


def test_parameter_gradients_are_the_sums():
    g, _, dgamma, dbeta, xhat, _, _, axes = gradients(*LAYOUTS["images"])
    np.testing.assert_allclose(dgamma, (g * xhat).sum(axes), rtol=1e-12)
    np.testing.assert_allclose(dbeta, g.sum(axes), rtol=1e-12)


def forward(w, u, scale=1.0, bias=None):
    y = u @ (w * scale)
    return F.batch_norm(y if bias is None else y + bias, eps=0.0)[0]


@pytest.mark.parametrize("a", [3.0, 0.01])
def test_the_scale_of_the_weights_before_it_does_not_matter(backend, a):
    u = tg.Tensor(normal(9, 4))
    g = tg.Tensor(normal(9, 3, seed=2))
    w = tg.Tensor(normal(4, 3), requires_grad=True)
    scaled = tg.Tensor(normal(4, 3) * a, requires_grad=True)
    y, z = forward(w, u), forward(scaled, u)
    np.testing.assert_allclose(z.tolist(), y.tolist(), rtol=1e-11, atol=1e-12)
    dw, dscaled = tg.autograd.grad(y, w, g), tg.autograd.grad(z, scaled, g)
    np.testing.assert_allclose(dscaled.numpy() * a, dw.numpy(), rtol=1e-10, atol=1e-12)


def test_a_bias_before_it_gets_no_gradient(backend):
    u, w = tg.Tensor(normal(9, 4)), tg.Tensor(normal(4, 3))
    bias = tg.Tensor(normal(3), requires_grad=True)
    d = tg.autograd.grad(forward(w, u, bias=bias), bias, tg.Tensor(normal(9, 3)))
    np.testing.assert_allclose(d.tolist(), 0, atol=1e-12)


def test_the_order_of_the_batch_does_not_matter(backend):
    x, g = normal(30, 4), normal(30, 4, seed=1)
    order = np.random.default_rng(0).permutation(30)

    def run(x, g):
        t = tg.Tensor(x, requires_grad=True)
        y, found = F.batch_norm(t)
        return y, found, tg.autograd.grad(y, t, tg.Tensor(g))

    y, found, dx = run(x, g)
    other, again, dother = run(x[order], g[order])
    np.testing.assert_allclose(other.tolist(), y.detach().numpy()[order], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(dother.tolist(), dx.numpy()[order], rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(again.mean.tolist(), found.mean.tolist(), atol=1e-14)
    np.testing.assert_allclose(again.var.tolist(), found.var.tolist(), rtol=1e-13)


def test_how_a_batch_is_cut_into_axes_does_not_matter(backend):
    x = normal(24, 3)
    whole = F.batch_norm(tg.Tensor(x))[0].numpy()
    for shape in [(4, 6, 3), (2, 3, 4, 3)]:
        part = F.batch_norm(tg.Tensor(x.reshape(shape)), axis=-1)[0].numpy()
        np.testing.assert_allclose(part.reshape(24, 3), whole, rtol=1e-12, atol=1e-13)


def test_equal_weights_are_no_weights(backend):
    x = normal(10, 3)
    plain, a = F.batch_norm(tg.Tensor(x))
    weighted, b = F.batch_norm(tg.Tensor(x), weights=np.full(10, 0.25))
    np.testing.assert_allclose(weighted.tolist(), plain.tolist(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(b.var.tolist(), a.var.tolist(), rtol=1e-12)
    assert a.count == 10
    assert b.count.tolist() == [2.5] * 3


def test_a_whole_weight_is_a_repetition(backend):
    x, counts = normal(5, 2), np.array([1, 3, 2, 1, 4])
    weighted, a = F.batch_norm(tg.Tensor(x), weights=counts.astype(float))
    repeated, b = F.batch_norm(tg.Tensor(np.repeat(x, counts, axis=0)))
    rows = np.repeat(weighted.numpy(), counts, axis=0)
    np.testing.assert_allclose(rows, repeated.numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(a.unbiased().tolist(), b.unbiased().tolist(), rtol=1e-12)
    assert a.count.tolist() == [b.count] * 2


def test_padding_is_as_if_it_were_not_there(backend):
    """A ragged batch: lengths 3, 1 and 2, padded with NaN."""
    lengths, x = [3, 1, 2], normal(3, 2, 3)
    mask = np.array([[i < n for i in range(3)] for n in lengths])
    valid = np.moveaxis(x, 1, 2)[mask]
    padded = np.where(mask[:, None, :], x, np.nan)
    t = tg.Tensor(padded, requires_grad=True)
    gamma, beta = [tg.Tensor(a, requires_grad=True) for a in (normal(2), normal(2, seed=3))]
    y, found = F.batch_norm(t, gamma, beta, mask=mask)
    exact = tg.Tensor(valid, requires_grad=True)
    z, plain = F.batch_norm(exact, gamma, beta)
    g = normal(3, 2, 3, seed=4)
    assert (y.detach().numpy()[~np.broadcast_to(mask[:, None], x.shape)] == 0).all()
    np.testing.assert_allclose(
        np.moveaxis(y.detach().numpy(), 1, 2)[mask], z.tolist(), rtol=1e-12, atol=1e-13
    )
    assert found.count.tolist() == [6.0, 6.0]
    np.testing.assert_allclose(found.var.tolist(), plain.var.tolist(), rtol=1e-12)
    ours = tg.autograd.grad(y, [t, gamma, beta], tg.Tensor(g))
    theirs = tg.autograd.grad(z, [exact, gamma, beta], tg.Tensor(np.moveaxis(g, 1, 2)[mask]))
    dx = np.moveaxis(ours[0].numpy(), 1, 2)
    np.testing.assert_allclose(dx[mask], theirs[0].tolist(), rtol=1e-11, atol=1e-12)
    assert (dx[~mask] == 0).all()
    for a, b in zip(ours[1:], theirs[1:], strict=True):
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-11, atol=1e-12)


def test_ghost_batches_are_batches(backend):
    x, gamma = normal(11, 3), normal(3, seed=1)
    y, found = F.batch_norm(tg.Tensor(x), tg.Tensor(gamma), ghost_size=4)
    parts = [F.batch_norm(tg.Tensor(x[i : i + 4]), tg.Tensor(gamma))[0].numpy() for i in (0, 4, 8)]
    np.testing.assert_allclose(y.tolist(), np.concatenate(parts), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found.mean.tolist(), x.mean(0), rtol=1e-12)
    np.testing.assert_allclose(found.var.tolist(), x.var(0), rtol=1e-12)
    assert found.count == 11
    whole = F.batch_norm(tg.Tensor(x), ghost_size=11)[0].tolist()
    np.testing.assert_allclose(whole, F.batch_norm(tg.Tensor(x))[0].tolist(), atol=1e-13)


def test_ghost_batches_with_weights_give_the_statistics_of_the_whole(backend):
    x, w = normal(7, 2), np.array([1.0, 2, 0, 1, 1, 3, 1])
    found = F.batch_norm(tg.Tensor(x), weights=w, ghost_size=3)[1]
    plain = F.batch_norm(tg.Tensor(x), weights=w)[1]
    for a, b in zip(found, plain, strict=True):
        np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-12)


@pytest.mark.parametrize("eps", [1e-5, 1e-30, 0.0])
@pytest.mark.parametrize("value", [0.0, 1000.1, -3e30])
@pytest.mark.parametrize("m", [7, 1000])
def test_a_constant_channel_gives_beta_and_finite_gradients(backend, eps, value, m):
    data = normal(m, 2).astype(np.float32)
    data[:, 1] = value
    x = tg.Tensor(data, requires_grad=True)
    gamma, beta = [tg.Tensor(a, dtype=tg.float32, requires_grad=True) for a in ([2, 2], [1, 1])]
    y, found = F.batch_norm(x, gamma, beta, eps=eps)
    assert (y.detach().numpy()[:, 1] == 1).all()
    assert found.var.numpy()[1] == 0
    g = tg.Tensor(normal(m, 2, seed=1).astype(np.float32))
    dx, dgamma, dbeta = (d.numpy() for d in tg.autograd.grad(y, [x, gamma, beta], g))
    assert dgamma[1] == 0
    np.testing.assert_allclose(
        dbeta[1], g.numpy()[:, 1].sum(dtype=np.float64), rtol=1e-4, atol=1e-5
    )
    assert np.isfinite(dx).all()
    if eps == 1e-5:
        centred = g.numpy()[:, 1] - g.numpy()[:, 1].mean()
        np.testing.assert_allclose(dx[:, 1], 2 / np.sqrt(1e-5) * centred, rtol=1e-3, atol=1e-2)
    if eps == 0:
        assert (dx[:, 1] == 0).all()


def test_gamma_zero_stops_dx_and_keeps_dgamma(backend):
    _, dx, dgamma, _, _, _, _, _ = gradients((8, 2), 1, gamma=np.array([0.0, -2.0]))
    assert (dx[:, 0] == 0).all()
    assert (dgamma != 0).all()


def test_residual_is_added_before_the_activation(backend):
    x, r = normal(6, 3), normal(6, 3, seed=1)
    plain = F.batch_norm(tg.Tensor(x))[0].numpy()
    y = F.batch_norm(tg.Tensor(x), residual=tg.Tensor(r), activation="leaky_relu", slope=0.2)[0]
    z = plain + r
    np.testing.assert_allclose(y.tolist(), np.where(z > 0, z, 0.2 * z), rtol=1e-12)
    np.testing.assert_allclose(
        F.batch_norm(tg.Tensor(x), residual=tg.Tensor(r))[0].tolist(), z, rtol=1e-12
    )
