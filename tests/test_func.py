"""Function transforms against analytic results, finite differences and each other."""

import collections
import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import normal
from tinygrad_bn import func, tree


def tensor(values, **options):
    return tg.Tensor(np.asarray(values, dtype=np.float64), **options)


def close(t, expected, tolerance=1e-12):
    assert t.shape == np.shape(expected)
    np.testing.assert_allclose(np.asarray(t.tolist()), expected, rtol=tolerance, atol=tolerance)


def numeric_jacobian(f, x, eps=1e-6):
    """By central differences, of a function from NumPy array to NumPy array."""
    columns = []
    for i in range(x.size):
        step = np.zeros(x.size)
        step[i] = eps
        step = step.reshape(x.shape)
        columns.append((f(x + step) - f(x - step)) / (2 * eps))
    columns = np.stack(columns, axis=-1)
    return columns.reshape(*columns.shape[:-1], *x.shape)


A = normal(3, 3)


def quadratic(x):
    """½xᵀAx with the asymmetric A above."""
    a = tensor(A)
    return x @ a @ x / 2


def curved(x):
    """A smooth function of three numbers to a (2, 2) tensor."""
    return tg.stack([tg.stack([tg.sin(x[0]) * x[1], x[1] * x[2]]), tg.exp(x[:2] * x[2])])


X = np.array([0.3, -1.2, 0.7])
V = np.array([1.0, 0.5, -2.0])


