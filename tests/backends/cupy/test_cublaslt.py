"""Products by a pretend cublasLt that reads the same structures: forms, layouts, errors."""

import ctypes

import numpy as np
import pytest
from tinygrad_bn.backends.cupy import cublaslt

from tests.backends.cupy.fake_cublaslt import COMPILER, CublasLt
from tests.helpers import normal
from tinygrad_bn.backend import get_backend

needs_compiler = pytest.mark.skipif(
    COMPILER is None, reason="no C compiler for the pretend library"
)


@pytest.fixture
def products(cupy, monkeypatch):
    library = CublasLt(cupy)
    monkeypatch.setattr(cublaslt, "load_library", lambda: library)
    return cublaslt.Products(cupy)


SHAPES = [
    ((3, 4), (4, 5)), ((4,), (4, 5)), ((3, 4), (4,)), ((4,), (4,)), ((1, 4), (4, 1)),
    ((2, 3, 4), (4, 5)), ((3, 4), (2, 4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (7, 4, 5)),
    ((3, 0), (0, 5)), ((0, 4), (4, 5)), ((0, 3, 4), (4, 5)),
]  # fmt: skip


@needs_compiler
@pytest.mark.parametrize(("left", "right"), SHAPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("layout", ["plain", "transposed", "cut", "reversed"])
def test_products(products, cupy, left, right, dtype, layout):
    B = get_backend("cupy")
    x, y = [np.asarray(normal(*s)).astype(dtype) for s in (left, right)]
    a, b = [laid_out(B, v, layout) for v in (x, y)]
    out = B.to_numpy(products.matmul(a, b))
    assert out.dtype == dtype
    assert out.shape == (x @ y).shape
    assert np.allclose(out, x @ y, rtol=1e-5 if dtype == "float32" else 1e-12)


def laid_out(B, values, layout):
    """The values as a device array whose last axes lie in a certain way."""
    if values.ndim < 2 or layout == "plain":
        return B.from_numpy(values)
    if layout == "transposed":
        return B.from_numpy(np.ascontiguousarray(values.mT)).mT
    if layout == "reversed":
        return B.flip(B.from_numpy(values[..., ::-1]), axis=-1)
    wide = np.zeros((*values.shape[:-1], values.shape[-1] + 3), dtype=values.dtype)
    wide[..., : values.shape[-1]] = values
    return B.from_numpy(wide)[..., : values.shape[-1]]


@needs_compiler
def test_a_form_is_planned_once(products):
    B = get_backend("cupy")
    x, y = B.from_numpy(normal(3, 4)), B.from_numpy(normal(4, 5))
    for _ in range(3):
        products.matmul(x, y)
    assert products._library.planned == 1
    products.matmul(x, B.permute_dims(B.from_numpy(normal(5, 4)), (1, 0)))
    assert products._library.planned == 2


@needs_compiler
def test_mixed_dtypes(products):
    B = get_backend("cupy")
    x, y = B.from_numpy(normal(3, 4).astype("float32")), B.from_numpy(normal(4, 2))
    assert products.matmul(x, y).dtype == np.float64


@needs_compiler
def test_errors(products, monkeypatch):
    B = get_backend("cupy")
    x = B.from_numpy(normal(3, 4))
    with pytest.raises(ValueError, match=r"matmul: shapes \(3, 4\) and \(3, 4\) do not fit"):
        products.matmul(x, x)
    whole = B.from_numpy(np.ones((4, 4), dtype="int64"))
    with pytest.raises(TypeError, match=r"matmul: a captured product must be of real .* got int64"):
        products.matmul(whole, whole)
    monkeypatch.setattr(products._library, "cublasLtMatmul", lambda *a: 13, raising=False)
    with pytest.raises(RuntimeError, match=r"cublasLtMatmul failed with status 13 for _Form\("):
        products.matmul(x, x.mT)


def test_no_algorithm(cupy, monkeypatch):
    class Helpless:
        def __getattr__(self, name):
            return lambda *arguments: 0

    monkeypatch.setattr(cublaslt, "load_library", Helpless)
    B = get_backend("cupy")
    products = cublaslt.Products(cupy)
    x = B.from_numpy(normal(3, 3))
    with pytest.raises(RuntimeError, match="matmul: cublasLt has no algorithm for _Form"):
        products.matmul(x, x)


def test_a_library_that_cannot_be_loaded(monkeypatch):
    def missing(name):
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(ctypes, "CDLL", missing)
    monkeypatch.setattr(cublaslt.importlib, "import_module", missing)
    message = "capturing a step needs the library cublasLt, .*libcublasLt.so.13: cannot open"
    with pytest.raises(RuntimeError, match=message):
        cublaslt.load_library()


def test_sizes_of_structures():
    """As in cublasLt.h."""
    assert ctypes.sizeof(cublaslt._Algorithm) == 64
    assert ctypes.sizeof(cublaslt._Heuristic) == 64 + 8 + 4 + 4 + 16
