"""Puts drivers through thread counts: the bits of all results must be those of the serial form."""

import itertools

import numpy as np
from tinygrad_bn.backends.numba import NumbaBackend, compiler, threads

COUNTS = (1, 2, 3, 8)


def package_drivers():
    """The drivers that the package itself defines, by name."""
    NumbaBackend()
    drivers = [d for d in compiler.DRIVERS if d.__module__.startswith("tinygrad_bn.")]
    named = {driver.title: driver for driver in drivers}
    assert len(named) == len(drivers), "two drivers have one name"
    return named


def anew(driver, number, dtype, given):
    """An example's arguments once more: arrays are copied, and made again where `given` holds
    their addresses."""
    if hasattr(given, "arrays"):
        return next(itertools.islice(driver.example_arguments(dtype), number, None))
    return tuple([a.copy() if isinstance(a, np.ndarray) else a for a in given])


def outcome(form, arguments):
    """The bytes of everything that a form returns or changes."""
    returned = form(*arguments)
    results = returned if isinstance(returned, tuple) else (returned,)
    arrays = [a for a in arguments if isinstance(a, np.ndarray)]
    if not hasattr(arguments, "arrays"):  # else those may hold addresses, other ones each time
        results += tuple(arrays)
    return [np.asarray(r).tobytes() for r in (*results, *getattr(arguments, "arrays", ()))]


def differing(driver, dtype):
    """The examples and thread counts for which a driver's bits differ from its serial form's."""
    found = []
    for number, given in enumerate(driver.example_arguments(dtype)):
        expected = outcome(driver.alone, anew(driver, number, dtype, given))
        for count in COUNTS:
            threads.set_num_threads(count)
            arguments = anew(driver, number, dtype, given)
            if outcome(lambda *a: driver(1 << 40, *a), arguments) != expected:
                found.append((number, count))
    return found


def check(*dtypes):
    """AssertionError that names the drivers whose results depend on the number of threads."""
    wrong = {}
    for name, driver in package_drivers().items():
        for dtype in dtypes:
            found = differing(driver, dtype)
            if found:
                wrong[name, dtype] = found
    assert not wrong, f"(example, threads) whose bits differ from the serial form's: {wrong}"
