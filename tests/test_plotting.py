"""The picture of accuracies that `tinygrad-bn train` writes."""

from __future__ import annotations

import pytest

from tinygrad_bn.plotting import accuracy_figure


@pytest.mark.parametrize("level", [0.1, 0.5, 0.95])
def test_the_legend_hides_no_curve(level: float) -> None:
    pytest.importorskip("matplotlib", reason="the picture is drawn with matplotlib")
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    curves = {"plain": [level, level], "with batch norm": [0.7, 0.8]}
    figure = accuracy_figure([100, 120], curves)
    FigureCanvasAgg(figure).draw()
    (axes,) = figure.axes
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(curves)
    assert not legend.get_window_extent().overlaps(axes.get_tightbbox())
    assert figure.bbox.fully_overlaps(legend.get_window_extent())
