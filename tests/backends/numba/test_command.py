"""`tinygrad-bn backends` for Numba, warming up, and what is said where Numba is missing."""

import re
import sys

import pytest
from tinygrad_bn.backends.numba import compiler, warm_up

import tinygrad_bn as tg
from tinygrad_bn import cli
from tinygrad_bn.backend import BackendUnavailableError, get_backend, registry

COMPILED = pytest.mark.skipif(not compiler.COMPILED, reason="nothing is compiled here")


@pytest.fixture(autouse=True)
def _wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    monkeypatch.setattr(sys, "argv", ["tinygrad-bn"])


@COMPILED
def test_what_is_shown(capsys):
    import numba

    assert cli.main(["backends"]) == 0
    out = capsys.readouterr().out
    assert re.search(
        rf"numba .*yes .*numba {re.escape(numba.__version__)} .*cpu .*threads: \d", out
    )
    assert re.search("threading layer: (tbb|omp|workqueue)", out)
    assert re.search("cache: .*numba-[0-9a-f]{24}", out)


@pytest.mark.skipif(compiler.COMPILED, reason="with NUMBA_DISABLE_JIT only")
def test_what_is_shown_without_a_compiler(capsys):
    assert cli.main(["backends", "--warm-up"]) == 0
    assert "kernels: plain Python, by NUMBA_DISABLE_JIT" in capsys.readouterr().out


@COMPILED
def test_warming_up(capsys, monkeypatch):
    """Every step is made, its name and their number are shown."""
    done = []
    steps = [(f"kernel{i}, serial", lambda i=i: done.append(i)) for i in range(3)]
    monkeypatch.setattr("tinygrad_bn.backends.numba.preparations", lambda: steps)
    assert cli.main(["backends", "--warm-up"]) == 0
    assert done == [0, 1, 2]
    out = capsys.readouterr().out
    assert "Warming up numba" in out
    assert "3/3" in out


@COMPILED
def test_warming_up_spares_the_compiler(workshop):
    """A driver whose examples were compiled ahead compiles nothing for arguments like them."""
    warm = """
        from tinygrad_bn.backends.numba import NumbaBackend, compiler, warm_up
        NumbaBackend()
        for what, do in warm_up.preparations():
            if what.startswith("estimate.advance"):
                do()
                print(what)
    """
    assert workshop.run(warm).split("\n") == [f"estimate.advance, {f}" for f in FORMS]
    use = """
        import numpy as np
        from tinygrad_bn.backends.numba import NumbaBackend
        from tinygrad_bn.backends.numba.kernels import estimate
        NumbaBackend()
        arrays = [np.ones(3, np.float32) for _ in range(6)]
        counters = np.zeros((), np.int64), np.zeros((), np.int64)
        estimate.advance(0, *arrays[:4], 1.2, 0.1, *arrays[4:], *counters)
        print(sum(estimate.advance.serial.stats.cache_misses.values()))
    """
    assert workshop.run(use) == "0"


FORMS = ("serial", "parallel")


@COMPILED
def test_a_step_for_every_type_of_argument():
    steps = [what for what, _ in warm_up.preparations()]
    assert steps.count("rows.forward, serial") == 1  # six examples, of the same types


def test_numba_is_not_installed(monkeypatch):
    monkeypatch.setattr(registry, "_instances", {})
    for name in list(sys.modules):
        if name.startswith("tinygrad_bn.backends.numba"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "numba", None)
    message = (
        r"backend 'numba' \(asked for by use_backend\) needs the package 'numba', which could not "
        r"be imported: .*\. Install it with: pip install 'tinygrad_bn\[numba\]'"
    )
    with pytest.raises(BackendUnavailableError, match=message), tg.use_backend("numba"):
        pass
    monkeypatch.undo()
    assert get_backend("numba").name == "numba"
