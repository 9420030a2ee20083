"""Derivatives of derivatives: a Hessian for Newton's method, and a gradient penalty.

Run it:  python examples/04_higher_derivatives.py
"""

import numpy as np

import tinygrad_bn as tg
from tinygrad_bn import nn, optim


def rosenbrock(p: tg.Tensor) -> tg.Tensor:
    """(1 - x)² + 100·(y - x²)²: a curved valley with its minimum at (1, 1)."""
    x, y = p[0], p[1]
    return (1 - x) ** 2 + 100 * (y - x**2) ** 2


def newton(steps: int = 8) -> tg.Tensor:
    """p ← p - H⁻¹·g: with exact second derivatives a handful of steps is enough."""
    p = tg.asarray(np.array([-1.2, 1.0]))
    for step in range(steps):
        g = tg.func.grad(rosenbrock)(p)
        h = tg.func.hessian(rosenbrock)(p)
        p = p - tg.linalg.solve(h, g)
        print(f"step {step + 1}: p = ({p[0].item():.6f}, {p[1].item():.6f})")
    return p


def slopes(model: nn.Module, x: tg.Tensor) -> tg.Tensor:
    """The length of the model's gradient with respect to each input, differentiable itself."""
    (gradient,) = tg.autograd.grad(tg.sum(model(x)), [x], create_graph=True)
    return tg.sqrt(tg.sum(gradient**2, axis=1))


def penalised(steps: int = 150) -> float:
    """Train a network to have slope 1 everywhere: the loss contains its derivative."""
    tg.random.manual_seed(0)
    model = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    points = np.random.default_rng(0).standard_normal((128, 2), np.float32)
    x = tg.Tensor(points, requires_grad=True)
    for _ in range(steps):
        penalty = tg.mean((slopes(model, x) - 1) ** 2)
        optimizer.zero_grad()
        penalty.backward()
        optimizer.step()
    return penalty.item()


def main() -> tuple[list[float], float]:
    """Both; returns the minimum that was found, and what is left of the penalty."""
    minimum = newton()
    left = penalised()
    print(f"mean squared distance of the slope from 1: {left:.5f}")
    return minimum.tolist(), left


if __name__ == "__main__":
    main()