@pytest.mark.usefixtures("backend")
class TestGrad:
    def test_analytic(self):
        close(func.grad(quadratic)(tensor(X)), (A + A.T) @ X / 2)

    def test_value_and_grad(self):
        value, g = func.value_and_grad(quadratic)(tensor(X))
        close(value, X @ A @ X / 2)
        close(g, (A + A.T) @ X / 2)
        assert not value.requires_grad
        assert not g.requires_grad

    def test_argnums(self):
        def f(x, y):
            return (x * y * y).sum()

        x, y = tensor(X), tensor(V)
        close(func.grad(f, 1)(x, y), 2 * X * V)
        close(func.grad(f, argnums=-1)(x, y), 2 * X * V)
        gy, gx = func.grad(f, (1, 0))(x, y)
        close(gx, V * V)
        close(gy, 2 * X * V)
        (single,) = func.grad(f, (0,))(x, y)
        close(single, V * V)

    def test_one_tensor_as_two_arguments(self):
        x = tensor(X)
        gx, gy = func.grad(lambda x, y: (x * y * y).sum(), (0, 1))(x, x)
        close(gx, X * X)
        close(gy, 2 * X * X)

    def test_trees(self):
        Layer = collections.namedtuple("Layer", "weight bias")

        def f(params, x):
            first, second = params["layers"]
            h = tg.tanh(x @ first.weight + first.bias)
            return (h @ second.weight + second.bias).sum() * params["scale"][0]

        params = {
            "layers": [
                Layer(tensor(normal(3, 2)), tensor(normal(2))),
                Layer(tensor(normal(2, 1)), None or tensor(normal(1))),
            ],
            "scale": (tensor(2.0), None),
        }
        g = func.grad(f)(params, tensor(normal(4, 3)))
        assert isinstance(g["layers"][0], Layer)
        assert g["scale"][1] is None
        close(g["layers"][1].bias, [8.0])
        assert tree.map(lambda t: t.shape, g) == tree.map(lambda t: t.shape, params)

    def test_keyword_arguments_and_other_objects_pass_untouched(self):
        g = func.grad(lambda x, mode, *, power: (x**power).sum() if mode == "a" else None)
        close(g(tensor(X), "a", power=3), 3 * X**2)

    def test_unused_arguments_get_zeros(self):
        close(func.grad(lambda x, y: (x * x).sum(), 1)(tensor(X), tensor(V)), [0, 0, 0])
        close(func.grad(lambda x: tg.asarray(1.0))(tensor(X)), [0, 0, 0])
        w = tensor(2.0, requires_grad=True)
        close(func.grad(lambda x: w * w)(tensor(X)), [0, 0, 0])

    def test_aux(self):
        def f(x):
            y = x * x
            return y.sum(), {"y": y, "note": "kept"}

        g, aux = func.grad(f, has_aux=True)(tensor(X))
        close(g, 2 * X)
        close(aux["y"], X * X)
        assert aux["note"] == "kept"
        assert not aux["y"].requires_grad
        (value, _), g = func.value_and_grad(f, has_aux=True)(tensor(X))
        close(value, (X * X).sum())

    def test_nothing_outside_changes(self):
        x, w = tensor(X, requires_grad=True), tensor(V, requires_grad=True)
        w.grad = tensor([1, 1, 1])
        func.grad(lambda x: (x * x * w).sum())(x)
        func.hessian(lambda x: (x * x * w).sum())(x)
        func.jvp(lambda x: x * w, (x,), (x,))
        assert x.grad is None
        close(w.grad, [1, 1, 1])
        close(x.detach(), X)
        assert x.is_leaf

    def test_nesting(self):
        f = lambda x: tg.sin(x)  # noqa: E731
        expected = [math.sin, math.cos, lambda x: -math.sin(x), lambda x: -math.cos(x)]
        for formula in expected:
            close(f(tensor(0.3)), formula(0.3))
            f = func.grad(f)

    def test_inside_a_function_that_is_differentiated(self):
        def f(x):
            inner = func.grad(lambda y: (y * y * x).sum())(x)  # 2yx at y = x, x captured
            return (inner * inner).sum()  # Σ 4x⁴

        close(func.grad(f)(tensor(X)), 16 * X**3)

    def test_gradients_flow_to_captured_tensors(self):
        w = tensor(V, requires_grad=True)
        g = func.grad(lambda x: (tg.exp(x) * w * w).sum())(tensor(X))
        assert g.requires_grad
        (g * g).sum().backward()
        close(w.grad, 4 * np.exp(2 * X) * V**3)

    def test_gradients_flow_to_a_tracked_argument_and_the_value(self):
        x = tensor(X, requires_grad=True)
        value, g = func.value_and_grad(lambda x: (x**3).sum())(x)
        (value + g.sum()).backward()
        close(x.grad, 3 * X**2 + 6 * X)

    def test_under_no_grad(self):
        x, w = tensor(X, requires_grad=True), tensor(V, requires_grad=True)
        with tg.no_grad():
            value, g = func.value_and_grad(lambda x: (x * x * w).sum())(x)
            second = func.hessian(lambda x: (x * x * w).sum())(x)
        close(g, 2 * X * V)
        close(second, np.diag(2 * V))
        assert not value.requires_grad
        assert not g.requires_grad
        assert not second.requires_grad

    def test_no_grad_inside_stops(self):
        def f(x):
            with tg.no_grad():
                frozen = x * x
            return (x * frozen).sum()

        close(func.grad(f)(tensor(X)), X * X)

    def test_an_outer_graph_survives(self):
        x = tensor(X, requires_grad=True)
        y = x * x
        close(func.grad(lambda z: (z * y.detach()).sum())(y), X * X)
        close(func.grad(lambda z: (z * y).sum())(tensor(V)), X * X)
        y.sum().backward()
        close(x.grad, 2 * X)

    def test_checkpoint_inside(self):
        def f(x):
            return tg.checkpoint(lambda y: (tg.sin(y) * y).sum(), x)

        close(func.grad(f)(tensor(X)), np.cos(X) * X + np.sin(X))
        expected = np.diag(2 * np.cos(X) - np.sin(X) * X)
        close(func.hessian(f)(tensor(X)), expected)
        (hv,) = func.hvp(f, (tensor(X),), (tensor(V),))
        close(hv, expected @ V)

    def test_identity(self):
        x = tensor(2.0)
        value, g = func.value_and_grad(lambda x: x)(x)
        close(g, 1.0)
        close(value, 2.0)

    def test_float32_stays(self):
        x = tg.asarray([1.0, 2.0])
        assert func.grad(lambda x: (x * x).sum())(x).dtype == tg.float32

    def test_keeps_name_and_documentation(self):
        assert func.grad(quadratic).__name__ == "quadratic"


