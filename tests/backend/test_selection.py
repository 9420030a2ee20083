"""Which backend is used: environment, process default, scope, and what a wrong name is told."""

import os
import subprocess
import sys
import threading

import pytest

import tinygrad_bn as tg
from tests.strict_backend import StrictBackend
from tinygrad_bn.backend import (
    BackendMismatchError,
    BackendUnavailableError,
    UnknownBackendError,
    default_backend,
    get_backend,
    known_backends,
    register_backend,
    registry,
    resolve_backend,
    set_default_backend,
    use_backend,
)

FRESH = "import tinygrad_bn as tg; print(tg.Tensor([1.0]).backend)"


def python(code, **environment):
    """Run code in a fresh interpreter; its last line of output, and of its errors."""
    env = {k: v for k, v in os.environ.items() if k != registry.VARIABLE} | environment
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, env=env
    )
    return done.stdout.strip(), (done.stderr.strip().splitlines() or [""])[-1]


@pytest.fixture
def restored(monkeypatch):
    """The registry as it was, afterwards."""
    for name in ("_targets", "_instances"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    monkeypatch.setattr(registry, "_default", registry._default)


# -------------------------------------------------------------------------------- environment


def test_without_any_choice_it_is_numpy():
    assert python(FRESH) == ("numpy", "")


@pytest.mark.parametrize("value", ["", "  ", "numpy", " numpy "])
def test_the_environment(value):
    assert python(FRESH, TINYGRAD_BN_BACKEND=value) == ("numpy", "")


def test_an_unknown_name_in_the_environment():
    out, error = python(FRESH, TINYGRAD_BN_BACKEND="nunpy")
    assert out == ""
    assert error == (
        "tinygrad_bn.backend.errors.UnknownBackendError: unknown backend 'nunpy' (chosen by the "
        "environment variable TINYGRAD_BN_BACKEND); known are numpy, numba, cupy; "
        "did you mean 'numpy'?"
    )


def test_a_backend_without_its_package_in_the_environment():
    hidden = "import sys; sys.modules['cupy'] = None\n"  # as if it were not installed
    _, error = python(hidden + FRESH, TINYGRAD_BN_BACKEND="cupy")
    assert (
        "backend 'cupy' (chosen by the environment variable TINYGRAD_BN_BACKEND): the pa" in error
    )
    assert "pip install 'tinygrad_bn[cupy-cuda13]'" in error


def test_a_backend_that_cannot_run_is_no_hindrance_to_others():
    hidden = "import sys; sys.modules['cupy'] = None\n"
    code = (
        "import tinygrad_bn as tg\n"
        "try: tg.zeros(1)\n"
        "except tg.backend.BackendUnavailableError: print(tg.zeros(1, device='numpy').backend)"
    )
    assert python(hidden + code, TINYGRAD_BN_BACKEND="cupy") == ("numpy", "")


def test_importing_does_not_fail_for_a_wrong_environment():
    """The choice is looked at when it is needed; code that names its backend does not need it."""
    code = "import tinygrad_bn as tg; print(tg.Tensor([1.0], backend='numpy').backend)"
    assert python(code, TINYGRAD_BN_BACKEND="wrong") == ("numpy", "")


def test_the_environment_is_read_once():
    code = (
        "import os, tinygrad_bn as tg\n"
        "tg.Tensor([1.0])\n"
        "os.environ['TINYGRAD_BN_BACKEND'] = 'wrong'\n"
        "print(tg.Tensor([1.0]).backend)"
    )
    assert python(code) == ("numpy", "")


def test_an_explicit_default_overrides_the_environment():
    code = "import tinygrad_bn as tg; tg.set_default_backend('numpy'); print(tg.zeros(1).backend)"
    assert python(code, TINYGRAD_BN_BACKEND="wrong") == ("numpy", "")


# ----------------------------------------------------------------------------- calls and scope


def test_set_default_backend(restored):
    set_default_backend("strict")
    assert tg.Tensor([1.0]).backend == tg.zeros(2).backend == "strict"
    set_default_backend(get_backend("numpy"))
    assert tg.Tensor([1.0]).backend == "numpy"


def test_a_failed_choice_changes_nothing(restored):
    set_default_backend("strict")
    with pytest.raises(UnknownBackendError, match=r"'nope' \(set by set_default_backend\)"):
        set_default_backend("nope")
    assert default_backend().name == "strict"


def test_use_backend_nested():
    with use_backend("strict") as backend:
        assert backend is get_backend("strict") is default_backend()
        with use_backend("numpy"):
            assert tg.Tensor([1.0]).backend == "numpy"
        assert tg.Tensor([1.0]).backend == "strict"
    assert tg.Tensor([1.0]).backend == "numpy"


def test_use_backend_after_an_error():
    with pytest.raises(ZeroDivisionError), use_backend("strict"):
        1 / 0  # noqa: B018
    assert default_backend().name == "numpy"


def test_use_backend_is_per_thread():
    seen = []
    with use_backend("strict"):
        thread = threading.Thread(target=lambda: seen.append(tg.Tensor([1.0]).backend))
        thread.start()
        thread.join()
    assert seen == ["numpy"]


def test_a_tensor_keeps_its_backend():
    x = tg.Tensor([1.0], backend="strict")
    assert (x * 2.0).backend == "strict"
    assert tg.Tensor(x).backend == "strict"
    assert tg.zeros_like(x).backend == "strict"
    assert tg.Tensor([1.0], backend=get_backend("strict")).backend == "strict"


def test_instances_are_shared():
    assert get_backend("numpy") is get_backend("numpy")
    assert resolve_backend(None) is default_backend()


# -------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("name", "nearest"),
    [("nunpy", "numpy"), ("Numba", "numba"), ("cuppy", "cupy"), ("numpi:0", "numpy")],
)
def test_an_unknown_name_suggests_the_nearest(name, nearest):
    with pytest.raises(UnknownBackendError, match=f"unknown backend '{name}' .*'{nearest}'\\?"):
        get_backend(name)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UnknownBackendError, match="known are numpy, numba, cupy, strict") as info:
        tg.Tensor([1.0]).to("zzz")
    assert "asked for by Tensor.to" in str(info.value)
    assert "did you mean" not in str(info.value)
    with pytest.raises(UnknownBackendError, match="asked for by use_backend"):
        use_backend("zzz")


