"""Compiled code on disk: found again, never trusted blindly, never in the way."""

import os
import random
import shutil
import stat

import pytest
from tinygrad_bn.backends.numba import cache, pruning

POSIX = pytest.mark.skipif(os.name != "posix", reason="owners and modes are of POSIX")


# ------------------------------------------------------------------------------- from the outside


def test_a_second_process_compiles_nothing(workshop):
    assert workshop.run() == "0"
    assert len(workshop.entries()) == 3
    assert workshop.run() == "3"


def test_eight_cold_processes_at_once(workshop):
    processes = [workshop.start() for _ in range(8)]
    for process in processes:
        assert workshop.finish(process)[1] == ""
    assert len(workshop.entries()) == 3
    assert not list(workshop.cache.glob(f"*/{pruning.UNFINISHED}*"))
    assert workshop.run() == "3"


@pytest.mark.parametrize(
    ("before", "after", "kept"),
    [
        ("a * FACTOR", "FACTOR * (a + 0.0)", 1),
        ("FACTOR = 2.0", "FACTOR = 3.0", 1),
        ("innermost(a) + 1.0", "1.0 + innermost(a)", 1),
        ("@exact", "@kernel", 1),
        ("total = 0.0", "total = -0.0", 2),
        ("FACTOR = 2.0", "# a comment\nFACTOR = 2.0", 3),
    ],
)
def test_what_a_change_invalidates(workshop, before, after, kept):
    """A change of an inner kernel, of its constant or its options is seen by those around it."""
    from tests.backends.numba.conftest import KERNELS

    workshop.run()
    assert before in KERNELS
    workshop.write(KERNELS.replace(before, after))
    assert workshop.run() == str(kept)


