"""How far batch norm in float32 is from float64, as |mean|/σ grows; beside PyTorch if it is there.

    python -m benchmarks.accuracy_sweep --out runs/accuracy --count 3000000

prints a table and writes it as `accuracy.png`. Data are float32, normal, σ = 1; the reference is
the float64 result for the same numbers. Errors: of the output, absolute (its variance is 1); of
the variance, relative; of the gradients by x, gamma and beta, relative to their norm.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn.nn import functional as F

RATIOS = (0.0, 1.0, 10.0, 1e2, 1e3, 1e4, 1e5, 1e6)
LAYOUTS = ("2d", "nchw", "nhwc")
LIMITS = {"output": 2e-6, "variance": 1e-6, "gradient": 1e-5}
EPS = 1e-5

Array = np.ndarray[Any, Any]
Result = tuple[Array, Array, tuple[Array, ...]]


@dataclass(frozen=True)
class Row:
    """Errors of one library at one point of the sweep."""

    library: str
    layout: str
    count: int
    ratio: float
    output: float
    variance: float
    gradient: float


def shape_of(layout: str, count: int, channels: int) -> tuple[tuple[int, ...], int]:
    """The shape of an input with about `count` values per channel, and its channel axis."""
    if layout == "2d":
        return (count, channels), 1
    side = min(32, max(1, int((count / 4) ** 0.5)))
    n = max(1, count // (side * side))
    return ((n, channels, side, side), 1) if layout == "nchw" else ((n, side, side, channels), 3)


def draw(layout: str, count: int, ratio: float, channels: int = 3) -> tuple[Array, Array, int]:
    """Input and cotangent in float32, and the channel axis."""
    shape, axis = shape_of(layout, count, channels)
    generator = np.random.default_rng([count, int(ratio), LAYOUTS.index(layout)])
    x = generator.standard_normal(shape, dtype=np.float32) + np.float32(ratio)
    return x, generator.standard_normal(shape, dtype=np.float32), axis


def parameters(channels: int) -> tuple[Array, Array]:
    """gamma for the gradients, and beta."""
    return np.linspace(0.5, 1.5, channels, dtype=np.float32), np.zeros(channels, np.float32)


def reference(x: Array, g: Array, axis: int) -> Result:
    """(normalised x, variance, gradients) in float64, centred twice."""
    axes = tuple(a for a in range(x.ndim) if a != axis)
    wide = [1] * x.ndim
    wide[axis] = -1
    gamma = parameters(x.shape[axis])[0].astype(np.float64).reshape(wide)
    centred = x.astype(np.float64)
    centred -= centred.mean(axes, keepdims=True)
    centred -= centred.mean(axes, keepdims=True)
    var = np.square(centred).mean(axes)
    rstd = 1 / np.sqrt(var + EPS).reshape(wide)
    xhat = centred * rstd
    g = g.astype(np.float64)
    dbeta, dgamma = g.sum(axes), (g * xhat).sum(axes)
    m = x.size // x.shape[axis]
    dx = gamma * rstd * (g - dbeta.reshape(wide) / m - xhat * (dgamma.reshape(wide) / m))
    return xhat, var, (dx, dgamma, dbeta)


def ours(x: Array, g: Array, axis: int) -> Result:
    """What tinygrad_bn gives; gamma is applied for the gradients only."""
    gamma, beta = [tg.Tensor(a, requires_grad=True) for a in parameters(x.shape[axis])]
    t = tg.Tensor(x, requires_grad=True)
    xhat, statistics = F.batch_norm(t.detach(), axis=axis, eps=EPS)
    y = F.batch_norm(t, gamma, beta, axis=axis, eps=EPS)[0]
    grads = tg.autograd.grad(y, [t, gamma, beta], tg.Tensor(g))
    return xhat.numpy(), statistics.var.numpy(), tuple(d.numpy() for d in grads)


def torch_function() -> Callable[[Array, Array, int], Result] | None:
    """The same by PyTorch, channels-last memory for NHWC; None if it is not installed."""
    try:
        import torch
    except ImportError:
        return None

    def run(x: Array, g: Array, axis: int) -> Result:
        def first(a: Array) -> Any:
            return torch.from_numpy(np.moveaxis(a, axis, 1))

        gamma, beta = [torch.from_numpy(a).requires_grad_() for a in parameters(x.shape[axis])]
        t = first(x).requires_grad_()
        xhat = torch.nn.functional.batch_norm(t.detach(), None, None, training=True, eps=EPS)
        y = torch.nn.functional.batch_norm(t, None, None, gamma, beta, training=True, eps=EPS)
        running = [torch.zeros(x.shape[axis]), torch.ones(x.shape[axis])]
        torch.nn.functional.batch_norm(t.detach(), *running, training=True, momentum=1.0)
        m = x.size // x.shape[axis]
        var = running[1].numpy() * ((m - 1) / m)
        dx, dgamma, dbeta = torch.autograd.grad(y, [t, gamma, beta], first(g))
        back = [np.moveaxis(a.numpy(), 1, axis) for a in (xhat, dx)]
        return back[0], var, (back[1], dgamma.numpy(), dbeta.numpy())

    return run


def errors(found: Result, exact: Result) -> tuple[float, float, float]:
    """(output, variance, gradient) errors, as the module's text defines them."""
    output = float(np.abs(found[0] - exact[0]).max())
    variance = float((np.abs(found[1] - exact[1]) / exact[1]).max())
    gradient = max(
        float(np.linalg.norm((a - b).ravel()) / np.linalg.norm(b.ravel()))
        for a, b in zip(found[2], exact[2], strict=True)
    )
    return output, variance, gradient