@pytest.mark.usefixtures("backend")
class TestProducts:
    def test_vjp(self):
        out, vjp_fn = func.vjp(curved, tensor(X))
        jacobian = numeric_jacobian(lambda x: np.asarray(curved(tensor(x)).tolist()), X)
        close(out, curved(tensor(X)).tolist())
        for seed in (1, 2):
            g = normal(2, 2, seed=seed)
            (dx,) = vjp_fn(tensor(g))
            close(dx, np.tensordot(g, jacobian, 2), 1e-8)

    def test_vjp_of_trees(self):
        def f(p, y):
            return {"sum": p["a"] + y, "product": [p["a"] * y]}

        out, vjp_fn, aux = func.vjp(
            lambda p, y: (f(p, y), "aux"), {"a": tensor(X)}, tensor(V), has_aux=True
        )
        assert aux == "aux"
        assert set(out) == {"sum", "product"}
        dp, dy = vjp_fn({"product": [tensor(V)], "sum": tensor(X)})
        close(dp["a"], X + V * V)
        close(dy, X + V * X)

    def test_vjp_function_is_differentiable(self):
        x = tensor(X, requires_grad=True)
        _, vjp_fn = func.vjp(lambda x: x**3, x)
        g = tensor(V, requires_grad=True)
        (dx,) = vjp_fn(g)
        dx.sum().backward()
        close(x.grad, 6 * X * V)
        close(g.grad, 3 * X * X)

    def test_jvp(self):
        out, dy = func.jvp(curved, (tensor(X),), (tensor(V),))
        jacobian = numeric_jacobian(lambda x: np.asarray(curved(tensor(x)).tolist()), X)
        close(out, curved(tensor(X)).tolist())
        close(dy, jacobian @ V, 1e-8)
        assert not dy.requires_grad

    def test_jvp_is_exact(self):
        _, dy = func.jvp(tg.sin, (tensor(X),), (tensor(V),))
        close(dy, np.cos(X) * V, 1e-15)

    def test_jvp_of_trees_with_constant_parts(self):
        def f(p, y):
            return {"linear": 2 * p["a"], "constant": tensor(1.0), "floor": tg.floor(y)}, "aux"

        out, dy, aux = func.jvp(
            f, ({"a": tensor(X)}, tensor(V)), ({"a": tensor(V)}, tensor(X)), has_aux=True
        )
        assert aux == "aux"
        close(out["constant"], 1.0)
        close(dy["linear"], 2 * V)
        close(dy["constant"], 0.0)
        close(dy["floor"], [0, 0, 0])

    def test_jvp_nests(self):
        def slope(x):
            return func.jvp(lambda x: x**4, (x,), (tg.ones_like(x),))[1]

        def curvature(x):
            return func.jvp(slope, (x,), (tg.ones_like(x),))[1]

        close(slope(tensor(X)), 4 * X**3)
        close(curvature(tensor(X)), 12 * X**2)
        close(func.grad(lambda x: curvature(x).sum())(tensor(X)), 24 * X)

    def test_jvp_differentiates_in_the_tangent(self):
        v = tensor(V, requires_grad=True)
        _, dy = func.jvp(lambda x: x**3, (tensor(X),), (v,))
        dy.sum().backward()
        close(v.grad, 3 * X**2)

    def test_vjp_and_jvp_agree(self):
        g = normal(2, 2)
        _, vjp_fn = func.vjp(curved, tensor(X))
        _, dy = func.jvp(curved, (tensor(X),), (tensor(V),))
        left = np.sum(np.asarray(dy.tolist()) * g)
        right = np.asarray(vjp_fn(tensor(g))[0].tolist()) @ V
        assert left == pytest.approx(right, rel=1e-13)

    def test_hvp(self):
        (hv,) = func.hvp(quadratic, (tensor(X),), (tensor(V),))
        close(hv, (A + A.T) @ V / 2)

    def test_hvp_of_trees_agrees_with_the_hessian(self):
        def f(p, y):
            return (tg.exp(p["a"]) * y * y).sum()

        ha, hy = func.hvp(f, ({"a": tensor(X)}, tensor(V)), ({"a": tensor(V)}, tensor(X)))
        e = np.exp(X)
        close(ha["a"], e * V**2 * V + 2 * e * V * X)
        close(hy, 2 * e * V * V + 2 * e * X)

    def test_hvp_of_a_linear_function(self):
        (hv,) = func.hvp(lambda x: x.sum(), (tensor(X),), (tensor(V),))
        close(hv, [0, 0, 0])


