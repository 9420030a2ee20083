"""First, second and third derivatives of every mode, layout and variant, on every backend."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import ops
from tinygrad_bn.backend.normalization_plan import normalization_plan
from tinygrad_bn.nn import functional as F
from tinygrad_bn.ops import normalization_composite as composite
from tinygrad_bn.testing import gradcheck_order

MASK = np.array([[1, 1, 0], [1, 0, 1], [0, 1, 1], [1, 1, 1]], dtype=bool)
WEIGHTS = np.array([0.5, 2.0, 0.0, 1.5, 1.0])

BATCH_NORM = {
    "features last": ((5, 3), {}),
    "features first": ((3, 5), {"axis": 0}),
    "channels first": ((3, 2, 2, 2), {}),
    "channels last": ((3, 2, 2, 2), {"axis": -1}),
    "two kept axes": ((3, 2, 3, 2), {"axis": (1, 3)}),
    "five axes": ((2, 2, 2, 1, 2), {}),
    "relu": ((5, 3), {"activation": "relu"}),
    "leaky relu": ((5, 3), {"activation": "leaky_relu", "slope": 0.2}),
    "mask": ((4, 2, 3), {"mask": MASK}),
    "mask of the shape of x": ((4, 3), {"mask": MASK}),
    "mask and relu": ((4, 2, 3), {"mask": MASK, "activation": "relu"}),
    "weights": ((5, 2), {"weights": WEIGHTS}),
    "ghost": ((6, 2), {"ghost_size": 3}),
    "ghost with a rest": ((8, 2), {"ghost_size": 3}),
    "ghost of features first": ((2, 7), {"axis": 0, "ghost_size": 4}),
    "ghost, images, relu": ((3, 2, 2, 2), {"ghost_size": 2, "activation": "relu"}),
    "ghost with weights": ((7, 2), {"ghost_size": 4, "weights": np.linspace(0.5, 1.5, 7)}),
}
RESIDUAL = {
    "residual": ((5, 3), {}),
    "residual and relu": ((5, 2, 2), {"activation": "relu"}),
    "residual and leaky relu": ((5, 3), {"activation": "leaky_relu"}),
    "residual, mask and relu": ((4, 2, 3), {"mask": MASK, "activation": "relu"}),
    "residual and mask": ((4, 2, 3), {"mask": MASK}),
    "residual, ghost and relu": ((7, 2), {"ghost_size": 4, "activation": "relu"}),
}


def draw(*shapes, seed=0):
    generator = np.random.default_rng(seed)
    return [tg.Tensor(generator.standard_normal(s), requires_grad=True) for s in shapes]


def parameters(shape, axis=1, **_):
    kept = (axis,) if isinstance(axis, int) else axis
    return tuple(shape[a] for a in sorted(a % len(shape) for a in kept))


def check(fn, inputs, orders=(1, 2, 3)):
    for order in orders:
        assert gradcheck_order(fn, inputs, order, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("name", BATCH_NORM)
def test_batch_norm(backend, name):
    shape, options = BATCH_NORM[name]
    width = parameters(shape, **options)
    check(lambda x, a, b: F.batch_norm(x, a, b, **options)[0], draw(shape, width, width))


@pytest.mark.parametrize("name", RESIDUAL)
def test_with_a_residual(backend, name):
    shape, options = RESIDUAL[name]
    width = parameters(shape, **options)

    def fn(x, a, b, r):
        return F.batch_norm(x, a, b, residual=r, **options)[0]

    check(fn, draw(shape, width, width, shape))


@pytest.mark.parametrize("scale", [True, False])
@pytest.mark.parametrize("shift", [True, False])
def test_without_parameters(scale, shift):
    x, a, b = draw((5, 2), (2,), (2,))
    inputs = [x, *([a] if scale else []), *([b] if shift else [])]

    def fn(x, *rest):
        rest = list(rest)
        gamma = rest.pop(0) if scale else None
        return F.batch_norm(x, gamma, rest.pop(0) if shift else None, activation="relu")[0]

    check(fn, inputs)


@pytest.mark.parametrize("options", [{}, {"activation": "relu"}, {"activation": "leaky_relu"}])
@pytest.mark.parametrize("shape", [(5, 3), (2, 2, 2, 2)])
def test_normalize_by_reaches_all_five_and_the_residual(backend, options, shape):
    x, mean, gamma, beta, r = draw(shape, shape[1:2], shape[1:2], shape[1:2], shape)
    var = tg.Tensor(np.linspace(0.5, 2, shape[1]), requires_grad=True)
    if options:
        check(
            lambda x, m, v, a, b, r: F.normalize_by(x, m, v, a, b, residual=r, **options),
            [x, mean, var, gamma, beta, r],
        )
    check(
        lambda x, m, v, a, b: F.normalize_by(x, m, v, a, b, **options), [x, mean, var, gamma, beta]
    )


def test_normalize_by_features_last_and_without_parameters():
    x, mean = draw((2, 3, 2), (2,))
    var = tg.Tensor([0.7, 1.2], dtype=tg.float64, requires_grad=True)
    check(lambda x, m, v: F.normalize_by(x, m, v, axis=-1), [x, mean, var])


@pytest.mark.parametrize("limits", [(1.0, 0.0), (1.05, 0.1), (30.0, 50.0)])
def test_batch_renorm_reaches_gamma_beta_and_mean_free_of_r_and_d(backend, limits):
    """With r and d held still: frozen here by a reference that computes them beforehand."""
    x, gamma, beta = draw((6, 2), (2,), (2,))
    mean, var = tg.Tensor([0.1, -0.2], dtype=tg.float64), tg.Tensor([1.5, 0.8], dtype=tg.float64)
    found = F.batch_statistics(x)
    sigma = tg.sqrt(var + 1e-5)
    r = tg.clip(tg.sqrt(found.var + 1e-5) / sigma, 1 / limits[0], limits[0])
    d = tg.clip((found.mean - mean) / sigma, -limits[1], limits[1])
    y, _ = F.batch_renorm(x, mean, var, gamma, beta, r_max=limits[0], d_max=limits[1])
    expected = (F.batch_norm(x)[0] * r + d) * gamma + beta
    np.testing.assert_allclose(y.tolist(), expected.tolist(), rtol=1e-12, atol=1e-12)
    inputs = [x, gamma, beta]
    for order in (1, 2, 3):
        g = draw((6, 2), seed=order)[0].detach()
        ours = tg.autograd.grad(y**2, inputs, g, create_graph=True)
        theirs = tg.autograd.grad(expected**2, inputs, g, create_graph=True)
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-9, atol=1e-10)
        y, expected = ours[0], theirs[0]  # the next order differentiates these


@pytest.mark.parametrize(
    ("fn", "shapes"),
    [
        (lambda x, a, b: F.layer_norm(x, (3,), a, b), [(4, 3), (3,), (3,)]),
        (lambda x, a, b: F.layer_norm(x, (2, 2), a, b), [(3, 2, 2), (2, 2), (2, 2)]),
        (lambda x: F.layer_norm(x, 3), [(2, 2, 3)]),
        (lambda x, a: F.rms_norm(x, 3, a), [(4, 3), (3,)]),
        (lambda x, a, b: F.group_norm(x, 2, a, b), [(2, 4, 3), (4,), (4,)]),
        (lambda x, a, b: F.instance_norm(x, a, b), [(2, 2, 3), (2,), (2,)]),
    ],
    ids=["layer", "layer over two axes", "layer without parameters", "rms", "group", "instance"],
)
def test_norms_of_single_samples(backend, fn, shapes):
    check(fn, draw(*shapes))


@pytest.mark.parametrize("gamma", [0.0, -1.5])
def test_gamma_zero_and_negative(gamma):
    x, beta = draw((5, 2), (2,))
    scale = tg.Tensor([gamma, 1.0], dtype=tg.float64, requires_grad=True)
    check(lambda x, a, b: F.batch_norm(x, a, b)[0], [x, scale, beta])


@pytest.mark.parametrize("name", [*BATCH_NORM, "layer", "rms"])
def test_fused_agrees_with_composite_up_to_the_fourth_order(backend, name):
    if name in ("layer", "rms"):
        shape = (4, 3)
        plan = normalization_plan(2, (0,), 1e-3, param_axis=(1,), center=name == "layer")
        weights = None
    else:
        shape, options = BATCH_NORM[name]
        options = dict(options)
        mask, weights = options.pop("mask", None), options.pop("weights", None)
        plan = normalization_plan(
            len(shape),
            options.get("axis", 1),
            1e-3,
            activation=options.get("activation"),
            slope=options.get("slope", 0.01),
            masked=mask is not None,
            ghost=options.get("ghost_size"),
        )
        weights = mask if mask is not None else weights
        if weights is not None:
            weights = np.reshape(
                weights,
                {1: (-1, 1), 2: weights.shape if len(shape) == 2 else (4, 1, 3)}[weights.ndim],
            )
            weights = tg.Tensor(weights)
    width = tuple(shape[a] for a in plan.param_axis)
    inputs = draw(shape, width, width)
    pair = [
        ops.batch_norm(*inputs, weights=weights, plan=plan)[0],
        composite.batch_norm(*inputs, weights=weights, plan=plan),
    ]
    np.testing.assert_allclose(pair[0].tolist(), pair[1].tolist(), rtol=1e-12, atol=1e-12)
    cotangents = draw(shape, seed=1)
    outputs = [[y * y * y] for y in pair]  # the cotangents of batch norm depend on x too
    for order in range(1, 5):
        found = [
            tg.autograd.grad(ys, inputs, cotangents, create_graph=True, allow_unused=True)
            for ys in outputs
        ]
        kept = [
            i
            for i, (a, b) in enumerate(zip(*found, strict=True))
            if a is not None and b is not None and a.requires_grad and b.requires_grad
        ]
        assert kept
        outputs = [[gs[i] for i in kept] for gs in found]
        for a, b in zip(*outputs, strict=True):
            scale = np.abs(b.tolist()).max() + 1
            np.testing.assert_allclose(a.tolist(), b.tolist(), rtol=1e-9, atol=1e-10 * scale)
        cotangents = draw(*[g.shape for g in outputs[0]], seed=order + 1)
        inputs = [*inputs, *([cotangents[0]] if order == 1 else [])]
