"""One line that compares a method of the Numba backend with the reference."""

import numpy as np

from tinygrad_bn.backend import Backend, get_backend

LAYOUTS = ["contiguous", "transposed", "reversed", "strided", "broadcast"]
REFERENCE = Backend(np, np.ndarray, "reference")
TOLERANCE = {"float16": 4e-3, "float32": 3e-6, "float64": 1e-13}


def laid_out(values, dtype, layout):
    """An array of these values (of the first row alone, if broadcast) in a memory layout."""
    x = np.asarray(values, dtype)
    if x.ndim == 0 or x.size == 0 or layout == "contiguous":
        return x
    if layout == "transposed":
        return np.ascontiguousarray(x.T).T
    if layout == "reversed":
        return np.ascontiguousarray(x[::-1])[::-1]
    if layout == "strided":
        wide = np.zeros((*x.shape[:-1], 2 * x.shape[-1]), dtype)
        wide[..., ::2] = x
        return wide[..., ::2]
    return np.broadcast_to(x[:1], x.shape)


def same(name, *arrays, **metadata):
    """What the Numba backend's method gives, which must be what the reference gives.

    Values to a few units in the last place, relative to the numbers that went in; shape, dtype, NaN
    and infinities exactly; arguments stay as they were, and no result shares memory with them.
    """
    given = [a for a in arrays if a is not None]
    before = [np.array(a) for a in given]
    with np.errstate(all="ignore"):  # as operations call it
        found = getattr(get_backend("numba"), name)(*arrays, **metadata)
        expected = getattr(REFERENCE, name)(*arrays, **metadata)
    for a, b in zip(given, before, strict=True):
        assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    pairs = zip(found, expected, strict=True) if isinstance(found, tuple) else [(found, expected)]
    for got, wanted in pairs:
        close(np.asarray(got), np.asarray(wanted))
        assert not any(np.shares_memory(got, a) for a in given)
    return found


def close(got, wanted):
    """Equal to rounding; equal exactly where not finite."""
    assert got.shape == wanted.shape
    assert got.dtype == wanted.dtype
    finite = np.isfinite(wanted)
    assert np.array_equal(got[~finite], wanted[~finite], equal_nan=True)
    if finite.any():
        tolerance = TOLERANCE.get(wanted.dtype.name, 0.0)  # none for integers
        np.testing.assert_allclose(got[finite], wanted[finite], rtol=10 * tolerance, atol=tolerance)
