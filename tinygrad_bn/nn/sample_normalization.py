"""Layers that normalise each sample by itself: layer, group, instance and root-mean-square norm.

They run on the kernels of batch norm, with other axes; nothing is remembered between batches.
"""

from __future__ import annotations

from typing import Any

from .. import ops
from ..autograd import is_recomputing
from . import normalization_functional as F
from . import sample_normalization_functional as S
from .checks import check_size
from .module import Module
from .normalization_checks import REFUSED, check_decay, refuse_momentum
from .normalization_inputs import extent
from .parameter import Parameter
from .running_statistics import RunningStatistics


def _shape(owner: str, shape: Any) -> tuple[int, ...]:
    lengths = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not lengths:
        raise ValueError(f"{owner}: normalized_shape must have at least one axis, got {shape!r}")
    return tuple([check_size(owner, "normalized_shape", n) for n in lengths])


class _Affine(Module):
    """Registers weight (ones) and bias (zeros), each or None."""

    weight: Parameter | None
    bias: Parameter | None

    def _make(self, shape: tuple[int, ...], scale: bool, shift: bool, dtype: Any, at: Any) -> None:
        options = {"dtype": dtype, "device": at}
        self.register_parameter("weight", Parameter(ops.ones(shape, **options)) if scale else None)
        self.register_parameter("bias", Parameter(ops.zeros(shape, **options)) if shift else None)


class LayerNorm(_Affine):
    """weight·(x - mean)/√(var + eps) + bias over the last axes of each sample.

    Shapes: x (..., *normalized_shape); weight and bias (normalized_shape).
    Raises ValueError where they do not fit.   Source: Ba, Kiros and Hinton, 2016.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        *,
        dtype: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _shape("LayerNorm", normalized_shape), eps
        shift = elementwise_affine and bias
        self._make(self.normalized_shape, elementwise_affine, shift, dtype, backend)

    def forward(self, x: Any) -> Any:
        """x normalised."""
        return S.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Shape and constants."""
        return f"{self.normalized_shape}, eps={self.eps}, affine={self.weight is not None}"


class RMSNorm(_Affine):
    """weight·x/√(mean of x² + eps) over the last axes of each sample.

    Shapes: x (..., *normalized_shape); weight (normalized_shape). eps None is the spacing of the
    dtype's numbers at 1.
    Raises ValueError where they do not fit.   Source: Zhang and Sennrich, 2019.
    """

    def __init__(
        self,
        normalized_shape: int | tuple[int, ...],
        eps: float | None = None,
        elementwise_affine: bool = True,
        *,
        dtype: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape, self.eps = _shape("RMSNorm", normalized_shape), eps
        self._make(self.normalized_shape, elementwise_affine, False, dtype, backend)

    def forward(self, x: Any) -> Any:
        """x normalised."""
        return S.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """Shape and constants."""
        return f"{self.normalized_shape}, eps={self.eps}, affine={self.weight is not None}"


class GroupNorm(_Affine):
    """weight·(x - mean)/√(var + eps) + bias over groups of channels of each sample.

    Shapes: x (N, num_channels, ...); weight and bias (num_channels,).
    Raises ValueError if num_groups does not divide num_channels.   Source: Wu and He, 2018.
    """

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        *,
        dtype: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__()
        self.num_groups = check_size("GroupNorm", "num_groups", num_groups)
        self.num_channels = check_size("GroupNorm", "num_channels", num_channels)
        if num_channels % num_groups:
            raise ValueError(
                f"GroupNorm: num_groups must divide num_channels, got {num_groups} and "
                f"{num_channels}"
            )
        self.eps = eps
        self._make((num_channels,), affine, affine, dtype, backend)

    def forward(self, x: Any) -> Any:
        """x normalised."""
        return S.group_norm(x, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Sizes and constants."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.weight is not None}"
        )


class InstanceNorm(RunningStatistics):
    """weight·(x - mean)/√(var + eps) + bias over each channel of each sample.

    Shapes: x (N, num_features, ...) or without N; weight and bias (num_features,).

    Args:
        num_features: channels.
        eps: added to the variance.
        affine: whether there are weight and bias; PyTorch's default is False.
        track_running_stats: keep an estimate (averages over the samples), and normalise by it in
            evaluation.
        decay: as for `BatchNorm`.

    Raises ValueError for an x that does not fit, or one value per channel and sample.
    Source: Ulyanov, Vedaldi and Lempitsky, 2016.
    """

    rank: int
    weight: Parameter | None
    bias: Parameter | None

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        *,
        affine: bool = False,
        track_running_stats: bool = False,
        decay: float | None = 0.9,
        momentum: Any = REFUSED,
        dtype: Any = None,
        backend: Any = None,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        refuse_momentum(owner, momentum)
        self.num_features = check_size(owner, "num_features", num_features)
        self.eps, self.decay = eps, check_decay(owner, decay)
        shape, options = (num_features,), {"dtype": dtype, "device": backend}
        self.register_parameter("weight", Parameter(ops.ones(shape, **options)) if affine else None)
        self.register_parameter("bias", Parameter(ops.zeros(shape, **options)) if affine else None)
        self._make_buffers(shape if track_running_stats else None, options)

    def forward(self, x: Any) -> Any:
        """x normalised."""
        shape = tuple(x.shape)
        if (
            len(shape) not in (self.rank, self.rank - 1)
            or shape[1 - self.rank] != self.num_features
        ):
            raise ValueError(
                f"{type(self).__name__}: x must have {self.rank} axes (or one less, without the "
                f"batch) and {self.num_features} channels, got shape {shape}"
            )
        if len(shape) < self.rank:
            return ops.reshape(self._batched(ops.reshape(x, (1, *shape))), shape)
        return self._batched(x)

    def _batched(self, x: Any) -> Any:
        if self.running_mean is not None and not self.training:
            return F.normalize_by(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        if extent(x.shape, (0, 1)) == 1:
            raise ValueError(
                f"{self!r}: one value per channel and sample has no variance, got x of shape "
                f"{tuple(x.shape)}"
            )
        if self.running_mean is not None and self.training and not is_recomputing():
            found = F.batch_statistics(x, axis=(0, 1))
            mean, var = ops.mean(found.mean, axis=0), ops.mean(found.var, axis=0)
            self._observe(*F.BatchStatistics(mean, var, found.count).raw())
        return S.instance_norm(x, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """Size and constants."""
        return (
            f"{self.num_features}, eps={self.eps}, affine={self.weight is not None}, "
            f"track_running_stats={self.running_mean is not None}"
        )


class InstanceNorm1d(InstanceNorm):
    """`InstanceNorm` over x (N, C, L), or without N; see there."""

    rank = 3


class InstanceNorm2d(InstanceNorm):
    """`InstanceNorm` over x (N, C, H, W), or without N; see there."""

    rank = 4


class InstanceNorm3d(InstanceNorm):
    """`InstanceNorm` over x (N, C, D, H, W), or without N; see there."""

    rank = 5
