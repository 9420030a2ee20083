"""The package as a namespace of the Python Array API standard."""

import inspect
import math

import array_api_strict
import numpy as np
import pytest

import tinygrad_bn as tg

# Signatures that differ on purpose. `device` is the name of a backend and None means "as it is",
# where the strict library has a marker of its own for that.
DEFAULTS = {
    ("astype", "device"): None,
    ("from_dlpack", "device"): None,
    ("from_dlpack", "copy"): None,
}

# Functions whose first argument may be named too, because later ones are arrays that may be.
NAMED_TOO = {"clip"}

# Newer than version 2024.12, or tools of the strict library itself.
NOT_IN_2024_12 = {"broadcast_shapes", "isin"}


def _functions(namespace):
    for name in sorted(vars(namespace)):
        function = getattr(namespace, name)
        public = inspect.isfunction(function) and not name.startswith("_")
        if public and name not in NOT_IN_2024_12 and "strict_flags" not in name:
            yield name


STANDARD = list(_functions(array_api_strict))
LINALG = array_api_strict.linalg.__all__


def test_the_lists_are_whole():
    assert len(STANDARD) > 120
    assert len(LINALG) > 20


def _described(name, namespace):
    """Kind, name and default of every parameter; names of positional-only ones are free."""
    P = inspect.Parameter
    described = []
    for i, p in enumerate(inspect.signature(getattr(namespace, name)).parameters.values()):
        kind = P.POSITIONAL_ONLY if name in NAMED_TOO and i == 0 else p.kind
        free = kind in (P.POSITIONAL_ONLY, P.VAR_POSITIONAL)
        default = DEFAULTS.get((name, p.name), p.default)
        described.append((kind, None if free else p.name, default))
    return described


@pytest.mark.parametrize("name", STANDARD)
def test_signatures(name):
    assert _described(name, tg) == _described(name, array_api_strict)


@pytest.mark.parametrize("name", LINALG)
def test_signatures_of_the_linear_algebra_extension(name):
    assert _described(name, tg.linalg) == _described(name, array_api_strict.linalg)


def test_constants_and_dtypes():
    assert (tg.pi, tg.e, tg.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(tg.nan)
    assert tg.newaxis is None
    for name in array_api_strict.__array_namespace_info__().dtypes():
        assert getattr(tg, name) == np.dtype(name)


def test_info(backend):
    info = tg.__array_namespace_info__()
    assert info.capabilities()["boolean indexing"] is True
    assert info.capabilities()["data-dependent shapes"] is True
    assert info.default_device() == backend
    assert {"numpy", "strict"} <= set(info.devices())
    assert info.default_dtypes(device=backend) == {
        "real floating": tg.float32,
        "complex floating": tg.complex64,
        "integral": tg.int64,
        "indexing": tg.int64,
    }
    assert set(info.dtypes()) == set(array_api_strict.__array_namespace_info__().dtypes())
    assert info.dtypes(kind="real floating") == {"float32": tg.float32, "float64": tg.float64}
    assert set(info.dtypes(kind=("bool", "signed integer"))) == {
        *("bool", "int8", "int16", "int32", "int64")
    }
    with pytest.raises(ValueError, match="unknown backend 'nothing'"):
        info.default_dtypes(device="nothing")


def test_versions():
    assert tg.__array_api_version__ == "2024.12"
    x = tg.zeros(2)
    assert x.__array_namespace__() is tg
    assert x.__array_namespace__(api_version="2023.12") is tg
    with pytest.raises(ValueError, match=r"api_version must be one of .* got '1999.12'"):
        x.__array_namespace__(api_version="1999.12")


def standardise(x):
    """Code for any namespace of the standard: it knows no library."""
    xp = x.__array_namespace__()
    mean = xp.mean(x, axis=0, keepdims=True)
    spread = xp.std(x, axis=0, correction=1, keepdims=True)
    z = (x - mean) / xp.where(spread == 0, xp.ones_like(spread), spread)
    rank = xp.argsort(xp.argsort(z, axis=0), axis=0)
    steps = xp.linspace(0.0, 1.0, x.shape[0], dtype=x.dtype, device=x.device)
    grid = xp.take(steps, xp.reshape(rank, (-1,)))
    limit = xp.asarray(2.0, dtype=x.dtype, device=x.device)
    z = xp.concat([xp.clip(z, -limit, limit), xp.reshape(grid, z.shape)], axis=1)
    return xp.sum(z * xp.astype(xp.isfinite(z), x.dtype), axis=1) + xp.finfo(x.dtype).eps


def test_code_for_any_namespace_runs(backend):
    values = np.random.default_rng(0).standard_normal((6, 3))
    values[:, 2] = 1.0
    x = tg.asarray(values, copy=True)
    x.requires_grad = True
    y = standardise(x)
    np.testing.assert_allclose(y.detach().numpy(), standardise(values), rtol=1e-12)
    tg.sum(y * y).backward()
    assert bool(tg.all(tg.isfinite(x.grad)))
