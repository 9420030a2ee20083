"""Layer, group, instance and root-mean-square norm as functions: batch norm with other axes.

Re-exported by `nn.functional`.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..autograd import Variable
from ..backend.normalization_plan import normalization_plan
from ..refusal import check_integer, named
from .normalization_inputs import check_input, check_parameters


@named
def layer_norm(
    x: Any,
    normalized_shape: Any,
    weight: Any = None,
    bias: Any = None,
    eps: float = 1e-5,
) -> Any:
    """weight·(x - mean)/√(var + eps) + bias over the last axes, for each sample by itself.

    Shapes: `normalized_shape` is that of the last axes of x, and of weight and bias.
    Raises ValueError where shapes do not fit.   Source: Ba, Kiros and Hinton, 2016.
    """
    return _over_last("layer_norm", x, normalized_shape, weight, bias, eps, True)


@named
def rms_norm(x: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None) -> Any:
    """weight·x/√(mean of x² + eps) over the last axes, for each sample by itself.

    eps None is the spacing of the dtype's numbers at 1, PyTorch's choice.
    Raises ValueError where shapes do not fit.   Source: Zhang and Sennrich, 2019.
    """
    if eps is None:
        eps = float(ops.finfo(check_input("rms_norm", x).dtype).eps)
    return _over_last("rms_norm", x, normalized_shape, weight, None, eps, False)


def _over_last(
    name: str, x: Any, shape: Any, weight: Any, bias: Any, eps: float, center: bool
) -> Any:
    x = check_input(name, x)
    shape = (shape,) if isinstance(shape, int) else tuple(shape)
    lead = x.ndim - len(shape)
    if not shape or lead < 0 or x.shape[lead:] != shape:
        raise ValueError(
            f"{name}: the last axes of x must be normalized_shape {shape}, got shape {x.shape}"
        )
    plan = normalization_plan(
        x.ndim,
        tuple(range(lead)),
        eps,
        param_axis=tuple(range(lead, x.ndim)),
        center=center,
        name=name,
    )
    check_parameters(name, x, plan, weight=weight, bias=bias)
    return ops.batch_norm(x, weight, bias, plan=plan)[0]


@named
def group_norm(
    x: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """weight·(x - mean)/√(var + eps) + bias over groups of channels, for each sample by itself.

    Shapes: x (N, C, ...), weight and bias (C,); num_groups divides C.
    Raises ValueError where they do not fit.   Source: Wu and He, 2018.
    """
    x = check_input("group_norm", x)
    check_integer("group_norm", "num_groups", num_groups)
    if x.ndim < 2 or num_groups < 1 or x.shape[1] % num_groups:
        raise ValueError(
            f"group_norm: num_groups must divide the channels of x (N, C, ...), "
            f"got {num_groups} and shape {x.shape}"
        )
    n, channels, *rest = x.shape
    width = channels // num_groups
    plan = normalization_plan(x.ndim + 1, (0, 1), eps, param_axis=(1, 2), name="group_norm")
    grouped = [num_groups, width]
    parameters = []
    for key, a in (("weight", weight), ("bias", bias)):
        if a is not None and not isinstance(a, Variable):
            a = ops.asarray(a, device=x.device)
        if a is not None and tuple(a.shape) != (channels,):
            raise ValueError(f"group_norm: {key} must be ({channels},), got {tuple(a.shape)}")
        parameters.append(None if a is None else ops.reshape(a, tuple(grouped)))
    y = ops.batch_norm(ops.reshape(x, (n, *grouped, *rest)), *parameters, plan=plan)[0]
    return ops.reshape(y, x.shape)


@named
def instance_norm(x: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """weight·(x - mean)/√(var + eps) + bias over each channel of each sample by itself.

    Shapes: x (N, C, ...), weight and bias (C,).
    Raises ValueError where they do not fit.   Source: Ulyanov, Vedaldi and Lempitsky, 2016.
    """
    x = check_input("instance_norm", x)
    if x.ndim < 3:
        raise ValueError(f"instance_norm: x must be (N, C, ...), got shape {x.shape}")
    plan = normalization_plan(x.ndim, (0, 1), eps, param_axis=(1,), name="instance_norm")
    check_parameters("instance_norm", x, plan, weight=weight, bias=bias)
    return ops.batch_norm(x, weight, bias, plan=plan)[0]
