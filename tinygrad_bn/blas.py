"""How many threads NumPy's linear algebra (BLAS) uses while small networks are trained.

Its products are too small to share out: threads gain nothing, and on a busy machine they wait for
one another for most of the time. Environment variables would come too late, NumPy is loaded with
the package.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, nullcontext
from typing import Any

VARIABLES = (
    "OPENBLAS_NUM_THREADS",
    "GOTO_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
)
"""What a user sets to choose the number of threads."""


def one_thread() -> AbstractContextManager[Any]:
    """Inside the block BLAS uses one thread; nothing changes if one of VARIABLES is set.

    Threads of other libraries, such as Numba's, are not concerned.
    """
    if any(os.environ.get(name) for name in VARIABLES):
        return nullcontext()
    from threadpoolctl import threadpool_limits

    return threadpool_limits(limits=1, user_api="blas")
