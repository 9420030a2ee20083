"""The pretend `cupy.ndarray`: a NumPy array that refuses to be taken for one."""

from __future__ import annotations

import types

import numpy as np

from tests.backends.cupy.fake_cuda import Cuda


def root_of(host):
    """The NumPy array at the end of a chain of views."""
    while isinstance(host.base, np.ndarray):
        host = host.base
    return host


class ndarray:
    """A pretend device array."""

    __array_ufunc__ = None
    cuda: Cuda

    def __init__(self, host, device_id, base=None):
        self._host = host
        self._device_id = device_id
        self.base = base

    def __array__(self, *args, **kwargs):
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    strides = property(lambda self: self._host.strides)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    itemsize = property(lambda self: self._host.itemsize)
    nbytes = property(lambda self: self._host.nbytes)
    device = property(lambda self: self.cuda.Device(self._device_id))
    mT = property(lambda self: self._module.matrix_transpose(self))

    @property
    def data(self):
        """An object with a pointer."""
        return types.SimpleNamespace(ptr=self._host.__array_interface__["data"][0])

    @property
    def flags(self):
        """Contiguity."""
        flags = self._host.flags
        return types.SimpleNamespace(c_contiguous=flags.c_contiguous)

    def get(self, stream=None, order="C", out=None, blocking=True):
        """A copy on the host, synchronously."""
        self.cuda.refuse_while_capturing("cudaMemcpyAsync to pageable memory")
        self.cuda.synchronisations += 1
        return np.array(self._host, order="C")

    def set(self, arr, stream=None):
        """Copy from the host."""
        self.cuda.check_here(self)
        self._host[...] = arr

    def copy(self, order="C"):
        """A copy on the current device, from whichever this one is on."""
        return type(self)(np.array(self._host, order=order), self.cuda.runtime.getDevice())

    def astype(self, dtype, order="K", casting=None, subok=None, copy=True):
        """Converted."""
        return self._module.astype(self, dtype, copy=copy)

    def reshape(self, *shape):
        """In another shape."""
        return self._module.reshape(self, shape[0] if len(shape) == 1 else shape)

    def transpose(self, *axes):
        """With axes in another order."""
        return self._module.permute_dims(self, axes[0] if len(axes) == 1 else axes)

    def __getitem__(self, key):
        return self._module.run(lambda h, *k: h[_wrapped(k[0], h.shape)], self, key)

    def __setitem__(self, key, value):
        def assign(h, k, v):
            h[_wrapped(k, h.shape)] = v.astype(h.dtype) if isinstance(v, np.ndarray) else v

        self._module.run_in_place(assign, self, key, value)

    def __len__(self):
        return len(self._host)

    def __iter__(self):
        return iter([self[i] for i in range(len(self))])

    def __bool__(self):
        return bool(self.get())

    def __int__(self):
        return int(self.get())

    def __float__(self):
        return float(self.get())

    def __index__(self):
        return int(self.get())

    def item(self):
        """The only element."""
        return self.get().item()

    def tolist(self):
        """As lists."""
        return self.get().tolist()

    def __dlpack__(self, *, stream=None, max_version=None, dl_device=None, copy=None):
        return self.get().__dlpack__()

    def __dlpack_device__(self):
        return (2, self._device_id)


def _wrapped(key, shape):
    """Positions outside an axis wrap around, as on a GPU."""
    if isinstance(key, np.ndarray):
        key = (key,)
    if not isinstance(key, tuple):
        return key
    axes = iter(shape)
    out = []
    for k in key:
        if k is None or k is Ellipsis:
            out.append(k)
            continue
        n = next(axes)
        out.append(k % n if isinstance(k, np.ndarray) and k.dtype.kind in "iu" and n else k)
    return tuple(out)


def _operators():
    names = {
        **{n: n for n in ("add", "subtract", "multiply", "matmul", "remainder")},
        "truediv": "divide",
        "floordiv": "floor_divide",
        "pow": "pow",
        "mod": "remainder",
        "sub": "subtract",
        "mul": "multiply",
        "and": "bitwise_and",
        "or": "bitwise_or",
        "xor": "bitwise_xor",
        "lshift": "bitwise_left_shift",
        "rshift": "bitwise_right_shift",
    }
    for name, function in names.items():

        def forward(self, other, f=function):
            return getattr(self._module, f)(self, other)

        def reverse(self, other, f=function):
            return getattr(self._module, f)(other, self)

        def in_place(self, other, f=function):
            ufunc = getattr(np, f)
            self._module.run_in_place(lambda h, o: ufunc(h, o, out=h), self, other)
            return self

        setattr(ndarray, f"__{name}__", forward)
        setattr(ndarray, f"__r{name}__", reverse)
        setattr(ndarray, f"__i{name}__", in_place)
    for name, function in {
        "lt": "less",
        "le": "less_equal",
        "gt": "greater",
        "ge": "greater_equal",
        "eq": "equal",
        "ne": "not_equal",
    }.items():
        setattr(
            ndarray,
            f"__{name}__",
            lambda self, other, f=function: getattr(self._module, f)(self, other),
        )
    for name, function in {"neg": "negative", "invert": "bitwise_invert", "abs": "abs"}.items():
        setattr(ndarray, f"__{name}__", lambda self, f=function: getattr(self._module, f)(self))
    ndarray.__hash__ = None


_operators()


def aligned_copy(host):
    """A copy that begins where CuPy's pool would let it begin, at a multiple of 512 bytes."""
    buffer = np.empty(host.nbytes + 512, dtype=np.uint8)
    start = -buffer.__array_interface__["data"][0] % 512
    out = buffer[start : start + host.nbytes].view(host.dtype)
    order = "F" if host.flags.f_contiguous and not host.flags.c_contiguous else "C"
    out = out.reshape(host.shape, order=order)
    out[...] = host
    return out
