"""Factorizations: values, derivatives, and matrices that cannot be factored."""

import math

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, normal
from tinygrad_bn import linalg

PLAIN = ("contiguous", "transposed", "reversed")  # repeated rows would make matrices singular


def regular(*shape, seed=1):
    """Matrices far from singular ones."""
    return normal(*shape, seed=seed) + 3 * np.eye(shape[-2], shape[-1])


def symmetric(x):
    """The symmetric part: what functions of symmetric matrices are functions of."""
    return (x + x.mT) / 2


def positive_definite(x):
    """A positive definite matrix of any matrix."""
    return x @ x.mT + tg.asarray(np.eye(x.shape[-1]), dtype=x.dtype, device=x.device)


def np_positive_definite(x):
    return x @ np.swapaxes(x, -1, -2) + np.eye(x.shape[-1], dtype=x.dtype)


@pytest.fixture
def check(backend):
    """`check_op` for matrices, on the backend of the test."""

    def run(fn, inputs, reference=None, **options):
        options = {"layouts": PLAIN, "zero_size": False, "accuracy32": 1e-4} | options
        return check_op(fn, inputs, reference, backends=[backend], **options)

    return run


@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (2, 3, 3)])
def test_inv(check, shape):
    check(linalg.inv, [regular(*shape)], np.linalg.inv)


@pytest.mark.parametrize(
    ("left", "right"),
    [((3, 3), (3, 2)), ((3, 3), (3,)), ((2, 3, 3), (2, 3, 2)), ((3, 3), (2, 3, 2)),
     ((2, 3, 3), (3, 2)), ((2, 3, 3), (3,))],
)  # fmt: skip
def test_solve(check, left, right):
    check(linalg.solve, [regular(*left), normal(*right)], np.linalg.solve)


def test_solve_refuses_shapes(backend):
    with pytest.raises(ValueError, match=r"solve: .* do not fit: \(3, 3\), \(2, 1\)"):
        linalg.solve(tg.ones((3, 3)), tg.ones((2, 1)))


@pytest.mark.parametrize("shape", [(3, 3), (1, 1), (2, 3, 3)])
def test_det(check, shape):
    check(linalg.det, [regular(*shape)], np.linalg.det)


def test_det_of_a_singular_matrix_has_a_gradient(backend):
    x = tg.Tensor([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]], dtype="float64")
    x.requires_grad = True
    linalg.det(x).backward()
    cofactors = [[4.0, 4.0, -4.0], [-2.0, -2.0, 2.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(x.grad.tolist(), cofactors, atol=1e-13)


def test_det_of_zero(backend):
    x = tg.zeros((1, 1), dtype=tg.float64)
    x.requires_grad = True
    linalg.det(x).sum().backward()
    assert x.grad.tolist() == [[1.0]]


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
def test_slogdet(check, shape):
    x = regular(*shape)
    x[..., 0, :] *= -1
    check(lambda x: linalg.slogdet(x).logabsdet, [x], lambda x: np.linalg.slogdet(x).logabsdet)


def test_slogdet_of_a_large_matrix_stays_finite(backend):
    result = linalg.slogdet(tg.asarray(-1e3 * np.eye(201)))
    assert result.sign.item() == -1
    assert result.logabsdet.item() == pytest.approx(201 * math.log(1e3))
    assert result._fields == ("sign", "logabsdet")


def test_cofactor_has_second_derivatives(check):
    check(tg.ops.cofactor, [regular(3, 3)], lambda x: np.linalg.det(x) * np.linalg.inv(x).T)


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 3)])
def test_cholesky(check, shape, upper):
    check(
        lambda x, upper: linalg.cholesky(positive_definite(x), upper=upper),
        [normal(*shape)],
        lambda x, upper: np.linalg.cholesky(np_positive_definite(x), upper=upper),
        upper=upper,
    )


def test_cholesky_gradient_is_symmetric(backend):
    x = tg.Tensor([[4.0, 1.0], [1.0, 3.0]], requires_grad=True)
    linalg.cholesky(x).sum().backward()
    assert x.grad[0, 1].item() == x.grad[1, 0].item() != 0


@pytest.mark.parametrize("shape", [(3, 3), (2, 4, 4)])
def test_eigh(check, shape):
    def ours(x):
        w, v = linalg.eigh(symmetric(x))
        return w, v * v  # whatever the signs of the eigenvectors

    def reference(x):
        w, v = np.linalg.eigh((x + np.swapaxes(x, -1, -2)) / 2)
        return w, v * v

    check(ours, [normal(*shape)], reference)


def test_eigh_of_repeated_eigenvalues(backend):
    """A function of the matrix as a whole has a derivative there: x² = V·diag(w²)·Vᵀ."""
    x = tg.Tensor(np.diag([2.0, 2.0, 5.0]), requires_grad=True)
    w, v = linalg.eigh(x)
    square = (v * (w * w)) @ v.mT
    (g,) = tg.autograd.grad([square[0, 2]], [x])
    expected = np.zeros((3, 3))
    expected[0, 2] = expected[2, 0] = (2 + 5) / 2
    np.testing.assert_allclose(g.tolist(), expected, atol=1e-14)


