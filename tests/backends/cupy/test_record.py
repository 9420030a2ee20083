"""The record of what has run on a GPU, the README that states it, and the tools that keep it."""

import json
import os
import re
import subprocess
import sys
import tomllib
import types

import pytest

from tests import gpu
from tools.gpu import record, verify


def test_the_record_knows_every_kernel_as_it_is():
    """A kernel that changes is no longer verified, and the record must say so."""
    wrong = record.differences(record.load())
    assert wrong == [], "run `python -m tools.gpu.record`, which notes what is not verified"


def test_the_readme_states_the_record():
    found = record.load()
    assert found["statement"] == record.statement(found)
    text = record.README.read_text(encoding="utf-8")
    assert record.MARKED.search(text)[0].splitlines()[1] == found["statement"]


def test_the_readme_says_what_was_measured_next_to_the_record():
    after = record.MARKED.split(record.README.read_text(encoding="utf-8"))[-1]
    sentence = after.strip().splitlines()[0]
    assert "speed" in sentence
    assert "`make bench-gpu` lists what is asked and what was reached" in sentence


def test_the_readme_installs_from_the_folder():
    """The extras are those of pyproject.toml, and `.` is the only place they come from."""
    text = record.README.read_text(encoding="utf-8")
    extras = tomllib.loads((record.ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found = re.findall(r"pip install '?([^'\s`]*)\[([\w-]+)\]", text)
    assert (".", "cupy-cuda13") in found
    assert {where for where, _ in found} == {"."}
    assert {extra for _, extra in found} <= set(extras["project"]["optional-dependencies"])


def test_what_the_record_holds():
    found = record.load()
    assert all(set(k) == {"sha256", "verified"} for k in found["kernels"].values())
    if found["verified"] == record.NEVER:
        assert not any(k["verified"] for k in found["kernels"].values())
        assert "**Verified on a GPU: never.**" in found["statement"]
    else:
        assert {"device", "driver", "versions", "results"} <= set(found)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Two kernels, a README and no record yet."""
    for name in ("a.cu", "b.cuh"):
        (tmp_path / name).write_text(name)
    (tmp_path / "README.md").write_text(
        "before\n<!-- gpu record -->\nold\n<!-- end of gpu record -->\nafter\n"
    )
    monkeypatch.setattr(record, "KERNELS", tmp_path)
    monkeypatch.setattr(record, "RECORD", tmp_path / "verified.json")
    monkeypatch.setattr(record, "README", tmp_path / "README.md")
    return tmp_path


def test_a_change_shows(folder):
    assert record.differences(record.load()) == [
        "a.cu: not in the record",
        "b.cuh: not in the record",
    ]
    record.main()
    assert record.differences(record.load()) == []
    (folder / "a.cu").write_text("changed")
    (folder / "b.cuh").unlink()
    assert record.differences(record.load()) == [
        "a.cu: changed since it was recorded",
        "b.cuh: in the record, and gone",
    ]


def test_never(folder):
    record.main()
    found = json.loads((folder / "verified.json").read_text())
    assert found["verified"] == "never"
    assert not any(k["verified"] for k in found["kernels"].values())
    text = (folder / "README.md").read_text()
    assert text.splitlines()[2] == found["statement"]
    assert "never.** None could be had while this was built, so none of the 2 kernel" in text
    assert text.endswith("after\n")


def verified(**changes):
    """A record of today's kernels in which every check passed, but for `changes` of results."""
    results = {name: {"passed": True} for name in record.CHECKS} | changes
    return {
        "verified": "2026-12-24",
        "device": "NVIDIA H100",
        "driver": "580.65.06 (CUDA 13.0)",
        "results": {name: r for name, r in results.items() if r is not None},
        "kernels": {n: {"sha256": d, "verified": True} for n, d in record.hashes().items()},
    }


def test_only_what_is_unchanged_stays_verified(folder):
    found = verified()
    assert record.statement(found) == (
        "**Verified on a GPU:** 2026-12-24 on NVIDIA H100, driver 580.65.06 (CUDA 13.0), "
        "all checks passed, 2 of 2 kernel sources."
    )
    (folder / "a.cu").write_text("changed")
    later = record.updated(found)
    assert later["kernels"]["a.cu"]["verified"] is False
    assert later["kernels"]["b.cuh"]["verified"] is True
    assert later["statement"].endswith(
        "1 of 2 kernel sources; changed since, and not verified: a.cu."
    )


def test_what_failed_or_did_not_run_is_not_verified(folder):
    found = verified(racecheck={"passed": False}, suite=None)
    assert not record.passed(found)
    assert record.statement(found) == (
        "**Run on a GPU, not verified:** 2026-12-24 on NVIDIA H100, driver 580.65.06 (CUDA 13.0); "
        "failed: racecheck; not run: suite."
    )
    assert record.passed(verified())


# ------------------------------------------------------------------------------------- commands


def without_a_gpu(module):
    """Run a command where cupy is not installed."""
    hide = "import sys, runpy; sys.modules['cupy'] = None; "
    code = f"{hide}runpy.run_module('{module}', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=record.ROOT,
        env={k: v for k, v in os.environ.items() if k != "TINYGRAD_BN_PRETEND_GPU"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_verifying_without_a_gpu_fails_and_says_why():
    before = record.RECORD.read_bytes()
    done = without_a_gpu("tools.gpu.verify")
    assert done.returncode == 1
    assert "make test-gpu needs a GPU, and there is none: " in done.stderr
    assert "the package is missing: cupy could not be imported" in done.stderr
    assert "The record is unchanged: **Verified on a GPU" in done.stderr
    assert record.RECORD.read_bytes() == before


def test_measuring_without_a_gpu_fails_and_says_why():
    done = without_a_gpu("benchmarks.gpu")
    assert done.returncode == 1
    assert "make bench-gpu needs a GPU, and there is none: " in done.stderr
    assert "the package is missing" in done.stderr


def test_a_missing_sanitizer_is_a_failure(monkeypatch):
    monkeypatch.setattr(verify, "sanitizer", lambda: None)
    result = verify.run_tool("memcheck")
    assert result["passed"] is False
    assert "compute-sanitizer was not found: it comes with the CUDA toolkit" in result["why"]


def pretend_sanitizer(monkeypatch, folder, script):
    program = folder / "compute-sanitizer"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(verify, "sanitizer", lambda: str(program))


def test_a_sanitizer_that_finds_something(monkeypatch, tmp_path, capsys):
    pretend_sanitizer(monkeypatch, tmp_path, "echo '========= ERROR SUMMARY: 3 errors'; exit 9")
    assert verify.run_tool("racecheck") == {"passed": False, "summary": "ERROR SUMMARY: 3 errors"}
    assert "3 errors" in capsys.readouterr().out


def test_a_sanitizer_that_does_not_say_what_it_found(monkeypatch, tmp_path, capsys):
    pretend_sanitizer(monkeypatch, tmp_path, "echo 'Device not supported'")
    result = verify.run_tool("memcheck")
    assert result["passed"] is False
    assert result["why"] == "the tool ended with status 0 and no summary"
    assert result["said"] == "Device not supported"


def test_the_sanitizer_watches_the_exercise(monkeypatch, tmp_path):
    script = f"echo $@ > {tmp_path}/given; pwd > {tmp_path}/place; echo ERROR SUMMARY: 0 errors"
    pretend_sanitizer(monkeypatch, tmp_path, script)
    monkeypatch.chdir(tmp_path)
    assert verify.run_tool("synccheck")["passed"]
    given = (tmp_path / "given").read_text()
    assert given.startswith("--tool synccheck --error-exitcode 9 ")
    assert given.endswith("-m tools.gpu.exercise\n")
    assert (tmp_path / "place").read_text().strip() == str(record.ROOT)


def test_a_suite_that_fails_is_counted(monkeypatch, tmp_path):
    (tmp_path / "test_two.py").write_text("def test_a(): pass\ndef test_b(): assert 0\n")
    monkeypatch.setitem(verify.SUITES, "suite", [str(tmp_path), "-p", "no:cacheprovider"])
    result = verify.run_suite("suite")
    assert result == {"passed": False, "tests": 2, "failed": 1, "skipped": 0}
    monkeypatch.setitem(verify.SUITES, "suite", ["--no-such-option"])
    assert verify.run_suite("suite") == {"passed": False, "why": "pytest ended with status 4"}


@pytest.fixture
def checks(pretend, folder, monkeypatch):
    """Checks of a pretend GPU that pass or not as they are told, and what was asked of them."""
    pretend()
    verify_all = types.SimpleNamespace(asked=[], failing=set())

    def check(name):
        verify_all.asked.append(name)
        return {"passed": name not in verify_all.failing}

    monkeypatch.setattr(verify, "run_suite", check)
    monkeypatch.setattr(verify, "run_tool", check)
    monkeypatch.setattr(verify, "driver_release", lambda: "580.65.06")
    return verify_all


def test_a_verification(checks, folder):
    assert verify.main([]) == 0
    assert checks.asked == list(record.CHECKS)
    found = record.load()
    assert found["device"] == "Pretend H100"
    assert found["driver"] == "580.65.06 (CUDA 13.0)"
    assert {"cupy", "numpy", "cuda_runtime"} < set(found["versions"])
    assert [k["verified"] for k in found["kernels"].values()] == [True, True]
    assert found["statement"] in (folder / "README.md").read_text()
    assert "all checks passed" in found["statement"]


def test_a_verification_in_parts(checks, folder):
    assert verify.main(["memcheck", "cross-checks"]) == 0
    assert record.load()["statement"].endswith("; not run: suite, racecheck, synccheck.")
    assert not any(k["verified"] for k in record.load()["kernels"].values())
    checks.failing = {"suite"}
    assert verify.main(["suite", "racecheck", "synccheck"]) == 1
    assert record.load()["statement"].endswith("; failed: suite.")
    checks.failing = set()
    assert verify.main(["suite"]) == 0
    assert all(k["verified"] for k in record.load()["kernels"].values())
    (folder / "a.cu").write_text("changed")
    assert verify.main(["suite"]) == 0
    assert set(record.load()["results"]) == {"suite"}


def test_a_check_that_is_cut_off_leaves_what_was_found(checks, monkeypatch):
    monkeypatch.setattr(verify, "run_tool", lambda name: sys.exit(3))
    with pytest.raises(SystemExit):
        verify.main([])
    assert set(record.load()["results"]) == {"cross-checks", "suite"}


def test_a_check_that_there_is_not(capsys):
    with pytest.raises(SystemExit):
        verify.main(["memchek"])
    assert "there is no check 'memchek'; there are cross-checks, suite," in capsys.readouterr().err


def test_the_release_of_the_driver(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert verify.driver_release() == "of unknown release (FileNotFoundError from nvidia-smi)"
    program = tmp_path / "nvidia-smi"
    program.write_text("#!/bin/sh\necho 580.65.06\necho 580.65.06\n")
    program.chmod(0o755)
    assert verify.driver_release() == "580.65.06"


class Reporter:
    """What `pytest_terminal_summary` writes to."""

    def __init__(self, skipped):
        self.stats = {"skipped": skipped}
        self.lines = []

    def section(self, title):
        self.lines.append(title)

    def line(self, text):
        self.lines.append(text)


def test_skipped_gpu_tests_are_counted_with_the_reason(monkeypatch):
    monkeypatch.setattr(gpu, "missing", lambda: "the driver is missing")
    reasons = ("needs a GPU: the driver is missing",) * 2 + ("numba is not installed",)
    reports = [
        types.SimpleNamespace(longrepr=("gpu/test_x.py", 1, f"Skipped: {r}"), keywords={"gpu": 1})
        for r in reasons
    ]
    reporter = Reporter(reports)
    gpu.pytest_terminal_summary(reporter)
    assert reporter.lines == ["GPU", "2 GPU tests were skipped: the driver is missing"]