@pytest.mark.usefixtures("backend")
class TestMatrices:
    def test_jacobian(self):
        expected = numeric_jacobian(lambda x: np.asarray(curved(tensor(x)).tolist()), X)
        close(func.jacobian(curved)(tensor(X)), expected, 1e-8)

    def test_jacobian_of_a_matrix_argument(self):
        x = normal(2, 3)
        out = func.jacobian(lambda x: x.mT @ x)(tensor(x))
        assert out.shape == (3, 3, 2, 3)
        close(out, numeric_jacobian(lambda x: x.T @ x, x), 1e-8)

    def test_jacobian_of_trees(self):
        def f(p, y):
            return {"product": p["a"] * y, "y": y.sum()}

        both = func.jacobian(f, (0, 1))({"a": tensor(X)}, tensor(V))
        da, dy = both["product"]
        close(da["a"], np.diag(V))
        close(dy, np.diag(X))
        da, dy = both["y"]
        close(da["a"], [0, 0, 0])
        close(dy, [1, 1, 1])

    def test_jacobian_of_nothing(self):
        assert func.jacobian(lambda x: x[:0])(tensor(X)).shape == (0, 3)

    def test_hessian(self):
        close(func.hessian(quadratic)(tensor(X)), (A + A.T) / 2)

    def test_hessian_of_two_arguments(self):
        blocks = func.hessian(lambda x, y: (x * x * y).sum(), (0, 1))(tensor(X), tensor(V))
        close(blocks[0][0], np.diag(2 * V))
        close(blocks[0][1], np.diag(2 * X))
        close(blocks[1][0], np.diag(2 * X))
        close(blocks[1][1], np.zeros((3, 3)))

    def test_hessian_is_differentiable(self):
        x = tensor(X, requires_grad=True)
        func.hessian(lambda x: (x**4).sum())(x).sum().backward()
        close(x.grad, 24 * X)