def test_eigvalsh(check):
    check(
        lambda x: linalg.eigvalsh(symmetric(x)),
        [normal(2, 3, 3)],
        lambda x: np.linalg.eigvalsh((x + np.swapaxes(x, -1, -2)) / 2),
    )


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
def test_svd(check, shape):
    def signless(parts):
        u, s, vh = parts
        return u * u, s, vh * vh, u @ vh

    check(
        lambda x: signless(linalg.svd(x, full_matrices=False)),
        [normal(*shape)],
        lambda x: signless(np.linalg.svd(x, full_matrices=False)),
    )


def test_svd_of_a_square_matrix_with_full_matrices(check):
    check(lambda x: linalg.svd(x).S, [normal(3, 3)], lambda x: np.linalg.svd(x).S)


def test_svd_with_full_matrices(backend):
    x = tg.Tensor(normal(4, 2), requires_grad=True)
    u, s, vh = linalg.svd(x)
    assert (u.shape, s.shape, vh.shape) == ((4, 4), (2,), (2, 2))
    with pytest.raises(
        ValueError, match=r"svd: with full_matrices=True a matrix of shape \(4, 2\)"
    ):
        u.sum().backward()


def test_svd_coupling_of_both_sides(check):
    """U and V together: a function that depends on their relative sign."""
    check(
        lambda x: linalg.svd(x, full_matrices=False).U @ linalg.svd(x, full_matrices=False).Vh,
        [regular(4, 3)],
    )


def test_svdvals(check):
    check(linalg.svdvals, [normal(2, 4, 3)], np.linalg.svdvals)
    check(linalg.svdvals, [normal(3, 4)], np.linalg.svdvals)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 4, 3)])
def test_qr(check, shape):
    def both(result):
        return result[0], result[1]

    check(lambda x: both(linalg.qr(x)), [normal(*shape)], lambda x: both(np.linalg.qr(x)))


def test_complete_qr(backend):
    x = tg.Tensor(normal(4, 2), requires_grad=True)
    q, r = linalg.qr(x, mode="complete")
    assert (q.shape, r.shape) == ((4, 4), (4, 2))
    np.testing.assert_allclose((q @ r).tolist(), normal(4, 2), atol=1e-12)
    with pytest.raises(ValueError, match=r"qr: with mode='complete' a matrix of shape \(4, 2\)"):
        q.sum().backward()
    with pytest.raises(ValueError, match="qr: mode must be 'reduced' or 'complete', got 'raw'"):
        linalg.qr(x, mode="raw")


def test_complete_qr_of_a_square_matrix(check):
    check(lambda x: linalg.qr(x, mode="complete").R, [normal(3, 3)])


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4), (2, 3, 2)])
def test_pinv(check, shape):
    check(linalg.pinv, [normal(*shape)], np.linalg.pinv)


def test_pinv_of_a_singular_matrix(check):
    """Of a matrix of rank 1: along u·vᵀ the rank does not change."""

    def of_rank_one(u, v):
        return linalg.pinv(tg.outer(u, v), rtol=1e-6)

    check(
        of_rank_one,
        [normal(3), normal(2)],
        lambda u, v: np.linalg.pinv(np.outer(u, v), rtol=1e-6),
        layouts=(),
    )


def test_pinv_with_a_tolerance_for_each_matrix(backend):
    x = tg.asarray(np.stack([np.diag([1.0, 0.1])] * 2))
    out = linalg.pinv(x, rtol=tg.asarray(np.array([0.5, 0.01])))
    np.testing.assert_allclose(out.tolist(), [[[1, 0], [0, 0]], [[1, 0], [0, 10]]], atol=1e-12)


def test_pinv_of_zeros(backend):
    assert linalg.pinv(tg.zeros((2, 3))).tolist() == [[0, 0], [0, 0], [0, 0]]


def test_matrix_rank(backend):
    x = np.stack([np.eye(3), np.diag([1.0, 1.0, 0.0]), np.zeros((3, 3))])
    out = linalg.matrix_rank(tg.asarray(x))
    assert out.tolist() == [3, 2, 0]
    assert out.dtype == tg.int64
    assert linalg.matrix_rank(tg.asarray(np.diag([1.0, 0.1])), rtol=0.5).item() == 1
    assert linalg.matrix_rank(tg.ones((0, 3))).item() == 0


@pytest.mark.parametrize("n", [0, 1, 2, 5, -1, -3])
def test_matrix_power(check, n):
    check(
        lambda x: linalg.matrix_power(x, n),
        [regular(2, 3, 3) / 3],
        lambda x: np.linalg.matrix_power(x, n),
        orders=() if n == 0 else (1, 2),
    )


def test_matrix_power_of_integers(backend):
    out = linalg.matrix_power(tg.asarray([[1, 1], [1, 0]]), 10)
    assert out.tolist() == [[89, 55], [55, 34]]


