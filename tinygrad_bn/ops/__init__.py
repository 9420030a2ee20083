"""Every operation, its derivative beside it, one file per family.

This module is also `B` in the second reading of a rule: what a rule calls on a backend, it finds
here under the same name.
"""

from . import (
    creation,
    datatype,
    elementwise,
    indexing,
    linalg,
    logical,
    manipulation,
    reduction,
    transcendental,
)
from .creation import *
from .datatype import *
from .elementwise import *
from .indexing import *
from .indexing import getitem, index_put, raw_key, scatter_add
from .linalg import *
from .logical import *
from .manipulation import *
from .manipulation import fit
from .namespace import namespace_for
from .reduction import *
from .transcendental import *

__all__ = [
    *creation.__all__,
    *datatype.__all__,
    *elementwise.__all__,
    *indexing.__all__,
    *linalg.__all__,
    *logical.__all__,
    *manipulation.__all__,
    *reduction.__all__,
    *transcendental.__all__,
]
