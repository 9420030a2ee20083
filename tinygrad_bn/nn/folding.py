"""Batch norm folded into the Linear before it: one layer less for inference."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

from .. import ops
from ..autograd import no_grad
from ..autograd.runtime import make
from ..dtypes import float64
from .activation import Identity, LeakyReLU, ReLU
from .containers import Sequential
from .linear import Linear
from .module import Module
from .normalization import BatchNorm
from .parameter import Parameter


def fold_linear(linear: Linear, layer: BatchNorm) -> Linear:
    """A Linear that does what `linear` and then `layer` do in evaluation.

    With s = weight/√(running_var + eps): W′ = diag(s)·W, b′ = s·(b - running_mean) + bias, in
    float64, then in the dtype of W. The activation of `layer` is not part of it.

    Raises ValueError where that is not what the two layers do.
    """
    reason = _unfoldable(linear, layer)
    if reason:
        raise ValueError(f"fold_linear: {layer!r} cannot be folded into {linear!r}: {reason}")
    assert layer.running_mean is not None
    assert layer.running_var is not None
    mean, var, weight = [
        ops.astype(t.detach(), float64)
        for t in (layer.running_mean, layer.running_var, linear.weight)
    ]
    scale = 1.0 / ops.sqrt(var + layer.eps)
    if layer.weight is not None:
        scale = scale * ops.astype(layer.weight.detach(), float64)
    shift = -mean if linear.bias is None else ops.astype(linear.bias.detach(), float64) - mean
    shift = shift * scale
    if layer.bias is not None:
        shift = shift + ops.astype(layer.bias.detach(), float64)
    folded = Linear(
        linear.in_features,
        linear.out_features,
        dtype=linear.weight.dtype,
        backend=linear.weight.backend,
    )
    for parameter, value in (
        (folded.weight, weight * ops.reshape(scale, (-1, 1))),
        (folded.bias, shift),
    ):
        assert isinstance(parameter, Parameter)
        parameter.assign(ops.astype(value, parameter.dtype))
    return folded.eval()


def fold_batch_norm(model: Module, sample: Any, *, tolerance: float | None = None) -> Module:
    """A copy of `model` for evaluation with every batch norm folded into the Linear before it.

    In the copy an `Identity`, or the layer's activation, stands where the batch norm was, so
    names and positions stay. Both models are then run on `sample` and compared.

    Args:
        model: its batch norms follow a Linear inside a `Sequential`.
        sample: an input of the model (a tuple: several arguments).
        tolerance: largest difference of the outputs, relative to their largest magnitude;
            default 1e-4 for float32 and 1e-10 for float64.

    Raises:
        ValueError: a batch norm that cannot be folded exactly, each with the reason, or outputs
            that differ by more than the tolerance. `model` is never changed.
    """
    arguments = sample if isinstance(sample, tuple) else (sample,)
    folded = copy.deepcopy(model).eval()
    pairs, problems = _pairs(folded)
    problems += [f"{name}: {r}" for name, _, a, b in pairs if (r := _unfoldable(a, b))]
    _refuse(problems)
    ranks, expected = _run(folded, [layer for *_, layer in pairs], arguments)
    _refuse([f"{n}: {r}" for n, *_, b in pairs if (r := _wrong_axis(b, ranks.get(id(b))))])
    for _, (parent, key, place), linear, layer in pairs:
        parent.add_module(key, fold_linear(linear, layer))
        parent.add_module(place, _instead(layer))
    with no_grad():
        _compare(expected, folded(*arguments), tolerance)
    return folded


def _refuse(problems: list[str]) -> None:
    if problems:
        raise ValueError("fold_batch_norm: cannot fold exactly: " + "; ".join(problems))


def _instead(layer: BatchNorm) -> Module:
    if layer.activation is None:
        return Identity()
    return ReLU() if layer.activation == "relu" else LeakyReLU(layer.slope)


Pair = tuple[str, tuple[Sequential, str, str], Linear, BatchNorm]


def _pairs(model: Module) -> tuple[list[Pair], list[str]]:
    """Every batch norm behind a Linear in a Sequential, and why the others cannot be folded."""
    pairs: list[Pair] = []
    seen: dict[int, int] = {}
    placed = set()
    for path, module in model.named_modules():
        children = list(module.named_children())
        for _, child in children:
            seen[id(child)] = seen.get(id(child), 0) + 1
        if not isinstance(module, Sequential):
            continue
        for (key, first), (place, second) in pairwise(children):
            if isinstance(first, Linear) and isinstance(second, BatchNorm):
                name = f"{path}.{place}" if path else place
                pairs.append((name, (module, key, place), first, second))
                placed.add(id(second))
    problems = [
        f"{path or '(model)'}: it does not follow a Linear inside a Sequential"
        for path, module in model.named_modules()
        if isinstance(module, BatchNorm) and id(module) not in placed
    ]
    for name, _, linear, layer in pairs:
        if seen[id(linear)] > 1 or seen[id(layer)] > 1:
            problems.append(f"{name}: it or its Linear is used in several places")
    return pairs, problems


def _unfoldable(linear: Linear, layer: BatchNorm) -> str:
    """Why the two are not one affine map in evaluation; empty if they are."""
    if linear.activation is not None:
        return f"its Linear has an activation ({linear.activation!r}), which stands between them"
    if layer.running_mean is None or layer.running_var is None:
        return "it has no population estimate (track_running_stats=False)"
    if layer.normalize_with == "batch" and not layer.frozen:
        return "it normalises by the batch in evaluation (normalize_with='batch')"
    if layer.num_features not in (linear.out_features, (linear.out_features,)):
        return f"it has {layer.num_features} features, the Linear {linear.out_features}"
    if any(m._forward_hooks or m._forward_pre_hooks for m in (linear, layer)):
        return "hooks are registered on it or its Linear, which would see other values"
    shifted = layer.running_var + layer.eps
    finite = ops.isfinite(shifted + layer.running_mean)
    if not bool(ops.all(ops.logical_and(finite, shifted > 0))):
        return "its population estimate is not finite, or var + eps is not positive"
    return ""


def _wrong_axis(layer: BatchNorm, rank: int | None) -> str:
    if rank is None:
        return "the sample does not reach it"
    axis = layer.axis if isinstance(layer.axis, int) else layer.axis[0]
    if axis % rank != rank - 1:
        return f"its features are axis {layer.axis} of {rank}, those of a Linear are the last"
    return ""


def _run(
    model: Module, layers: list[BatchNorm], arguments: tuple[Any, ...]
) -> tuple[dict[int, int], Any]:
    """How many axes each layer's input has, and the output."""
    ranks: dict[int, int] = {}

    def note(module: Module, args: tuple[Any, ...]) -> None:
        ranks[id(module)] = args[0].ndim

    handles = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        with no_grad():
            return ranks, model(*arguments)
    finally:
        for handle in handles:
            handle.remove()


def _compare(expected: Any, found: Any, tolerance: float | None) -> None:
    if tolerance is None:
        tolerance = 1e-10 if found.dtype == float64 else 1e-4
    apart, scale = [
        float(ops.max(ops.abs(ops.astype(a, float64)))) if a.size else 0.0
        for a in (make(found._backend, found._data - expected._data, None), expected)
    ]
    if not apart <= tolerance * max(scale, 1e-30):
        raise ValueError(
            f"fold_batch_norm: outputs differ by {apart:.3g} on the sample, magnitude {scale:.3g}, "
            f"tolerance {tolerance:.3g} of that; the population variance of some channel is "
            "probably tiny, or the model is not the same function twice"
        )
