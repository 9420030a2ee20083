"""Fingerprints of kernels: the same in every process, another for whatever changes the code."""

import subprocess
import sys

import numpy as np
import pytest
from tinygrad_bn.backends.numba import compiler, fingerprint

SOURCE = """
import numpy as np
from numba import types
from numba.extending import intrinsic, overload
from tinygrad_bn.backends.numba.compiler import exact, kernel

TABLE = np.arange(4.0)
NAMES = ("a", "b")
FACTOR = 2

def helper(x):
    return x + 1

def stub(x):
    return x

@overload(stub)
def _stub(x):
    def chosen(x):
        return x - 3
    return chosen

@intrinsic
def machine(context, x):
    def generate(context, builder, signature, arguments):
        return builder.add(arguments[0], arguments[0])
    return types.int64(types.int64), generate

def make(amount):
    @kernel
    def made(x):
        return x * amount
    return made

closed = make(7)

@kernel
def inner(x):
    return recursive(x) if x in {1, 2, 3} else x

@kernel
def recursive(x):
    return inner(x - 1)

@exact
def outer(x, extra=5):
    "Text."
    y = helper(x) + stub(x) + machine(x) + closed(x) + inner(x) * FACTOR + extra
    return y + TABLE[0] + len(NAMES)
"""


def of_source(source):
    names = {"__name__": "kernels_of_a_user"}
    exec(source, names)
    function = getattr(names["outer"], "py_func", names["outer"])
    return fingerprint.of_function(function, {"fastmath": {"reassoc", "contract"}})


pytestmark = pytest.mark.skipif(not compiler.COMPILED, reason="nothing is compiled here")


def test_it_is_the_same_again():
    assert of_source(SOURCE) == of_source(SOURCE)
    assert of_source(SOURCE) == of_source(SOURCE.replace("FACTOR = 2\n", "FACTOR = 2  # two\n\n\n"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("np.arange(4.0)", "np.arange(1, 5.0)"),
        ('("a", "b")', '("a", "c")'),
        ("FACTOR = 2", "FACTOR = 2.0"),
        ("x + 1", "x + 2"),
        ("x - 3", "x - 4"),
        ("builder.add", "builder.mul"),
        ("make(7)", "make(8)"),
        ("x * amount", "amount * x"),
        ("{1, 2, 3}", "{1, 2, 4}"),
        ("inner(x - 1)", "inner(x - 2)"),
        ("extra=5", "extra=6"),
        ("@kernel\ndef recursive", "@exact\ndef recursive"),
    ],
)
def test_what_is_seen(before, after):
    assert before in SOURCE
    assert of_source(SOURCE.replace(before, after)) != of_source(SOURCE)


def test_options_are_seen():
    options = compiler.OPTIONS

    def function(x):
        return x

    plain = fingerprint.of_function(function, options)
    assert plain != fingerprint.of_function(function, options | {"fastmath": set()})
    assert plain == fingerprint.of_function(function, dict(reversed(options.items())))


def test_processes_agree():
    """Whatever the order of sets, which differs from process to process, and the addresses."""
    code = (
        "from tests.backends.numba.bits import package_drivers\n"
        "from tinygrad_bn.backends.numba import fingerprint\n"
        "for n, d in package_drivers().items():\n"
        "    print(n, fingerprint.of_function(d.serial.py_func, d.serial.targetoptions))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(3)
    }
    assert len(runs) == 1
    assert len(runs.pop().split()) > 20


def test_a_library_is_named_and_not_followed():
    def first(x):
        return np.linalg.norm(x)

    walk = fingerprint._Walk()
    walk.visit(first)
    assert np.linalg.norm not in walk._alive
