"""Neural networks: modules, layers, activations, losses, initial values."""

from . import functional, init, utils
from .activation import (
    ELU,
    GELU,
    SELU,
    Identity,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from .containers import ModuleDict, ModuleList, Sequential
from .conversion import (
    batch_norm_from_keras,
    batch_norm_from_pytorch,
    batch_norm_to_keras,
    decay_from_keras,
    decay_from_pytorch,
    decay_to_pytorch,
)
from .dropout import Dropout
from .folding import (
    fold_batch_norm,
    fold_linear,
)
from .linear import Linear
from .loss import (
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    HuberLoss,
    KLDivLoss,
    L1Loss,
    MSELoss,
    NLLLoss,
    SmoothL1Loss,
)
from .module import Module
from .normalization import BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d
from .parameter import Parameter
from .population import (
    PopulationComparison,
    PopulationStatistics,
    compare_population,
    estimate_population,
)
from .renormalization import BatchRenorm, renorm_schedule
from .running_statistics import commit_statistics, stage_statistics
from .sample_normalization import (
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    RMSNorm,
)
from .shape import Flatten, Unflatten

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "BatchRenorm",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "GroupNorm",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "L1Loss",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "PopulationComparison",
    "PopulationStatistics",
    "RMSNorm",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "Softmax",
    "Softplus",
    "Tanh",
    "Unflatten",
    "batch_norm_from_keras",
    "batch_norm_from_pytorch",
    "batch_norm_to_keras",
    "commit_statistics",
    "compare_population",
    "decay_from_keras",
    "decay_from_pytorch",
    "decay_to_pytorch",
    "estimate_population",
    "fold_batch_norm",
    "fold_linear",
    "functional",
    "init",
    "renorm_schedule",
    "stage_statistics",
    "utils",
]
