"""The suites of other rooms, on backends whose kernels run on the CPU.

Gradient checks of three orders, exact identities, layouts, conformance and optimizers: what they
prove of a backend, they prove here of the CUDA sources, and of the host side around them: once over
NumPy, and once over array-api-strict on its pretend device (see simt/strict.py).
"""

import contextlib

import pytest

from benchmarks import accuracy_sweep
from tests.backends.cupy.simt import backend as simt  # noqa: F401  (registers the backend)
from tests.backends.cupy.simt import strict
from tests.backends.cupy.simt.library import has_compiler
from tests.helpers import integers, normal
from tests.normalization import test_gradients as gradients
from tests.normalization import test_identities as identities
from tests.normalization import test_layouts as layouts
from tests.ops import test_affine as affine
from tests.ops import test_classification as classification
from tests.optim import test_optimizers as optimizers
from tinygrad_bn import use_backend
from tinygrad_bn.testing import check_backend

pytestmark = pytest.mark.skipif(not has_compiler(), reason="no C++ compiler to run kernels with")


BEYOND_THE_STANDARD = {
    "test_layouts_dtypes[strict-simt-float16]": "array-api-strict has no float16",
    "test_classification_half_precision[strict-simt]": "array-api-strict has no float16",
    "test_optimizers_the_array_is_changed_in_place_and_a_recorded_graph_notices[strict-simt]": (
        "reads the library's array by `tolist`, which array-api-strict has not"
    ),
}


@pytest.fixture(autouse=True, params=["simt", "strict-simt"])
def backend(request):
    """The backends that every test of this module runs on."""
    if request.node.name in BEYOND_THE_STANDARD:
        pytest.skip(BEYOND_THE_STANDARD[request.node.name])
    strict_one = request.param == "strict-simt"
    with strict.extended() if strict_one else contextlib.nullcontext(), use_backend(request.param):
        yield request.param


def test_the_contract(backend):
    """Every kernel's method against the reference, in both dtypes and four memory layouts."""
    entropy = [
        ((normal(*shape), integers(0, shape[1], shape[0], *shape[2:])), {"reduction": reduction})
        for shape in ((5, 3), (4, 5, 6), (2, 3, 2, 2))
        for reduction in ("mean", "sum", "none")
    ]
    report = check_backend(backend, cases={"class_cross_entropy": entropy})
    methods = ("batch_norm", "batch_norm_gate", "batch_norm_grad", "batch_norm_grad_grad")
    for name in (*methods, "batch_statistics", "normalize_by", "class_cross_entropy", "linear"):
        assert report.proven[name] >= 8
    # Compared with the reference in other tests.
    assert {"adam_step", "sgd_step", "dropout_mask"} < set(report.unproven)


@pytest.mark.parametrize("layout", accuracy_sweep.LAYOUTS)
@pytest.mark.parametrize("ratio", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("count", [60, 3_000, 40_000])
def test_float32_errors_stay_below_the_limits(layout, ratio, count):
    """Those of every backend, up to |mean|/σ = 10⁶."""
    x, g, axis = accuracy_sweep.draw(layout, count, ratio)
    found = accuracy_sweep.ours(x, g, axis)
    output, variance, gradient = accuracy_sweep.errors(found, accuracy_sweep.reference(x, g, axis))
    assert output <= 2e-6
    assert variance <= 1e-6
    assert gradient <= 1e-5


for module in (gradients, identities, layouts, affine, classification, optimizers):
    prefix = f"test_{module.__name__.rpartition('.test_')[2]}"
    for name, function in list(vars(module).items()):
        if name.startswith("test_"):
            globals()[f"{prefix}{name.removeprefix('test')}"] = function
