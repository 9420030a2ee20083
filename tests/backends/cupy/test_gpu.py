"""On a real GPU: agreement with NumPy, both orders of gradients, memory, graphs, errors."""

import gc
import threading

import numpy as np
import pytest
from tinygrad_bn.backends.cupy import KernelError
from tinygrad_bn.backends.cupy.cublaslt import Products
from tinygrad_bn.backends.cupy.launch import Launch

import tinygrad_bn as tg
from tests.capture_helpers import step_of
from tests.helpers import integers, normal
from tinygrad_bn import nn, optim, random
from tinygrad_bn.backend import get_backend, rng
from tinygrad_bn.nn import functional as F
from tinygrad_bn.testing import check_backend, compare_backends, gradcheck, gradgradcheck
from tinygrad_bn.training import capture

pytestmark = pytest.mark.gpu

LAYOUTS = [((6, 5), 1), ((3, 4, 5, 2), 1), ((3, 5, 2, 4), 3), ((2, 3, 33), 1)]
LARGE = [((512, 64), 1), ((8, 16, 28, 28), 1), ((8, 28, 28, 16), 3), ((32, 4, 128, 128), 1)]


@pytest.fixture
def B():
    return get_backend("cupy")


def test_it_conforms(B):
    assert check_backend(B).failures == []


def normalized(axis, activation, extras):
    """Batch norm as a function of its arrays, with a residual or a mask."""

    def run(x, gamma, beta, *more):
        options = {"residual": more[0]} if extras == "residual" else {}
        if extras == "mask":
            lengths = (x.shape[0],) + (1,) * (x.ndim - 1)
            keep = np.arange(x.shape[0]).reshape(lengths) != 1
            options["mask"] = tg.Tensor(keep, backend=x.backend)
        return F.batch_norm(x, gamma, beta, axis=axis, activation=activation, **options)[0]

    return run


def arrays_for(shape, axis, extras):
    c = shape[axis]
    more = [normal(*shape, seed=3)] if extras == "residual" else []
    return [normal(*shape), normal(c, seed=1), normal(c, seed=2), *more]


@pytest.mark.parametrize(("shape", "axis"), LAYOUTS)
@pytest.mark.parametrize("activation", [None, "relu"])
@pytest.mark.parametrize("extras", [None, "residual", "mask"])
def test_gradients_of_both_orders(shape, axis, activation, extras):
    inputs = [
        tg.Tensor(a, backend="cupy", requires_grad=True) for a in arrays_for(shape, axis, extras)
    ]
    fn = normalized(axis, activation, extras)
    assert gradcheck(fn, inputs)
    assert gradgradcheck(fn, inputs)


@pytest.mark.parametrize(("shape", "axis"), [*LAYOUTS, *LARGE])
@pytest.mark.parametrize("extras", [None, "residual", "mask"])
def test_batch_norm_agrees_with_numpy(shape, axis, extras):
    fn = normalized(axis, "relu", extras)
    assert compare_backends(fn, arrays_for(shape, axis, extras), ["numpy", "cupy"])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_mean_far_from_zero(dtype):
    x = (normal(64, 8, 16) + 1000).astype(dtype)
    expected = x.astype("float64")
    m = expected.mean((0, 2), keepdims=True)
    expected = (expected - m) / np.sqrt(expected.var((0, 2), keepdims=True) + 1e-5)
    y, _ = F.batch_norm(tg.Tensor(x, backend="cupy"))
    assert np.allclose(y.numpy(), expected, atol=1e-2 if dtype == "float16" else 1e-4)


def test_the_same_bits_every_time(B):
    x = tg.Tensor(normal(64, 32, 28, 28).astype("float32"), backend="cupy", requires_grad=True)
    results = []
    for _ in range(3):
        y, _ = F.batch_norm(x)
        (dx,) = tg.autograd.grad(y, [x], y.detach() * 0.5)
        results.append((y.detach().numpy(), dx.numpy()))
    for y, dx in results[1:]:
        assert np.array_equal(y, results[0][0])
        assert np.array_equal(dx, results[0][1])


def test_sums_at_repeated_positions(B):
    values, places = normal(5000, 3).astype("float32"), integers(0, 7, 5000)
    a, p = B.from_numpy(values), B.from_numpy(places)
    first = B.to_numpy(B.scatter_add(a, key=p, shape=(7, 3)))
    assert np.array_equal(first, B.to_numpy(B.scatter_add(a, key=p, shape=(7, 3))))
    expected = [values[places == i].astype("float64").sum(0) for i in range(7)]
    assert np.allclose(first, expected, rtol=1e-4, atol=1e-4)


# -------------------------------------------------------------------------------------- random


