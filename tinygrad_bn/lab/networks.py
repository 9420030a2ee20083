"""The networks that the experiments compare: rows of linear layers, norms and activations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from .. import nn

Norm = Callable[[int], nn.Module]

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
}


def perceptron(
    features: int,
    hidden: Sequence[int],
    outputs: int,
    *,
    activation: str = "sigmoid",
    norm: Norm | None = None,
    after: bool = False,
    std: float | None = 0.1,
    dropout: float = 0.0,
) -> nn.Sequential:
    """A multi-layer perceptron, its weights drawn from the current random stream.

    Networks of one shape drawn after one seed have the same weights, whatever their norms: norms
    draw nothing, and a bias is always there, idle where a norm takes it away again.

    Args:
        norm: makes the normalization layer of a width; None for none.
        after: put it after the activation, not before.
        std: weights are N(0, std²); None for He's N(0, 2/fan_in) (its source: He et al., 2015).
        dropout: the probability of zero after each hidden layer.
    """
    layers: list[nn.Module] = []
    for width in hidden:
        layers.append(_linear(features, width, std))
        if norm is not None and not after:
            layers.append(norm(width))
        layers.append(ACTIVATIONS[activation]())
        if norm is not None and after:
            layers.append(norm(width))
        if dropout:
            layers.append(nn.Dropout(dropout))
        features = width
    return nn.Sequential(*layers, _linear(features, outputs, std))


def _linear(features: int, width: int, std: float | None) -> nn.Linear:
    layer = nn.Linear(features, width)
    if std is None:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    else:
        nn.init.normal_(layer.weight, 0.0, std)
    assert layer.bias is not None
    nn.init.zeros_(layer.bias)
    return layer
