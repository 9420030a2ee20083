"""A pretend CuPy: what the backend calls of it, over NumPy, with pretend devices and streams.

It is as strict as a GPU where that matters: arrays refuse NumPy arrays and implicit conversion,
work on the current device only, and are 0-dimensional where NumPy gives scalars; functions take
CuPy's arguments and no others; what CuPy lacks is missing, and where it is laxer than NumPy
(positions that wrap around, singular matrices that pass) so is this.

While a stream captures, operations are recorded; launching the graph carries them out again.
"""

from __future__ import annotations

import contextlib
import types

import numpy as np

from tests.backends.cupy.fake_array import aligned_copy, ndarray, root_of
from tests.backends.cupy.fake_cuda import Cuda
from tests.backends.cupy.fake_functions import Functions
from tests.backends.cupy.fake_names import LINALG, SIGNATURES, UFUNCS, signature
from tests.backends.cupy.fake_random import Random
from tests.backends.cupy.simt.library import library
from tinygrad_bn import dtypes

NO_IDENTITY = {"max", "min", "argmax", "argmin"}
NEED_ELEMENTS = {
    *("sort", "argsort", "cumsum", "cumulative_sum", "cumulative_prod"),
    *("unique_all", "unique_counts", "unique_inverse", "unique_values"),
}


class FakeCuPy(Functions, types.ModuleType):
    """The module; make one for each test, with as many devices as it needs.

    Attributes:
        calls: the names of the functions called, in order.
    """

    def __init__(self, devices=1, driver=13000, built=13000, memory=1 << 34, aligned=False):
        super().__init__("cupy")
        self.__version__ = "14.2.0"
        self.cuda = Cuda(self, devices, driver, built, memory)
        self.ndarray = type("ndarray", (ndarray,), {"cuda": self.cuda, "_module": self})
        self.linalg = types.SimpleNamespace()
        self.random = Random(self)
        self.calls = []
        self._aligned = aligned
        self.finfo, self.iinfo, self.isdtype = np.finfo, np.iinfo, np.isdtype
        self.get_default_memory_pool = lambda: self.cuda.pool
        self.get_default_pinned_memory_pool = lambda: self.cuda.pinned
        self.RawModule = self.cuda.raw_module
        for name in dtypes.BY_NAME:
            setattr(self, name, getattr(np, name))
        for name in UFUNCS:
            setattr(self, name, self._ufunc(name))
        for name, parameters in SIGNATURES.items():
            setattr(self, name, self._function(name, signature(parameters), np))
        for name, parameters in LINALG.items():
            setattr(self.linalg, name, self._function(name, signature(parameters), np.linalg))

    # ------------------------------------------------------------------------------ calls

    def run(self, function, *args, **kwargs):
        """Carry out a function of host arrays; record it if the stream captures."""
        sources = [a for a in _flat((args, tuple(kwargs.values()))) if isinstance(a, ndarray)]
        for a in _flat((args, tuple(kwargs.values()))):
            if isinstance(a, np.ndarray):
                raise TypeError(f"Unsupported type {type(a)}")
        self.cuda.check_here(*sources)

        def compute():
            with np.errstate(all="ignore"):
                return function(*_hosts(args), **{k: _hosts(v) for k, v in kwargs.items()})

        result = compute()
        wrapped = self._wrap(result, sources)
        self.cuda.record(compute, wrapped)
        return wrapped

    def run_in_place(self, function, target, *args):
        """Carry out a function that writes to its first argument."""
        for a in args:
            if isinstance(a, np.ndarray) and a.ndim:
                raise TypeError(f"Unsupported type {type(a)}")
        self.cuda.check_here(target, *[a for a in _flat(args) if isinstance(a, ndarray)])

        def compute():
            with np.errstate(all="ignore"):
                function(target._host, *_hosts(args))

        if not self.cuda.get_current_stream().is_capturing():
            compute()  # what is captured does not run, which only writing lets one see
        self.cuda.record(compute, None)

    def _wrap(self, result, sources):
        if isinstance(result, tuple):
            return tuple([self._wrap(r, sources) for r in result])
        host = np.asarray(result)
        root = root_of(host)
        for source in sources:
            if root is root_of(source._host):
                if host is source._host:
                    return source
                return self.ndarray(
                    host, source._device_id, source.base if source.base is not None else source
                )
        if self._aligned:
            host = aligned_copy(host)
        elif host.base is not None:
            host = np.array(host)
        self.cuda.allocate(host)
        return self.ndarray(host, self.cuda.runtime.getDevice())

    def _ufunc(self, name):
        function = getattr(np, name)

        def call(*args):
            self.calls.append(name)
            if name == "matmul":
                self.cuda.refuse_while_capturing("cuBLAS")
            return self.run(function, *args)

        call.__name__ = name
        return call

    def _function(self, name, parameters, namespace):
        special = getattr(self, f"_{name}", None)

        def call(*args, **kwargs):
            bound = parameters.bind(*args, **kwargs)
            self.calls.append(name)
            self._refuse(name, bound.arguments)
            if special is not None:
                return special(**bound.arguments)
            return self.run(getattr(namespace, name), *bound.args, **bound.kwargs)

        call.__name__ = name
        return call

    def _refuse(self, name, arguments):
        first = next(iter(arguments.values()))
        shape = getattr(first, "shape", ())
        if name in NO_IDENTITY and 0 in shape:
            raise ValueError(
                f"zero-size array to reduction operation cupy_{name} which has no identity"
            )
        if name in NEED_ELEMENTS and 0 in shape:
            raise RuntimeError(f"{name} of an empty array: not relied upon")
        if name in LINALG or name == "nonzero":
            self.cuda.refuse_while_capturing("a host read")

    def run_kernel(self, launch, arguments):
        """A hand-written kernel, compiled for the CPU; in place of `Loader.launch`."""
        self.cuda.check_here(*[a for a in arguments if isinstance(a, ndarray)])
        hosts = tuple([_hosts(a) for a in arguments])

        def compute():
            library(launch.source).launch(launch, hosts, 0)

        if not self.cuda.get_current_stream().is_capturing():
            compute()
        self.cuda.record(compute, None)


def _flat(value):
    if isinstance(value, tuple | list):
        return [x for v in value for x in _flat(v)]
    return [value]


def _hosts(value):
    if isinstance(value, tuple | list):
        return type(value)([_hosts(v) for v in value])
    return value._host if isinstance(value, ndarray) else value


def fake_cupyx(cupy):
    """The module `cupyx` beside it."""
    module = types.ModuleType("cupyx")

    @contextlib.contextmanager
    def errstate(*, divide=None, over=None, under=None, invalid=None, linalg=None):
        before, cupy.cuda.linalg = cupy.cuda.linalg, linalg or cupy.cuda.linalg
        try:
            yield
        finally:
            cupy.cuda.linalg = before

    module.errstate = errstate
    return module
