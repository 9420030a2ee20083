"""The dense layer."""

from __future__ import annotations

import math
from typing import Any

from .. import ops
from ..ops.affine import check_activation
from . import init
from .checks import check_size
from .module import Module
from .parameter import Parameter


class Linear(Module):
    """act(x·Wᵀ + b), the activation as part of the layer if there is one.

    Shapes: x (..., in_features), result (..., out_features); weight (out_features, in_features),
    bias (out_features,).

    Args:
        in_features, out_features: positive numbers of features.
        bias: whether there is a b.
        activation: None, "relu", "sigmoid" or "tanh": computed together with the map, which spares
            a pass over memory and an operation; the weights start as they do without.
        dtype, backend: of the parameters; default float32 on the current default backend.

    Both start uniform on ±1/√in_features, PyTorch's choice.
    Raises ValueError or TypeError for sizes that are no positive integers, ValueError for another
    activation.
    """

    bias: Parameter | None

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: str | None = None,
        dtype: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__()
        self.in_features = check_size("Linear", "in_features", in_features)
        self.out_features = check_size("Linear", "out_features", out_features)
        check_activation("Linear", activation)
        self.activation = activation
        shape = (out_features, in_features)
        self.weight = Parameter(ops.zeros(shape, dtype=dtype, device=backend))
        self.register_parameter(
            "bias",
            Parameter(ops.zeros((out_features,), dtype=dtype, device=backend)) if bias else None,
        )
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial values anew."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.in_features)
            init.uniform_(self.bias, -bound, bound)

    def forward(self, x: Any) -> Any:
        """act(x·Wᵀ + b)."""
        return ops.linear(x, self.weight, self.bias, activation=self.activation)

    def extra_repr(self) -> str:
        """Sizes, and the activation if there is one."""
        text = (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias is not None}"
        )
        return text if self.activation is None else f"{text}, activation={self.activation!r}"