def test_random_numbers(B):
    rng.manual_seed(4)
    x = random.uniform((100_000,), device="cupy").numpy()
    assert 0 <= x.min() < 1e-3
    assert 0.999 < x.max() < 1
    assert abs(x.mean() - 0.5) < 5e-3
    z = random.normal((100_000,), device="cupy").numpy()
    assert abs(z.mean()) < 0.02
    assert abs(z.std() - 1) < 0.02
    state = random.get_state()
    first = random.normal((5000,), dtype="float64", device="cupy").numpy()
    random.set_state(state)
    assert np.array_equal(random.normal((5000,), dtype="float64", device="cupy").numpy(), first)
    assert sorted(random.permutation(999, device="cupy").tolist()) == list(range(999))


def test_dropout_keeps_its_share(B):
    x = tg.ones((100_000,), device="cupy")
    y = F.dropout(x, 0.3).numpy()
    assert abs((y == 0).mean() - 0.3) < 0.01
    assert np.allclose(y[y != 0], 1 / 0.7)


# -------------------------------------------------------------------------------------- memory


def test_memory_returns_to_the_pool(B):
    B.synchronize()
    before = B.memory_stats()["used"]
    x = tg.zeros((1000, 1000), device="cupy")
    assert B.memory_stats()["used"] >= before + 4_000_000
    del x
    gc.collect()
    assert B.memory_stats()["used"] == before


def test_out_of_memory(B):
    with pytest.raises(
        MemoryError, match=r"out of memory on cuda:\d+: asked for [\d,]+ bytes; the"
    ):
        tg.zeros((1 << 44,), device="cupy")
    assert tg.ones((2,), device="cupy").tolist() == [1.0, 1.0]


def test_upload(B):
    values = [normal(1000, 100, seed=i) for i in range(20)]
    arrays = [B.upload(v) for v in values]
    for v, a in zip(values, arrays, strict=True):
        assert np.array_equal(B.to_numpy(a), v)


def test_threads(B):
    x = tg.Tensor(normal(500, 500), backend="cupy")
    results = []

    def work():
        y = x
        for _ in range(20):
            y = y * 0.5 + x
        results.append(y)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    values = [y.numpy() for y in results]
    assert all(np.array_equal(v, values[0]) for v in values)
    expected = normal(500, 500) * sum(0.5**i for i in range(21))
    assert np.allclose(values[0], expected)


def test_a_second_device(B):
    if B.xp.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("needs two GPUs")
    x = tg.Tensor([1.0, 2.0], backend="cupy:1", requires_grad=True)
    y = (x * x).to("cupy").sum()
    y.backward()
    assert x.grad.tolist() == [2.0, 4.0]
    assert x.grad.array.device.id == 1


# -------------------------------------------------------------------------------------- graphs


def losses(captured):
    random.manual_seed(3)
    with tg.use_backend("numpy"):
        model = nn.Sequential(nn.Linear(20, 30), nn.BatchNorm(30), nn.ReLU(), nn.Linear(30, 5))
    model.to("cupy")
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    step = step_of(model, optimizer)
    run = capture(step, model, optimizer) if captured else step
    found = []
    for i in range(10):
        x = tg.Tensor(normal(32, 20, seed=i).astype("float32"), backend="cupy")
        found.append(float(run(x, tg.Tensor(integers(0, 5, 32, seed=i), backend="cupy"))))
    return found, model.state_dict()["1.running_mean"].numpy()


def test_a_captured_step(B):
    plain, mean = losses(False)
    captured, captured_mean = losses(True)
    assert np.allclose(captured, plain, rtol=1e-4)
    assert np.allclose(captured_mean, mean, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_planned_products(B, dtype):
    products = Products(B.xp)
    tolerance = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-12}[dtype]
    for left, right in (((60, 784), (784, 100)), ((7, 5, 3), (3, 4)), ((4, 6, 5), (4, 5, 2))):
        x, y = normal(*left).astype(dtype), normal(*right).astype(dtype)
        out = B.to_numpy(products.matmul(B.from_numpy(x), B.from_numpy(y)))
        assert np.allclose(out, x.astype("float64") @ y.astype("float64"), atol=tolerance * 30)
        turned = B.from_numpy(np.ascontiguousarray(x.mT)).mT
        assert np.array_equal(B.to_numpy(products.matmul(turned, B.from_numpy(y))).shape, out.shape)


# -------------------------------------------------------------------------------------- errors


def test_a_kernel_that_does_not_exist(B):
    with pytest.raises(
        KernelError, match="instance 'no_such_kernel<float>', could not be compiled"
    ):
        B.launch(Launch("elementwise", "no_such_kernel<float>", (1, 1, 1), 32))


def test_singular_matrices(B):
    with pytest.raises(ValueError, match=r"inv: failed for shape \(3, 3\)"):
        B.inv(B.zeros((3, 3), dtype="float64"))
    with pytest.raises(ValueError, match="cholesky: failed"):
        B.cholesky(B.from_numpy(-np.eye(3)))