def sweep(
    count: int, layouts: tuple[str, ...] = LAYOUTS, ratios: tuple[float, ...] = RATIOS
) -> Iterator[Row]:
    """One row for each layout, ratio and library."""
    peer = torch_function()
    for layout in layouts:
        for ratio in ratios:
            x, g, axis = draw(layout, count, ratio)
            exact = reference(x, g, axis)
            m = x.size // x.shape[axis]
            yield Row("tinygrad_bn", layout, m, ratio, *errors(ours(x, g, axis), exact))
            if peer is not None:
                yield Row("PyTorch", layout, m, ratio, *errors(peer(x, g, axis), exact))


def draw_figure(rows: list[Row], path: Path) -> None:
    """Output error against |mean|/σ, one panel for each layout, both axes logarithmic."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.6), layout="constrained")
    panels = figure.subplots(1, len(LAYOUTS), sharey=True)
    for panel, layout in zip(panels, LAYOUTS, strict=True):
        for library in dict.fromkeys(row.library for row in rows):
            part = [r for r in rows if r.library == library and r.layout == layout]
            panel.loglog(
                [max(r.ratio, 0.1) for r in part], [r.output for r in part], "o-", label=library
            )
        panel.axhline(LIMITS["output"], color="gray", lw=1, ls=":", label="limit, 2e-6")
        panel.set_title(layout.upper())
        panel.set_xlabel("|mean| / σ (0 drawn at 0.1)")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("largest error of the output")
    panels[0].legend()
    figure.suptitle(f"Batch norm in float32, {rows[0].count:,} values per channel")
    figure.savefig(path, dpi=150)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=3_000_000, help="values per channel")
    parser.add_argument(
        "--out", type=Path, default=Path("runs/accuracy"), help="folder for the PNG"
    )
    arguments = parser.parse_args()
    print(
        f"{'layout':6} {'m':>9} {'|mean|/σ':>9}  {'library':12} {'output':>9} "
        f"{'variance':>9} {'gradient':>9}"
    )
    rows = []
    for row in sweep(arguments.count):
        rows.append(row)
        print(
            f"{row.layout:6} {row.count:9d} {row.ratio:9.0e}  {row.library:12} "
            f"{row.output:9.1e} {row.variance:9.1e} {row.gradient:9.1e}",
            flush=True,
        )
    arguments.out.mkdir(parents=True, exist_ok=True)
    draw_figure(rows, arguments.out / "accuracy.png")
    print(f"drawn in {arguments.out / 'accuracy.png'}")


if __name__ == "__main__":
    main()