class TestErrors:
    @pytest.mark.parametrize("name", ["grad", "value_and_grad", "hessian"])
    def test_output_that_is_no_scalar(self, name):
        with pytest.raises(ValueError, match=rf"{name}: .* of shape \(\), got shape \(3,\)"):
            getattr(func, name)(lambda x: x * x)(tensor(X))

    def test_output_of_hvp(self):
        with pytest.raises(ValueError, match=r"hvp: .* of shape \(\), got shape \(3,\)"):
            func.hvp(lambda x: x * x, (tensor(X),), (tensor(X),))

    def test_output_that_is_no_tensor(self):
        with pytest.raises(TypeError, match=r"grad: the function's result must be a tensor.*f"):
            func.grad(lambda x: 1.0)(tensor(X))
        with pytest.raises(TypeError, match=r"vjp: the function's result\['n'\] must be real flo"):
            func.vjp(lambda x: {"n": tg.asarray(1)}, tensor(X))

    def test_integer_leaves(self):
        tree = {"w": [tensor(X), tg.asarray([1, 2])]}
        message = r"grad: argument 1\['w'\]\[1\] must be real floating point, got dtype int64"
        with pytest.raises(TypeError, match=message):
            func.grad(lambda y, p: p["w"][0].sum(), 1)(None, tree)

    def test_arguments_that_are_no_tensors(self):
        with pytest.raises(TypeError, match=r"grad: argument 0 must be a tensor, .* got float"):
            func.grad(lambda x: x)(1.0)

    def test_argnums(self):
        with pytest.raises(ValueError, match="grad: argnums names argument 2, but 1 were passed"):
            func.grad(quadratic, 2)(tensor(X))
        with pytest.raises(TypeError, match=r"grad: argnums must be an int .* got 'x'"):
            func.grad(quadratic, "x")(tensor(X))
        with pytest.raises(ValueError, match=r"grad: argnums must not repeat, got \(0, -1\)"):
            func.grad(quadratic, (0, -1))(tensor(X))

    def test_aux(self):
        with pytest.raises(TypeError, match=r"grad: with has_aux=True .* pair .* got Tensor"):
            func.grad(quadratic, has_aux=True)(tensor(X))

    def test_cotangents(self):
        _, vjp_fn = func.vjp(lambda x: {"a": x, "b": [x]}, tensor(X))
        with pytest.raises(ValueError, match=r"vjp: cotangent: expected dict, got list"):
            vjp_fn([tensor(X)])
        with pytest.raises(ValueError, match=r"vjp: cotangent: expected the keys \['a', 'b'\]"):
            vjp_fn({"a": tensor(X)})
        with pytest.raises(ValueError, match=r"cotangent\['b'\]\[0\] must have the shape \(3,\), "):
            vjp_fn({"a": tensor(X), "b": [tensor(1.0)]})
        with pytest.raises(ValueError, match=r"cotangent\['b'\]: expected the keys \[0\], got"):
            vjp_fn({"a": tensor(X), "b": []})

    def test_tangents(self):
        with pytest.raises(ValueError, match=r"jvp: tangents\[0\] must have the shape \(3,\), got"):
            func.jvp(quadratic, (tensor(X),), (tensor(1.0),))
        with pytest.raises(TypeError, match=r"jvp: primals must be a tuple, .* got Tensor"):
            func.jvp(quadratic, tensor(X), tensor(X))
        with pytest.raises(TypeError, match=r"hvp: tangents\[0\] must be a tensor, .* got float"):
            func.hvp(quadratic, (tensor(X),), (1.0,))


class TestTree:
    def test_order_of_dicts_is_that_of_the_first(self):
        assert tree.matching({"a": 1, "b": 2}, {"b": 3, "a": 4}, name="f") == [4, 3]

    def test_rebuild_counts(self):
        with pytest.raises(ValueError, match="rebuild: fewer values"):
            tree.rebuild([1, (2, {"a": 3})], [1, 2])
        with pytest.raises(ValueError, match="rebuild: more values"):
            tree.rebuild([1], [1, 2])
        assert tree.rebuild([1, (2, {"a": 3}), None], "xyz") == ["x", ("y", {"a": "z"}), None]

    def test_matching_of_leaf_and_container(self):
        with pytest.raises(ValueError, match=r"f\[0\]: expected a leaf, got list"):
            tree.matching([1], [[1]], name="f")
        with pytest.raises(ValueError, match=r"f\[0\]: expected None, got int"):
            tree.matching([None], [1], name="f")


def test_memory_is_released(backend):
    """No transform keeps its graph alive once its results are gone."""
    import gc
    import weakref

    gc.disable()
    try:
        x = tensor(X)
        seen = []

        def f(x):
            y = x * x
            seen.append(weakref.ref(y))
            return (y * y).sum()

        func.grad(f)(x)
        func.hessian(f)(x)
        func.hvp(f, (x,), (x,))
        func.jvp(f, (x,), (x,))
        assert [ref() for ref in seen] == [None] * len(seen)
    finally:
        gc.enable()
