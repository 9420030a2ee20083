"""What nobody uses is removed from the cache of compiled code."""

import os
import time

from tinygrad_bn.backends.numba import cache, pruning


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_old_versions_are_removed(place):
    names = {f"numba-{i:024x}": i * 86400.0 for i in (1, 29, 31, 90)}
    for name, seconds in names.items():
        (place.parent / name).mkdir()
        (place.parent / name / "f-0.kernel").write_bytes(b"x")
        age(place.parent / name, seconds)
    (place.parent / "numba-mine").mkdir()
    age(place.parent / "numba-mine", 90 * 86400.0)
    cache.write(place / "f-0.kernel", b"contents")
    left = {p.name for p in place.parent.iterdir()}
    assert left == {place.name, "numba-mine", f"numba-{1:024x}", f"numba-{29:024x}"}


def test_versions_are_counted(place):
    for i in range(pruning.VERSIONS + 3):
        (place.parent / f"numba-{i:024x}").mkdir()
        age(place.parent / f"numba-{i:024x}", 100 + i)
    pruning.prune_versions(place)
    left = {p.name for p in place.parent.iterdir()}
    assert left == {place.name} | {f"numba-{i:024x}" for i in range(pruning.VERSIONS - 1)}


def test_old_and_unfinished_files_are_removed(place):
    for name, seconds in {
        "a-0.kernel": 31 * 86400.0,
        "b-0.kernel": 29 * 86400.0,
        f"{pruning.UNFINISHED}old": 7200.0,
        f"{pruning.UNFINISHED}new": 60.0,
    }.items():
        (place / name).write_bytes(b"x")
        age(place / name, seconds)
    pruning.prune_files(place)
    assert {p.name for p in place.iterdir()} == {"b-0.kernel", f"{pruning.UNFINISHED}new"}


def test_the_size_is_bounded(place, monkeypatch):
    monkeypatch.setattr(pruning, "SIZE", 35)
    for i in range(6):
        (place / f"f-{i}.kernel").write_bytes(bytes(10))
        age(place / f"f-{i}.kernel", 100 + i)
    pruning.prune_files(place)
    assert {p.name for p in place.iterdir()} == {f"f-{i}.kernel" for i in range(3)}


def test_use_keeps_an_entry_young(place):
    path = place / "f-0.kernel"
    cache.write(path, b"contents")
    age(path, 20 * 86400.0)
    assert cache.read(path) == b"contents"
    assert time.time() - path.stat().st_mtime < 60
