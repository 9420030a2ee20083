"""Every example runs, and does what it says."""

import importlib.util
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name):
    """What `main()` of an example returns."""
    (path,) = EXAMPLES.glob(f"{name}_*.py")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main()


def test_all_examples_are_tested():
    assert sorted(p.name[:2] for p in EXAMPLES.glob("*.py")) == ["01", "02", "03", "04", "05"]


def test_digits(capsys):
    assert run("01") > 0.9
    assert "digits it has never seen" in capsys.readouterr().out


def test_your_own_op(capsys):
    run("02")
    out = capsys.readouterr().out
    assert "the rule is right, to first and second order" in out
    assert "the wrong rule is caught" in out


def test_switching_backends(capsys):
    run("03")
    out = capsys.readouterr().out
    assert "by environment: numpy" in out
    assert "per tensor:     numpy [2.0, 4.0]" in out
    assert "numpy can run here" in out


def test_higher_derivatives():
    minimum, left = run("04")
    assert minimum == pytest.approx([1, 1], abs=1e-8)
    assert left < 0.01


def test_house_prices():
    error, naive = run("05")
    assert error < 0.6 * naive
