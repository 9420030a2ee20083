"""`check_backend` accepts what conforms and names what does not."""

import itertools

import numpy as np
import pytest
from tinygrad_bn.backends.numpy import NumPyBackend

import tinygrad_bn as tg
from tests.helpers import normal
from tests.strict_backend import StrictBackend
from tinygrad_bn.testing import CheckError, check_backend, compare_backends


class Good(NumPyBackend):
    """A backend with right overrides."""

    def exp(self, x):
        return np.exp(x)

    def fit(self, g, *, shape, dtype):
        return super().fit(g, shape=shape, dtype=dtype)

    def home_made(self, x, *, by):
        return x * by


def test_our_backends_conform(backend):
    report = check_backend(backend)
    assert report.failures == []
    assert min(report.proven.values()) > 0
    assert {"multiply", "matmul", "sum", "scatter_add", "fit", "take", "softmax"} <= set(
        report.proven
    )
    assert str(report).startswith(f"backend '{backend}': {len(report.proven)} methods agree")


def test_a_good_backend_conforms():
    report = check_backend(Good("good"))
    assert {"exp", "fit"} <= set(report.proven)
    assert "home_made" in report.unproven
    assert "home_made" in str(report)


def test_cases_for_a_method_of_its_own():
    """What the reference does not have cannot be compared; what it has can be, with more cases."""
    more = {"linear": [((normal(2, 3), normal(4, 3), normal(4)), {})]}
    before = check_backend(Good("good")).proven["linear"]
    assert check_backend(Good("good"), cases=more).proven["linear"] > before


def wrong(match, **methods):
    """A backend with these methods must be refused, with a message that matches."""
    with pytest.raises(CheckError, match=match):
        check_backend(make(**methods))


def make(**methods):
    return type("Wrong", (NumPyBackend,), methods)("wrong")


def test_a_wrong_value():
    methods = {"sinh": lambda self, x: np.sinh(x) * 1.01}
    wrong(r"wrong: sinh: \(\) float32 contiguous: at", **methods)
    report = check_backend(make(**methods), raise_exception=False)
    (failure,) = report.failures
    assert failure.startswith("sinh: ")
    assert "sinh" not in report.proven


def test_an_inaccurate_value():
    wrong("exp: ", exp=lambda self, x: np.exp(x.astype("float32")).astype(x.dtype))


def test_wrong_for_one_layout():
    def exp(self, x):
        return np.exp(np.abs(x) if x.ndim == 2 and 0 < x.strides[0] < x.strides[1] else x)

    wrong(r"exp: \(3, 4\) float32 transposed: at", exp=exp)


def test_wrong_for_empty_arrays():
    wrong(r"exp: \(0, 3\)", exp=lambda self, x: np.exp(x) if x.size else np.zeros(3, x.dtype))


def test_a_wrong_dtype():
    wrong("exp: .* dtype float64, the reference gives float32",
          exp=lambda self, x: np.exp(x).astype("float64"))  # fmt: skip


def test_a_changed_argument():
    def negative(self, x):
        x *= -1
        return x

    wrong("negative: .*argument 0 was changed", negative=negative)


def test_another_signature():
    def fit(self, g, shape, dtype=None):
        return NumPyBackend.fit(self, g, shape=shape, dtype=dtype)

    wrong(
        r"fit: signature \(g, shape, dtype=None\), the reference has \(g, \*, shape, \*, dtype\)",
        fit=fit,
    )


def test_scatter_add_that_forgets_repeated_positions():
    def scatter_add(self, values, *, key, shape):
        out = np.zeros(shape, dtype=values.dtype)
        out[key] = values
        return out

    wrong("scatter_add: .*key=array", scatter_add=scatter_add)


def test_a_copy_that_is_none():
    wrong("copy: shares memory with the original", copy=lambda self, array: array)


def test_from_numpy_that_does_not_copy():
    def from_numpy(self, host, copy=None):
        return host

    wrong("from_numpy: copy=True shares memory", from_numpy=from_numpy)


def test_a_view_that_claims_to_own_its_memory():
    wrong("owns_memory: True for a view", owns_memory=lambda self, array: True)
    wrong("storage: a view and its base give two objects", storage=lambda self, array: array)


def test_a_generator_that_does_not_repeat():
    seeds = itertools.count()

    def make_generator(self, seed):
        return NumPyBackend.make_generator(self, next(seeds))

    wrong("make_generator: a seed does not repeat", make_generator=make_generator)


def test_a_missing_dtype():
    class Short(NumPyBackend):
        def has_dtype(self, dtype):
            return dtype.name != "int32"

    with pytest.raises(CheckError, match="has_dtype: int32 is required"):
        check_backend(Short("short"))


def test_a_missing_function():
    class Missing(StrictBackend):
        def __init__(self, name):
            super().__init__(name)
            del self.tanh

    with pytest.raises(CheckError, match=r"tanh: AttributeError\(.* no attribute 'tanh'"):
        check_backend(Missing("missing"))


# -------------------------------------------------------------------------- compare_backends


def test_backends_that_agree():
    assert compare_backends(tg.multiply, [normal(3, 4), normal(4)], ["numpy", "strict"])
    assert compare_backends(tg.equal, [normal(3), normal(3)], ["numpy", "strict"])
    assert compare_backends(lambda x, k: x * k, [normal(3), 2.0], ["numpy", "strict", "numpy"])


def test_a_result_that_differs():
    def fn(x):
        return x * (1.0 if x.backend == "numpy" else 1.001)

    with pytest.raises(CheckError, match="fn: result 0 on 'strict' against 'numpy': at"):
        compare_backends(fn, [normal(3)], ["numpy", "strict"])


def test_a_gradient_that_differs():
    def fn(x):
        return x * x.detach() if x.backend == "numpy" else x * x

    with pytest.raises(CheckError, match="fn: gradient of input 0 on 'strict' against 'numpy': at"):
        compare_backends(fn, [normal(3)], ["numpy", "strict"])


def test_a_dtype_or_shape_that_differs():
    def typed(x):
        return x if x.backend == "numpy" else x.astype("float32")

    def shaped(x):
        return x if x.backend == "numpy" else tg.sum(x, axis=0)

    with pytest.raises(CheckError, match=r"typed: result 0 .* dtype float32, expected float64"):
        compare_backends(typed, [normal(3)], ["numpy", "strict"])
    with pytest.raises(CheckError, match=r"shaped: result 0 .* shape \(\), expected \(3,\)"):
        compare_backends(shaped, [normal(3)], ["numpy", "strict"])