@pytest.mark.parametrize("name", ["cupy", "cupy:1"])
def test_a_backend_without_its_package_says_what_to_install(name, restored, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    registry._instances.pop(name, None)
    message = (
        rf"backend '{name}' \(asked for by name\): the package is missing: cupy could not be "
        r"imported .* pip install 'tinygrad_bn\[cupy-cuda13\]' .*'tinygrad_bn\[cupy-cuda12\]'"
    )
    with pytest.raises(BackendUnavailableError, match=message):
        get_backend(name)
    assert "cupy" in known_backends()


def test_a_device_that_numpy_has_not():
    assert get_backend("numpy:cpu").name == "numpy:cpu"
    message = r"backend 'numpy:1' \(asked for by name\): NumPy has the device 'cpu' only, not '1'"
    with pytest.raises(BackendUnavailableError, match=message):
        get_backend("numpy:1")


def test_names_must_be_strings():
    with pytest.raises(TypeError, match="get_backend: name must be a string, got int"):
        get_backend(1)


def test_kinds_of_errors():
    assert issubclass(UnknownBackendError, ValueError)
    assert issubclass(BackendUnavailableError, ImportError)
    assert issubclass(BackendMismatchError, ValueError)


# -------------------------------------------------------------------------------- registration


class Entry:
    """An entry point as importlib.metadata gives it."""

    def __init__(self, name, value):
        self.name = name
        self.value = value


@pytest.fixture
def plugins(restored, monkeypatch):
    """Pretend that packages with these entry points are installed."""

    def install(**targets):
        entries = [Entry(name, value) for name, value in targets.items()]
        monkeypatch.setattr(
            "importlib.metadata.entry_points",
            lambda group: entries if group == registry.GROUP else [],
        )

    return install


def test_a_plug_in(plugins):
    plugins(extra="tests.strict_backend:StrictBackend")
    assert "extra" in known_backends()
    x = tg.Tensor([1.0, 2.0], backend="extra", requires_grad=True)
    tg.sum(x * x).backward()
    assert (x.grad.backend, x.grad.tolist()) == ("extra", [2.0, 4.0])
    assert tg.Tensor([1.0], backend="extra:device2").backend == "extra:device2"
    with pytest.raises(UnknownBackendError, match="did you mean 'extra'"):
        get_backend("extr")


def test_a_plug_in_that_cannot_be_imported(plugins):
    plugins(gone="no_such_package.backend:Backend", empty="tests.helpers:Nothing")
    message = (
        r"backend 'gone' \(asked for by name\) needs the package 'no_such_package', which could "
        "not be imported: No module named 'no_such_package'"
    )
    with pytest.raises(BackendUnavailableError, match=message):
        get_backend("gone")
    with pytest.raises(BackendUnavailableError, match=r"module 'tests.helpers' has no 'Nothing'"):
        get_backend("empty")


def test_register_backend(restored):
    register_backend("mine", StrictBackend)
    register_backend("mine", StrictBackend)
    assert tg.Tensor([1.0], backend="mine").backend == "mine"
    with pytest.raises(ValueError, match="register_backend: the name 'mine' is taken by"):
        register_backend("mine", dict)
    with pytest.raises(ValueError, match="the name 'numpy' is taken by 'tinygrad_bn"):
        register_backend("numpy", StrictBackend)


@pytest.mark.parametrize("name", ["", "a:b"])
def test_names_that_cannot_be_registered(name):
    message = f"register_backend: name must be a word without a colon, got '{name}'"
    with pytest.raises(ValueError, match=message):
        register_backend(name, dict)


def test_a_failing_factory_may_say_why(restored):
    def factory(name, device):
        raise BackendUnavailableError("no driver")

    register_backend("broken", factory)
    with pytest.raises(BackendUnavailableError, match=r"'broken' \(asked for by name\): no driver"):
        get_backend("broken")
