"""float32 batch norm against float64: the figures that are quoted, at sizes a test can afford."""

import numpy as np
import pytest

import tinygrad_bn as tg
from benchmarks import accuracy_sweep
from tinygrad_bn import nn
from tinygrad_bn.nn import functional as F


@pytest.mark.parametrize("layout", accuracy_sweep.LAYOUTS)
@pytest.mark.parametrize("ratio", accuracy_sweep.RATIOS)
@pytest.mark.parametrize("count", [60, 256, 3_000, 120_000])
@pytest.mark.parametrize("library", ["numpy", "numba"])
def test_errors_stay_below_the_limits(layout, ratio, count, library):
    pytest.importorskip(library, reason="the backend's library is not installed")
    x, g, axis = accuracy_sweep.draw(layout, count, ratio)
    with tg.use_backend(library):
        found = accuracy_sweep.ours(x, g, axis)
    output, variance, gradient = accuracy_sweep.errors(found, accuracy_sweep.reference(x, g, axis))
    assert output <= 2e-6
    assert variance <= 1e-6
    assert gradient <= 1e-5


@pytest.mark.parametrize("ratio", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("layout", accuracy_sweep.LAYOUTS)
@pytest.mark.parametrize("count", [5_000, 60_001])
def test_the_reference_on_the_strict_backend_is_as_accurate(layout, ratio, count):
    x, g, axis = accuracy_sweep.draw(layout, count, ratio)
    with tg.use_backend("strict"):
        found = accuracy_sweep.ours(x, g, axis)
    output, variance, gradient = accuracy_sweep.errors(found, accuracy_sweep.reference(x, g, axis))
    assert output <= 2e-6
    assert variance <= 1e-6
    assert gradient <= 1e-5


def test_one_wild_value_first_in_the_batch_costs_little():
    """The small path shifts by the first sample: its worst case."""
    x = np.random.default_rng(0).standard_normal((256, 2)).astype(np.float32) + 1e3
    x[0] += 1e5
    exact = accuracy_sweep.reference(x, x, 1)[0]
    assert np.abs(F.batch_norm(tg.Tensor(x))[0].numpy() - exact).max() < 5e-6


@pytest.mark.parametrize("weighted", [False, True])
def test_a_weighted_batch_is_as_accurate(weighted):
    x, g, axis = accuracy_sweep.draw("nchw", 20_000, 1e6)
    weights = np.ones(x.shape[:1] + x.shape[2:], dtype=np.float32) if weighted else None
    y, found = F.batch_norm(tg.Tensor(x), weights=weights)
    exact = accuracy_sweep.reference(x, g, axis)
    assert np.abs(y.numpy() - exact[0]).max() <= 2e-6
    assert (np.abs(found.var.numpy() - exact[1]) / exact[1]).max() <= 1e-6


def test_merged_batches_are_as_accurate():
    """Ghost batches, staged batches and population moments, where a float32 mean is too coarse."""
    x = np.random.default_rng(1).standard_normal((96, 4), dtype=np.float32) + np.float32(1e6)
    exact = x.astype(np.float64).var(0)
    ghosts = F.batch_norm(tg.Tensor(x), ghost_size=40)[1].var.numpy()
    np.testing.assert_allclose(ghosts, exact, rtol=1e-6)
    staged, moments = nn.BatchNorm(4, decay=0.0), nn.BatchNorm(4)
    staged.stage_statistics()
    parts = [tg.Tensor(x[i : i + 32]) for i in (0, 32, 64)]
    for part in parts:
        staged(part)
    staged.commit_statistics()
    nn.estimate_population(moments, parts, method="moments")
    for layer in (staged, moments):
        np.testing.assert_allclose(layer.running_var.numpy(), exact * 96 / 95, rtol=1e-6)


def test_the_sweep_prints_a_row_for_each_point_and_draws(tmp_path):
    rows = [
        accuracy_sweep.Row("tinygrad_bn", layout, 500, ratio, *errors)
        for layout in accuracy_sweep.LAYOUTS
        for ratio, errors in [(0.0, (1e-7, 1e-8, 1e-7)), (1e6, (2e-7, 1e-8, 1e-7))]
    ]
    pytest.importorskip("matplotlib", reason="the picture is drawn with matplotlib")
    accuracy_sweep.draw_figure(rows, tmp_path / "a.png")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
    swept = list(accuracy_sweep.sweep(500, ("2d",), (0.0,)))
    assert swept[0].library == "tinygrad_bn"
    assert swept[0].output <= 2e-6
