"""The bar chart of a benchmark run."""

from __future__ import annotations

from pathlib import Path

from .harness import Result


def draw(results: list[Result], path: Path) -> None:
    """One bar for each case and peer: the peer's time over ours, with the target marked."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    rows = [(f"{r.workload}: {r.case}, {p}", r, p) for r in results for p in r.ratios][::-1]
    figure, axes = pyplot.subplots(figsize=(9, 1 + 0.24 * len(rows)), layout="constrained")
    for y, (_, r, peer) in enumerate(rows):
        color = {None: "tab:gray", True: "tab:blue", False: "tab:red"}[r.reached(peer)]
        axes.barh(y, r.ratios[peer], color=color)
        if peer in r.targets:
            axes.plot([r.targets[peer]] * 2, [y - 0.45, y + 0.45], color="black")
    axes.set_yticks(range(len(rows)), [name for name, *_ in rows])
    axes.axvline(1, color="tab:gray", linewidth=0.8)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlabel("their time / our time\n(black: target; red: missed)")
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
