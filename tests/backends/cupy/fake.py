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

from tests.backends.cupy.fake_array import ndarray, root_of
from tests.backends.cupy.fake_cuda import Cuda
from tests.backends.cupy.fake_names import LINALG, SIGNATURES, UFUNCS, signature
from tests.backends.cupy.simt.library import library
from tinygrad_bn import dtypes

NO_IDENTITY = {"max", "min", "argmax", "argmin"}
NEED_ELEMENTS = {
    *("sort", "argsort", "cumsum", "cumulative_sum", "cumulative_prod"),
    *("unique_all", "unique_counts", "unique_inverse", "unique_values"),
}


class FakeCuPy(types.ModuleType):
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
        self.random = types.SimpleNamespace(Generator=Generator, Philox4x3210=self._philox)
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

    # --------------------------------------------------------- where CuPy is not like NumPy

    def _where(self, condition, x, y):
        assert isinstance(condition, ndarray), "where: cupy wants an array for a condition"
        return self.run(np.where, condition, x, y)

    def _asarray(self, a, dtype=None, order=None, *, copy=None, blocking=False):
        if isinstance(a, ndarray):
            if a._device_id != self.cuda.runtime.getDevice():
                return a.copy()
            return self.run(lambda h: np.array(h, dtype=dtype, copy=copy), a)
        host = np.array(a, dtype=dtype)
        host = aligned_copy(host) if self._aligned else host
        self.cuda.allocate(host)
        return self.ndarray(host, self.cuda.runtime.getDevice())

    def _ascontiguousarray(self, a):
        return self.run(np.ascontiguousarray, a)

    def _zeros_like(self, a, dtype=None):
        return self.run(lambda h: np.zeros(h.shape, dtype or h.dtype), a)

    def _ones_like(self, a, dtype=None):
        return self.run(lambda h: np.ones(h.shape, dtype or h.dtype), a)

    def _reshape(self, a, newshape, *, copy=None):
        return self.run(lambda h: np.reshape(h, newshape, copy=copy), a)

    def _take(self, a, indices, axis=None):
        assert isinstance(indices, ndarray)
        return self.run(lambda h, i: np.take(h, i % max(h.shape[axis], 1), axis=axis), a, indices)

    def _take_along_axis(self, a, indices, axis):
        def take(h, i):
            return np.take_along_axis(h, i % max(h.shape[axis], 1), axis=axis)

        return self.run(take, a, indices)

    def _repeat(self, a, repeats, axis=None):
        if isinstance(repeats, ndarray):
            raise ValueError("cupy.ndarray is not supported as `repeats`")
        return self.run(lambda h: np.repeat(h, repeats, axis=axis), a)

    def _sort(self, a, axis=-1):
        return self.run(lambda h: np.sort(h, axis=axis, kind="stable"), a)

    def _argsort(self, a, axis=-1):
        return self.run(lambda h: np.argsort(h, axis=axis, kind="stable"), a)

    def _empty(self, shape, dtype=float):
        def garbage():
            host = np.empty(shape, dtype)
            host.reshape(-1).view(np.uint8)[...] = 0x7F if host.dtype.kind in "fc" else 0
            return host

        return self.run(garbage)

    def _real(self, val):
        return self.run(lambda h: h.real, val)

    def _imag(self, val):
        return self.run(lambda h: h.imag if h.dtype.kind == "c" else np.zeros_like(h), val)

    def _svd(self, a, full_matrices=True, compute_uv=True):
        if not compute_uv:
            return self.run(lambda h: np.linalg.svd(h, compute_uv=False), a)
        return self.run(lambda h: tuple(np.linalg.svd(h, full_matrices=full_matrices)), a)

    def _solve(self, a, b):
        if b.ndim > 1 and a.shape[:-1] != b.shape[:-1]:
            raise ValueError("a must have (..., M, M) shape and b must have (..., M, K)")
        return self._unreported(np.linalg.solve, a, b)

    def _inv(self, a):
        return self._unreported(np.linalg.inv, a)

    def _cholesky(self, a):
        return self._unreported(np.linalg.cholesky, a)

    def _unreported(self, function, *arrays):
        """Failures pass in silence, with garbage, unless errstate(linalg='raise') is set."""

        def call(*hosts):
            try:
                return function(*hosts)
            except np.linalg.LinAlgError:
                if self.cuda.linalg == "raise":
                    raise
                return np.full_like(hosts[-1], np.nan)

        return self.run(call, *arrays)

    def _qr(self, a, mode="reduced"):
        return self.run(lambda h: tuple(np.linalg.qr(h, mode=mode)), a)

    def _eigh(self, a, UPLO="L"):
        return self.run(lambda h: tuple(np.linalg.eigh(h, UPLO=UPLO)), a)

    def _slogdet(self, a):
        return self.run(lambda h: tuple(np.linalg.slogdet(h)), a)

    def _philox(self, seed=None, *, size=-1):
        assert isinstance(seed, np.random.SeedSequence)
        assert size > 0
        assert size % 256 == 0, "cupy reads states out of bounds unless they come in blocks"
        return types.SimpleNamespace(module=self, key=int(seed.generate_state(1, np.uint32)[0]))


class Generator:
    """A pretend `cupy.random.Generator`."""

    def __init__(self, bit_generator):
        self._module = bit_generator.module
        self._host = np.random.Generator(np.random.Philox(bit_generator.key))

    def random(self, size=None, dtype=np.float64, out=None):
        """Uniform numbers."""
        return self._module.asarray(self._host.random(size, dtype=dtype))

    def standard_normal(self, size=None, dtype=np.float64, out=None):
        """Normal numbers."""
        return self._module.asarray(self._host.standard_normal(size, dtype=dtype))

    def integers(self, low, high=None, size=None, dtype=np.int64, endpoint=False):
        """Integers; CuPy's own overflow where a difference needs more than 31 bits."""
        assert high - low - 1 < 1 << 31
        return self._module.asarray(self._host.integers(low, high, size, dtype=dtype))


def aligned_copy(host):
    """A copy that begins where CuPy's pool would let it begin, at a multiple of 512 bytes."""
    buffer = np.empty(host.nbytes + 512, dtype=np.uint8)
    start = -buffer.__array_interface__["data"][0] % 512
    out = buffer[start : start + host.nbytes].view(host.dtype)
    order = "F" if host.flags.f_contiguous and not host.flags.c_contiguous else "C"
    out = out.reshape(host.shape, order=order)
    out[...] = host
    return out


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
