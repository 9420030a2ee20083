"""Instruments for looking into a network while it learns; they work on any `Module`.

    with Recorder(model, ["4"], gradients=True) as seen:
        loss(model(x), y).backward()
    percentiles(seen["4"].input, (15, 50, 85))      # how the inputs of a layer are distributed
    channel_moments(seen["4"].output)               # mean and deviation of each channel
    along_gradient(model, lambda: loss(model(x), y), [0.05, 0.1, 0.2]).predictiveness

Nothing here changes a model for good: hooks are taken out, parameters and buffers are put back to
the bit, and `.grad` is left alone. What is recorded is NumPy, on the host.
"""

from .averages import MovingAverages
from .distributions import PercentileTrace, channel_moments, percentiles
from .landscape import Landscape, along_gradient, gradient, kept
from .noise import ActivationNoise
from .recording import Recorder, Recording, layers

__all__ = [
    "ActivationNoise",
    "Landscape",
    "MovingAverages",
    "PercentileTrace",
    "Recorder",
    "Recording",
    "along_gradient",
    "channel_moments",
    "gradient",
    "kept",
    "layers",
    "percentiles",
]
