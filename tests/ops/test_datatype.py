"""Data types: conversion, promotion, limits."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tests.helpers import check_op, normal

DTYPES = [getattr(tg, n) for n in ("bool", "int8", "int32", "uint16", "float32", "float64")]


@pytest.mark.parametrize("target", DTYPES)
@pytest.mark.parametrize("source", DTYPES)
def test_astype(source, target, backend):
    x = np.array([0, 1, 3]).astype(source)
    result = tg.astype(tg.asarray(x), target)
    assert result.dtype == target
    np.testing.assert_array_equal(result.numpy(), x.astype(target))


def test_astype_between_floats_is_differentiable(backend):
    check_op(
        lambda x: tg.astype(x, tg.float64) * 2,
        [normal(3)],
        lambda x: x * 2,
        backends=[backend],
        float32=False,
    )
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    tg.sum(tg.astype(x, tg.float64)).backward()
    assert x.grad.dtype == tg.float32
    assert not tg.astype(x, tg.int32).requires_grad


def test_astype_copies_unless_told(backend):
    x = tg.asarray([1.0])
    assert tg.astype(x, tg.float32, copy=False) is x
    y = tg.astype(x, tg.float32)
    y[0] = 5.0
    assert x.tolist() == [1.0]
    assert tg.astype(x, tg.float64, device="numpy").backend == "numpy"


def test_complex_does_not_lose_its_imaginary_part(backend):
    x = tg.asarray([1 + 2j])
    with pytest.raises(TypeError, match=r"^astype: complex to float32 would drop the imaginary"):
        tg.astype(x, tg.float32)
    assert tg.astype(tg.asarray([1.0]), tg.complex128).dtype == tg.complex128


@pytest.mark.parametrize("first", DTYPES)
@pytest.mark.parametrize("second", DTYPES)
def test_promotion(first, second):
    assert tg.result_type(first, second) == np.result_type(first, second)
    assert tg.can_cast(first, second) == (np.result_type(first, second) == second)


def test_python_numbers_adapt():
    assert tg.result_type(tg.float32, 1.5) == tg.float32
    assert tg.result_type(tg.int8, 100) == tg.int8
    assert tg.result_type(tg.asarray([1.0]), tg.float64, 2) == tg.float64
    with pytest.raises(ValueError, match=r"^result_type: needs at least one .* got 1, 2\.5"):
        tg.result_type(1, 2.5)


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "complex64", "complex128"])
def test_finfo(name, backend):
    info, expected = tg.finfo(name), np.finfo(name)
    for field in ("bits", "eps", "max", "min", "smallest_normal", "dtype"):
        assert getattr(info, field) == getattr(expected, field)
    assert type(info.eps) is float
    assert tg.finfo(tg.asarray([1.0])).dtype == tg.float32
    with pytest.raises(TypeError, match=r"^finfo: type must be a floating-point dtype, got int8"):
        tg.finfo(tg.int8)


@pytest.mark.parametrize("name", ["int8", "int16", "int32", "int64", "uint8", "uint32", "uint64"])
def test_iinfo(name, backend):
    info, expected = tg.iinfo(name), np.iinfo(name)
    for field in ("bits", "max", "min", "dtype"):
        assert getattr(info, field) == getattr(expected, field)
    assert tg.iinfo(tg.asarray([1])).dtype == tg.int64
    with pytest.raises(TypeError, match=r"^iinfo: type must be an integer dtype, got float32"):
        tg.iinfo(tg.float32)


@pytest.mark.parametrize(
    "kind",
    [
        "bool",
        "signed integer",
        "unsigned integer",
        "integral",
        "real floating",
        "complex floating",
        "numeric",
        np.float32,
        ("bool", "integral", np.dtype("float64")),
    ],
)
def test_isdtype(kind):
    for name in ("bool", "int8", "uint64", "float32", "float64", "complex64"):
        dtype = getattr(tg, name)
        assert tg.isdtype(dtype, kind) == np.isdtype(dtype, kind)


def test_errors():
    with pytest.raises(ValueError, match=r"^isdtype: kind must be .* got 'float'"):
        tg.isdtype(tg.float32, "float")
    with pytest.raises(TypeError, match=r"^astype: not a dtype: 'float99'"):
        tg.astype(tg.zeros(2), "float99")
    with pytest.raises(TypeError, match=r"^finfo: needs a dtype or a tensor, got None"):
        tg.finfo(None)
