"""One training step of a dense network: forward, loss, backward, SGD with momentum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from ..harness import Case
from ..peers import OURS, Library, with_each

NAME = "training step"
DESCRIPTION = "dense layers, batch norm, sigmoid, cross-entropy, SGD with momentum, float32"
SELF_TIMED = False
CLASSES = 10
RATE, MOMENTUM, EPS, DECAY = 0.1, 0.9, 1e-5, 0.9


@dataclass(frozen=True)
class Network:
    """The widths of the layers before the last, and the size of the batch."""

    widths: tuple[int, ...]
    batch: int

    def data(self) -> tuple[Any, Any]:
        """Inputs and classes."""
        rng = np.random.default_rng(0)
        x = rng.random((self.batch, self.widths[0]), np.float32)
        return x, rng.integers(0, CLASSES, self.batch)


DIGITS = Network((784, 100, 100, 100), 60)
WIDE = Network((784, 512, 512, 512), 256)


def _eager(library: Library, network: Network) -> Callable[[], None]:
    step, inputs, _ = _step(library, network)
    return partial(step, *inputs)


def _captured(library: Library, network: Network) -> Callable[[], None]:
    """Our step, recorded once and launched from then on: what `jax.jit` is to be compared with."""
    from tinygrad_bn.training import capture

    step, inputs, state = _step(library, network)
    launch = capture(step, *state)
    for _ in range(2):  # the one that runs as ever, and the one that is recorded
        launch(*inputs)
    return partial(launch, *inputs)


def _step(library: Library, network: Network) -> tuple[Callable[..., None], Any, tuple[Any, Any]]:
    """The step, its inputs, and what it changes."""
    inputs = [library.tensor(a) for a in network.data()]
    layers: list[Any] = []
    for n, m in pairwise(network.widths):
        layers += [
            library.nn.Linear(n, m),
            library.nn.BatchNorm1d(m, eps=EPS),
            library.nn.Sigmoid(),
        ]
    model = library.nn.Sequential(*layers, library.nn.Linear(network.widths[-1], CLASSES))
    optimizer = library.optim.SGD(model.parameters(), lr=RATE, momentum=MOMENTUM)

    def step(x: Any, y: Any) -> None:
        library.cross_entropy(model(x), y).backward()
        optimizer.step()
        optimizer.zero_grad()

    return step, inputs, (model, optimizer)


def _jax(network: Network) -> Callable[[], None]:
    """The same step as one function, compiled by `jax.jit`, that updates its state in place."""
    import jax
    from jax import numpy as jnp

    x, y = (jnp.asarray(a) for a in network.data())

    def forward(params: Any, running: Any, x: Any) -> Any:
        updated = []
        for (w, b, gamma, beta), (mean, var) in zip(params[:-1], running, strict=True):
            z = x @ w.T + b
            m, v = z.mean(0), z.var(0)
            unbiased = v * (network.batch / (network.batch - 1))
            updated.append((DECAY * mean + (1 - DECAY) * m, DECAY * var + (1 - DECAY) * unbiased))
            x = jax.nn.sigmoid((z - m) * jax.lax.rsqrt(v + EPS) * gamma + beta)
        w, b = params[-1]
        return x @ w.T + b, updated

    def loss(params: Any, running: Any, x: Any, y: Any) -> Any:
        logits, updated = forward(params, running, x)
        logp = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(logp, y[:, None], 1).mean(), updated

    def update(params: Any, buffers: Any, running: Any, x: Any, y: Any) -> Any:
        grads, running = jax.grad(loss, has_aux=True)(params, running, x, y)
        buffers = jax.tree.map(lambda b, g: MOMENTUM * b + g, buffers, grads)
        params = jax.tree.map(lambda p, b: p - RATE * b, params, buffers)
        return params, buffers, running

    step = jax.jit(update, donate_argnums=(0, 1, 2))
    state = _jax_state(network)

    def run() -> None:
        nonlocal state
        state = jax.block_until_ready(step(*state, x, y))

    return run


def _jax_state(network: Network) -> Any:
    """(parameters, momentum buffers, running statistics)."""
    import jax
    from jax import numpy as jnp

    rng = np.random.default_rng(1)

    def dense(n: int, m: int) -> tuple[Any, Any]:
        return jnp.asarray(rng.uniform(-1, 1, (m, n)).astype("f4") / n**0.5), jnp.zeros(m)

    params: list[Any] = []
    for n, m in pairwise(network.widths):
        params.append((*dense(n, m), jnp.ones(m), jnp.zeros(m)))
    params.append(dense(network.widths[-1], CLASSES))
    running = [(jnp.zeros(m), jnp.ones(m)) for m in network.widths[1:]]
    return params, jax.tree.map(jnp.zeros_like, params), running


def cases() -> dict[str, Case]:
    """The digits network, and a wider one whose products are most of its work."""
    return {
        "784-100-100-100-10, batch 60": Case(
            with_each(partial(_eager, network=DIGITS)) | {"jax.jit": partial(_jax, DIGITS)},
            {"torch": 2.0, "jax.jit": 1.0},
        ),
        "784-100-100-100-10, batch 60, captured": Case(
            with_each(partial(_captured, network=DIGITS), OURS)
            | {"jax.jit": partial(_jax, DIGITS)},
            {"jax.jit": 1.0},
        ),
        "784-512-512-512-10, batch 256": Case(
            with_each(partial(_eager, network=WIDE)) | {"jax.jit": partial(_jax, WIDE)},
            {"torch": 1.1},
        ),
    }