def test_matrix_power_refuses(backend):
    with pytest.raises(TypeError, match=r"matrix_power: n must be an integer, got 0\.5"):
        linalg.matrix_power(tg.ones((2, 2)), 0.5)
    with pytest.raises(ValueError, match=r"matrix_power: x must be square, got shape \(2, 3\)"):
        linalg.matrix_power(tg.ones((2, 3)), 2)


SQUARE = ["cholesky", "det", "eigh", "eigvalsh", "inv", "slogdet"]


@pytest.mark.parametrize("name", SQUARE)
def test_square_matrices_are_wanted(backend, name):
    function = getattr(linalg, name)
    with pytest.raises(ValueError, match=rf"{name}: x must be a square .*, got \(2, 3\)"):
        function(tg.ones((2, 3)))
    with pytest.raises(ValueError, match=rf"{name}: x must be a matrix .* got shape \(3,\)"):
        function(tg.ones(3))


@pytest.mark.parametrize("name", [*SQUARE, "svd", "svdvals", "qr", "pinv", "matrix_rank"])
@pytest.mark.parametrize("dtype", ["int64", "float16"])
def test_dtypes_are_refused(name, dtype):
    with pytest.raises(TypeError, match=rf"{name}: x must be float32, .* got dtype {dtype}"):
        getattr(linalg, name)(tg.ones((2, 2), dtype=dtype))


def test_singular_matrices_are_refused(backend):
    x = tg.zeros((2, 2))
    with pytest.raises(ValueError, match=r"inv: failed for shape \(2, 2\): Singular matrix"):
        linalg.inv(x)
    with pytest.raises(ValueError, match=r"solve: failed for shape \(2, 2\) and \(2, 1\): Sing"):
        linalg.solve(x, tg.ones((2, 1)))
    with pytest.raises(ValueError, match=r"cholesky: failed for shape \(2, 2\): Matrix is not po"):
        linalg.cholesky(-tg.asarray(np.eye(2)))


@pytest.mark.parametrize("name", ["inv", "det", "cholesky", "eigvalsh", "svdvals", "pinv"])
def test_stacks_of_no_matrices(backend, name):
    x = tg.Tensor(np.ones((0, 2, 2)), requires_grad=True)
    out = getattr(linalg, name)(x)
    assert out.shape[0] == 0
    out.sum().backward()
    assert x.grad.shape == (0, 2, 2)


@pytest.mark.parametrize("shape", [(3, 3), (4, 2), (2, 4)])
def test_complex_matrices(backend, shape):
    """No derivatives, but right values."""
    z = normal(*shape) + 1j * normal(*shape, seed=2)
    x = tg.asarray(z)
    close = np.testing.assert_allclose
    close(linalg.pinv(x).tolist(), np.linalg.pinv(z), atol=1e-12)
    u, s, vh = linalg.svd(x, full_matrices=False)
    close(s.tolist(), np.linalg.svdvals(z), atol=1e-12)
    close((np.asarray(u.tolist()) * s.tolist()) @ np.asarray(vh.tolist()), z, atol=1e-12)
    q, r = linalg.qr(x)
    close(np.asarray(q.tolist()) @ np.asarray(r.tolist()), z, atol=1e-12)
    close(linalg.matrix_norm(x).item(), np.linalg.matrix_norm(z), atol=1e-12)
    close(linalg.vector_norm(x, axis=0, ord=3).tolist(), np.linalg.vector_norm(z, axis=0, ord=3))
    assert linalg.matrix_rank(x).item() == min(shape)
    positive = tg.asarray(z @ z.conj().T + np.eye(shape[0]))
    factor = np.asarray(linalg.cholesky(positive).tolist())
    close(factor @ factor.conj().T, positive.tolist(), atol=1e-12)
    close(linalg.det(positive).item(), np.linalg.det(np.asarray(positive.tolist())), rtol=1e-12)


def test_third_derivative(backend):
    """Rules of rules of rules: d³/dt³ of ln det(1 + t·A) is 2·tr(B³) with B = (1 + t·A)⁻¹·A."""
    a = normal(3, 3) / 4

    def f(t):
        return linalg.slogdet(tg.asarray(np.eye(3)) + t * tg.asarray(a)).logabsdet

    third = tg.func.grad(tg.func.grad(tg.func.grad(f)))(tg.asarray(np.array(0.2)))
    b = np.linalg.solve(np.eye(3) + 0.2 * a, a)
    assert third.item() == pytest.approx(2 * np.trace(b @ b @ b), rel=1e-10)


def test_names_of_the_standard():
    standard = (
        "cholesky cross det diagonal eigh eigvalsh inv matmul matrix_norm matrix_power matrix_rank "
        "matrix_transpose outer pinv qr slogdet solve svd svdvals tensordot trace vecdot "
        "vector_norm"
    )
    assert tg.linalg.__all__ == standard.split()
    assert tg.linalg is linalg
    assert tg.linalg.matmul is tg.matmul
    assert linalg.eigh(tg.ones((1, 1)))._fields == ("eigenvalues", "eigenvectors")
    assert linalg.svd(tg.ones((1, 1)))._fields == ("U", "S", "Vh")
    assert linalg.qr(tg.ones((1, 1)))._fields == ("Q", "R")
