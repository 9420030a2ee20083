"""The pretend pool of memory, module of kernels, and CuPy's exceptions."""

from __future__ import annotations

import types


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


class CompileException(Exception):
    """As CuPy's, with the compiler's message."""

    def __init__(self, msg, source="", name="", options=(), backend="nvrtc"):
        super().__init__(msg)
        self._msg = msg

    def get_message(self):
        """What the compiler said."""
        return self._msg


class Pool:
    """`cupy.cuda.MemoryPool`: counts bytes."""

    def __init__(self, cuda, size):
        self._cuda = cuda
        self._size = size
        self._limit = 0
        self._used = 0
        self._peak = 0

    def malloc(self, size):
        """Some bytes, or OutOfMemoryError."""
        if self._used + size > min(self._size, self._limit or self._size):
            raise OutOfMemoryError(f"Out of memory allocating {size:,} bytes")
        self._used += size
        self._peak = max(self._peak, self._used)
        return types.SimpleNamespace(free=lambda: self._free(size))

    def _free(self, size):
        self._used -= size

    def __eq__(self, other):
        return self is other

    __hash__ = object.__hash__

    def set_limit(self, size=0):
        """At most so many bytes."""
        self._limit = size

    def get_limit(self):
        """0: none."""
        return self._limit

    def used_bytes(self):
        """By arrays."""
        return self._used

    def free_bytes(self):
        """Kept for later."""
        return self._peak - self._used

    def total_bytes(self):
        """Both."""
        return self._peak


class RawModule:
    """`cupy.RawModule`: compiles at the first `get_function`."""

    def __init__(self, cuda, code, names):
        self._cuda = cuda
        self.code = code
        self.names = names
        self._done = False

    def get_function(self, name):
        """A kernel."""
        assert self.names is None or name in self.names
        if not self._done:
            if self._cuda.compile_error is not None:
                raise CompileException(self._cuda.compile_error)
            self._cuda.compiled += self.names or [name]
            self._done = True
        return RawKernel(self._cuda, name)


class RawKernel:
    """`cupy.RawKernel`."""

    def __init__(self, cuda, name):
        self._cuda = cuda
        self.name = name
        self.max_dynamic_shared_size_bytes = 48 << 10

    def compile(self, log_stream=None):
        """Done by `get_function`."""

    def __call__(self, grid, block, args, *, shared_mem=0):
        if self._cuda.launch_error is not None:
            raise self._cuda.launch_error
        self._cuda.launches.append((self.name, grid, block, shared_mem, args))