def test_damaged_entries_are_compiled_again(workshop):
    """Truncated, flipped, emptied: right results, no word about it, and a whole entry again."""
    workshop.run()
    for damage in (lambda d: d[: len(d) // 2], lambda d: b"", lambda d: d[:-9] + bytes(9)):
        for path in workshop.entries():
            path.write_bytes(damage(path.read_bytes()))
        assert workshop.run() == "0"
        assert workshop.run() == "3"


def test_entries_that_cannot_be_loaded_are_compiled_again(workshop):
    """Whole by their checksum, and still not what Numba can use."""
    workshop.run()
    code = """
        import pickle, sys
        from pathlib import Path
        from tinygrad_bn.backends.numba import cache
        for path, payload in zip(sys.argv[1:], (b"", b"no pickle", pickle.dumps((1, 2)))):
            cache.write(Path(path), payload)
            assert cache.read(Path(path)) == payload
    """
    paths = [str(path) for path in workshop.entries()]
    workshop.run(code.replace("sys.argv[1:]", repr(paths)))
    assert workshop.run() == "0"
    assert workshop.run() == "3"


def test_functions_of_one_name_are_kept_apart(workshop):
    """Two processes each compile one of the functions that a function makes; a third loads both."""
    workshop.write(
        """
from numba import prange
from tinygrad_bn.backends.numba.compiler import driver, kernel

def make(factor):
    @kernel
    def inner(a):
        return a * factor

    @driver
    def outer(x, y):
        for i in prange(x.size):
            y[i] = inner(x[i])

    return outer

twice, thrice = make(2.0), make(3.0)
"""
    )
    code = """
        import numpy as np
        from sample import thrice, twice
        x = np.arange(5.0)
        for driver, factor in ((twice, 2.0), (thrice, 3.0)):
            if factor in {which}:
                for form in (driver.serial, driver.parallel):
                    y = np.zeros(5)
                    form(x, y)
                    assert (y == x * factor).all(), (factor, y)
                    print(sum(form.stats.cache_hits.values()))
    """
    assert workshop.run(code.replace("{which}", "[2.0]")).split() == ["0", "0"]
    assert workshop.run(code.replace("{which}", "[3.0]")).split() == ["0", "0"]
    assert workshop.run(code.replace("{which}", "[2.0, 3.0]")).split() == ["1"] * 4


@POSIX
def test_a_full_disk(workshop):
    """Writing fails half way (here: a limit of the size of files): a warning, and no more."""
    code = """
        import resource, sys, warnings
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 12, 1 << 12))
    """
    from tests.backends.numba.conftest import RUN

    process = workshop.start(code.replace("        ", "") + RUN, flags=())
    out, err = workshop.finish(process)
    assert out == "0"
    assert err.count("RuntimeWarning: a compiled kernel could not be kept in") == 1
    assert "File too large" in err
    assert list(workshop.cache.glob("*/*")) == []


@POSIX
def test_a_folder_that_cannot_be_made(workshop):
    process = workshop.start(flags=(), TINYGRAD_BN_CACHE="/dev/null/nowhere")
    out, err = workshop.finish(process)
    assert out == "0"
    assert err.count("RuntimeWarning") == 1
    assert "compiled kernels are not kept, every process compiles them again: " in err
    assert "set TINYGRAD_BN_CACHE to a folder of your own" in err


# -------------------------------------------------------------------------------- single entries


def test_where_the_cache_lies(monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, "~/mine")
    assert cache.root() == cache.Path.home() / "mine"
    monkeypatch.delenv(cache.VARIABLE)
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache.root().as_posix().endswith("/elsewhere/tinygrad_bn")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache.root() == cache.Path.home() / ".cache" / "tinygrad_bn"


def test_the_key_names_what_code_depends_on(monkeypatch):
    def fresh():
        return cache.key.__wrapped__()

    first = fresh()
    assert first == fresh()
    monkeypatch.setenv("NUMBA_NUM_THREADS", "7")  # no matter for code
    assert fresh() == first
    for target, value in {
        "numba.__version__": "0",
        "llvmlite.__version__": "0",
        "numpy.__version__": "0",
        "sys.version": "0",
        "tinygrad_bn.backends.numba.cache.version": lambda name: "0",
        "llvmlite.binding.get_host_cpu_name": lambda: "abacus",
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(target, value)
            assert fresh() != first, target
    monkeypatch.setenv("NUMBA_OPT", "0")
    assert fresh() != first


def test_round_trip(place):
    path = place / "f-0.kernel"
    cache.write(path, b"contents")
    assert cache.read(path) == b"contents"
    assert [p.name for p in place.iterdir()] == ["f-0.kernel"]
    cache.write(path, b"other contents")
    assert cache.read(path) == b"other contents"


def test_fuzzed_entries_are_misses(place):
    """Every single flipped bit, every truncation, and a thousand random files."""
    path = place / "f-0.kernel"
    cache.write(path, bytes(range(64)))
    whole = path.read_bytes()
    for n in range(len(whole)):
        path.write_bytes(whole[:n])
        assert cache.read(path) is None
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[n] ^= 1 << bit
            path.write_bytes(flipped)
            assert cache.read(path) is None
    dice = random.Random(1)
    for _ in range(1000):
        size = dice.randrange(3 * len(whole))
        keep = dice.randrange(len(whole)) if dice.random() < 0.5 else 0
        path.write_bytes(whole[:keep] + dice.randbytes(size))
        assert cache.read(path) is None
    path.write_bytes(whole + b"\0")
    assert cache.read(path) is None
    path.write_bytes(whole)
    assert cache.read(path) == bytes(range(64))


def test_an_entry_under_another_name_is_a_miss(place):
    cache.write(place / "f-0.kernel", b"contents")
    shutil.copy(place / "f-0.kernel", place / "f-1.kernel")
    assert cache.read(place / "f-1.kernel") is None


def test_an_entry_of_another_version_is_a_miss(place, monkeypatch):
    path = place / "f-0.kernel"
    cache.write(path, b"contents")
    monkeypatch.setattr(cache, "key", lambda: "0" * 24)
    assert cache.read(path) is None


def test_a_folder_in_place_of_an_entry_is_a_miss(place):
    path = place / "f-0.kernel"
    path.mkdir()
    assert cache.read(path) is None
    with pytest.warns(RuntimeWarning, match="a compiled kernel could not be kept in .*irectory"):
        cache.write(path, b"contents")
    assert [p.name for p in place.iterdir()] == ["f-0.kernel"]


def test_a_folder_that_was_removed_comes_back(place):
    place.rmdir()
    path = place / "f-0.kernel"
    assert cache.read(path) is None
    cache.write(path, b"contents")
    assert cache.read(path) == b"contents"


# ----------------------------------------------------------------------------------- permissions


@POSIX
def test_folder_and_entries_are_private(place):
    cache.write(place / "f-0.kernel", b"contents")
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert stat.S_IMODE((place / "f-0.kernel").stat().st_mode) == 0o600


@POSIX
@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_an_entry_that_others_may_write_is_a_miss(place, mode):
    path = place / "f-0.kernel"
    cache.write(path, b"contents")
    path.chmod(mode)
    assert cache.read(path) is None


@POSIX
def test_an_entry_of_somebody_else_is_a_miss(place, monkeypatch):
    path = place / "f-0.kernel"
    cache.write(path, b"contents")
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert cache.read(path) is None


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_to_is_not_used(place, mode):
    place.chmod(mode)
    cache.folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="others may write to it.*set TINYGRAD_BN_CACHE"):
        assert cache.folder(cache.root()) is None


@POSIX
def test_a_folder_of_somebody_else_is_not_used(place, monkeypatch):
    uid = place.stat().st_uid
    cache.folder.cache_clear()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.warns(RuntimeWarning, match="others may write to it"):
        assert cache.folder(cache.root()) is None


@POSIX
def test_a_link_in_place_of_the_folder_is_not_used(place, tmp_path):
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    cache.folder.cache_clear()
    with pytest.warns(RuntimeWarning, match="not a folder"):
        assert cache.folder(cache.root()) is None


@POSIX
def test_a_folder_that_cannot_be_written_to_is_not_used(place, monkeypatch):
    cache.folder.cache_clear()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # chmod does not stop root
    with pytest.warns(RuntimeWarning, match="not writable"):
        assert cache.folder(cache.root()) is None
