"""What the tests of captured steps share: a step, its batches, and what a refusal says."""

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn.training import capture


def step_of(model, optimizer):
    """A training step that leaves no gradients behind."""

    def step(x, y):
        loss = tg.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    return step


def batches(n=6, size=16, backend=None):
    """Six features and one of three classes."""
    rng = np.random.default_rng(0)
    for _ in range(n):
        x = tg.Tensor(rng.standard_normal((size, 6)), dtype="float32", backend=backend)
        yield x, tg.Tensor(rng.integers(0, 3, size), backend=backend)


def steps(model, optimizer, captured, backend=None):
    """Losses of steps, captured or not, with an ordinary one and loading in between."""
    plain = step_of(model, optimizer)
    step = capture(plain, model, optimizer) if captured else plain
    losses = [float(step(x, y)) for x, y in batches(4, backend=backend)]
    for x, y in batches(1, size=7, backend=backend):  # the last batch of an epoch
        losses.append(float(plain(x, y)))
    saved = optimizer.state_dict()
    saved["state"][0]["momentum_buffer"] = saved["state"][0]["momentum_buffer"] * 0.5
    optimizer.load_state_dict(saved)
    return losses + [float(step(x, y)) for x, y in batches(4, backend=backend)]


def refused(function, *state, inputs):
    """What the error says when a step is to be recorded."""
    step = capture(function, *state)
    step(*inputs)
    with pytest.raises(RuntimeError) as info:
        step(*inputs)
    return str(info.value)
