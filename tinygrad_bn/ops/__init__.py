"""Every operation, its derivative beside it, one file per family.

This module is also `B` in the second reading of a rule: what a rule calls on a backend, it finds
here under the same name.
"""

from . import (
    activation,
    affine,
    classification,
    constants,
    creation,
    cumulative,
    datatype,
    elementwise,
    encoding,
    entropy,
    indexing,
    linalg,
    logical,
    loss,
    manipulation,
    reduction,
    repetition,
    rounding,
    searching,
    sets,
    sorting,
    transcendental,
)
from .activation import *
from .affine import *
from .classification import *
from .classification import class_slope
from .constants import *
from .creation import *
from .cumulative import *
from .datatype import *
from .decomposition import eigh, svd
from .einsum import *
from .elementwise import *
from .elementwise import masked
from .encoding import *
from .entropy import *
from .entropy import bounded_log
from .indexing import *
from .indexing import (
    check_assignable,
    getitem,
    index_put,
    raw_key,
    scatter_add,
    scatter_along_axis,
)
from .inverse import cofactor, det, inv, solve
from .linalg import *
from .linalg import cross, diagonal, diagonal_embed
from .logical import *
from .loss import *
from .manipulation import *
from .manipulation import cut, fit
from .namespace import __array_api_version__, __array_namespace_info__, namespace_for
from .normalization import (
    batch_norm,
    batch_norm_gate,
    batch_norm_grad,
    batch_norm_grad_grad,
    batch_norm_residual_grad,
    batch_norm_tracked,
    batch_statistics,
    channel_sum,
    normalize_by,
)
from .pull import (
    elu_pull,
    erf_pull,
    gelu_pull,
    leaky_relu_pull,
    log_softmax_pull,
    mish_pull,
    relu_pull,
    scaled,
    selu_pull,
    sigmoid_pull,
    silu_pull,
    softmax_pull,
    softplus_pull,
    tanh_pull,
)
from .reduction import *
from .repetition import *
from .repetition import pad_constant
from .rounding import *
from .rounding import round_digits
from .searching import *
from .sets import *
from .softmax import *
from .sorting import *
from .transcendental import *

__all__ = [
    *activation.__all__,
    *affine.__all__,
    *classification.__all__,
    *constants.__all__,
    *creation.__all__,
    *cumulative.__all__,
    *datatype.__all__,
    "einsum",
    *elementwise.__all__,
    *encoding.__all__,
    *entropy.__all__,
    *indexing.__all__,
    *linalg.__all__,
    *logical.__all__,
    *loss.__all__,
    *manipulation.__all__,
    *reduction.__all__,
    *repetition.__all__,
    *rounding.__all__,
    *searching.__all__,
    *sets.__all__,
    "log_softmax",
    "logsumexp",
    "softmax",
    *sorting.__all__,
    *transcendental.__all__,
]
