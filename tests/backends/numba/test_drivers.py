"""What every kernel that Python calls must stand, with the examples that it declares."""

import dis

import numpy as np
import pytest
from tinygrad_bn.backends.numba import compiler, warm_up

from tests.backends.numba.bits import package_drivers

DRIVERS = package_drivers()
EVERY = pytest.mark.parametrize("name", DRIVERS)


@EVERY
def test_it_declares_examples(name):
    examples = list(DRIVERS[name].example_arguments("float32"))
    assert examples, f"{name}: no examples, see the text of backends/numba/compiler.py"


@EVERY
def test_examples_are_plain(name):
    """Plain memory, and no array twice: a driver is compiled for arrays that share nothing."""
    for dtype in ("float32", "float64"):
        for arguments in DRIVERS[name].example_arguments(dtype):
            arrays = [a for a in arguments if isinstance(a, np.ndarray)]
            assert all(a.flags.carray for a in arrays)


@EVERY
def test_no_thread_calls_blas(name):
    """A matrix product inside a parallel loop can hang OpenMP."""
    for code in codes(DRIVERS[name].__wrapped__):
        assert not {"dot", "matmul", "linalg", "vdot"} & set(code.co_names)
        assert not any(i.argrepr in ("@", "@=") for i in dis.get_instructions(code))


def codes(function, seen=None):
    """The code of a kernel and of all kernels and functions that it names."""
    seen = set() if seen is None else seen
    function = getattr(function, "py_func", function)
    if function in seen or not hasattr(function, "__code__"):
        return
    seen.add(function)
    yield function.__code__
    for name in function.__code__.co_names:
        yield from codes(function.__globals__.get(name), seen)


@pytest.mark.timeout(1200)  # with nothing on the disk yet, a minute or two for a dtype
@pytest.mark.parametrize(
    ("dtype", "layer"),
    [("float32", "default"), ("float64", "default"), ("float32", "omp"), ("float32", "workqueue")],
)
def test_the_bits_do_not_depend_on_threads(workshop, dtype, layer):
    """1, 2, 3 and 8 threads and the serial form; on the layer that is there."""
    workshop.run(
        f"from tests.backends.numba import bits; bits.check({dtype!r})",
        TINYGRAD_BN_NUM_THREADS="8",
        TINYGRAD_BN_CACHE=workshop.users_cache,
        NUMBA_THREADING_LAYER=layer,
    )


@pytest.mark.skipif(not compiler.COMPILED, reason="nothing is compiled with NUMBA_DISABLE_JIT")
def test_warming_up_covers_every_driver():
    steps = [what for what, _ in warm_up.preparations()]
    for name in DRIVERS:
        assert any(what == f"{name}, serial" for what in steps)
