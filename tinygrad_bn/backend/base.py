"""What a backend is: a name, an array namespace, and overrides where a fused kernel pays.

`Backend` is the contract and the reference at once. A function of the Array API standard is the
namespace's own (`B.multiply` is `xp.multiply`); everything else that operations call is written
here and in the `reference_*` modules over the standard alone, so any conforming library works
unchanged. A backend overrides a method by name, with the same signature.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .. import dtypes
from .generator import HostGenerator
from .quiet import quiet
from .reference_activation import ActivationReference
from .reference_affine import AffineReference
from .reference_array import ArrayReference
from .reference_linalg import LinalgReference
from .reference_normalization import NormalizationReference
from .reference_optim import OptimReference
from .reference_pull import PullReference
from .tape import TapeRecorder


class Backend(
    ActivationReference,
    AffineReference,
    ArrayReference,
    LinalgReference,
    NormalizationReference,
    OptimReference,
    PullReference,
):
    """Operations on the arrays of one library and device.

    Attributes:
        name: how users ask for it, with the device where there are several ('cupy:1').
        xp: an array namespace that follows the Python Array API standard 2024.12.
        array_type: the class of its arrays; every result is one (no scalars of a library).
        device: the device passed to creation functions; None for the library's default.
        generator_kind: backends of one kind share a random stream.
        floating: its native dtypes of floating-point and complex numbers.
        differentiable: those that carry gradients: floating-point, not complex.
        usual: its native default dtype, asked for first where speed counts.
        placed: whether `activate` is to be called before its arrays are touched.
    """

    name: str = ""
    xp: Any = None
    array_type: Any = object
    device: Any = None
    generator_kind: str = "host"
    install_hint: ClassVar[str] = ""

    def __init__(self, xp: Any, array_type: type, name: str, device: Any = None) -> None:
        self.xp = xp
        self.array_type = array_type
        self.name = name
        self.device = device
        self._native: dict[dtypes.DType, Any] = {}
        self._canonical: dict[Any, dtypes.DType] = {}
        self.floating: set[Any] = set()
        self.differentiable: set[Any] = set()
        self.usual: Any = None
        self.placed = False
        for dtype in dtypes.BY_NAME.values():
            native = getattr(xp, dtype.name, None)
            if isinstance(native, type) and issubclass(native, np.generic):
                native = dtype  # NumPy and its kin name their dtypes by scalar types
            if native is not None:
                self._learn(dtype, native)
        self._adopt()

    def _learn(self, dtype: dtypes.DType, native: Any) -> None:
        self._native[dtype] = native
        self._canonical[native] = dtype
        if dtype.kind in "fc":
            self.floating.add(native)
        if dtype.kind == "f":
            self.differentiable.add(native)
        if dtype == dtypes.DEFAULT_FLOAT:
            self.usual = native

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    def _adopt(self) -> None:
        """Take over the namespace's own functions where nothing here has their name.

        At once and not when one is asked for: a class with `__getattr__` has slow attributes.
        """
        own = self.__dict__
        for name, value in vars(self.xp).items():
            if not (name.startswith("_") or name in own or hasattr(type(self), name)):
                own[name] = value

    def __repr__(self) -> str:
        return f"<backend {self.name}>"

    def __reduce__(self) -> Any:
        from .registry import get_backend

        return get_backend, (self.name,)

    # ------------------------------------------------------------------------- conversion

    def native(self, dtype: Any) -> Any:
        """The library's own dtype object (one that is native already passes; None stays)."""
        if dtype is None:
            return None
        if not isinstance(dtype, np.dtype) and dtype in self._canonical:
            return dtype
        try:
            return self._native[dtypes.canonical(dtype)]
        except KeyError:
            raise TypeError(f"backend {self.name!r} has no dtype {dtype!r}") from None

    def has_dtype(self, dtype: dtypes.DType) -> bool:
        """Whether the library has this dtype."""
        return dtype in self._native

    def dtype_of(self, array: Any) -> dtypes.DType:
        """The dtype of an array, as one of `tinygrad_bn.dtypes`."""
        return self._canonical[array.dtype]

    @property
    def _place(self) -> dict[str, Any]:
        return {} if self.device is None else {"device": self.device}

    @quiet()
    def asarray(self, value: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        """An array of this backend; Python floats become float32, integers int64."""
        if value.__class__ is self.array_type and value.dtype in self._canonical:
            if dtype is not None and value.dtype != self.native(dtype):
                return self.xp.astype(value, self.native(dtype))
            return self.copy(value) if copy else value
        host = host_array(value, dtype)
        return self.from_numpy(host, copy=copy)

    def from_numpy(self, host: np.ndarray[Any, Any], copy: bool | None = None) -> Any:
        """An array of this backend with the contents of a NumPy array."""
        return self.xp.asarray(host, dtype=self.native(host.dtype), copy=copy, **self._place)

    def to_numpy(self, array: Any) -> np.ndarray[Any, Any]:
        """The contents as a NumPy array; a copy unless the memory is the host's own."""
        return np.from_dlpack(array, device="cpu", copy=True)

    def wrap(self, value: Any) -> Any:
        """Make an array of what a library function returned (a scalar type, usually)."""
        return (
            value if isinstance(value, self.array_type) else self.xp.asarray(value, **self._place)
        )

    def copy(self, array: Any) -> Any:
        """An array of its own memory with the same contents."""
        return self.xp.asarray(array, copy=True)

    def astype(self, x: Any, dtype: Any, *, copy: bool = True) -> Any:
        """The values converted to `dtype`."""
        return self.xp.astype(x, self.native(dtype), copy=copy)

    def storage(self, array: Any) -> Any:
        """The object that owns the memory of `array`; views of one memory share it."""
        return array

    def owns_memory(self, array: Any) -> bool:
        """Whether `array` certainly is no view of memory that another array sees."""
        return False

    def activate(self) -> None:
        """Make its device the one that this thread computes on; called for `placed` backends
        before every operation and every step of a backward pass."""

    def synchronize(self) -> None:
        """Wait until all work handed to the device is done."""

    # -------------------------------------------------------------- told on the command line

    def library(self) -> str:
        """Name and version of the library that computes."""
        name = getattr(self.xp, "__name__", self.name)
        return f"{name} {getattr(self.xp, '__version__', 'unknown')}"

    def details(self) -> dict[str, str]:
        """What else a user may want to know, such as the number of threads, by its name."""
        return {}

    def preparations(self) -> list[tuple[str, Callable[[], object]]]:
        """What can be done ahead of the first training step: what it is, and a call that does it.

        Kernels compiled and kept on disk, for example.
        """
        return []

    def upload(self, host: np.ndarray[Any, Any]) -> Any:
        """An array with the contents of `host`, copied by way of page-locked memory without
        waiting for the copy.

        Raises ValueError where there is no such memory because nothing is copied to a device.
        """
        raise ValueError(
            f"upload: backend {self.name!r} computes in the host's own memory, so there is "
            "nothing to copy and no page-locked memory to copy from"
        )

    def recorder(self) -> Any:
        """What records a step and repeats it: an object with the context `rehearsing()`, in which
        the step runs as ever, and the methods of `tape.TapeRecorder`; see `training.capture`.
        """
        return TapeRecorder(self)

    # --------------------------------------------------------------------------- creation

    def empty(self, shape: Any, *, dtype: Any) -> Any:
        """Uninitialised array."""
        return self.xp.empty(shape, dtype=self.native(dtype), **self._place)

    def zeros(self, shape: Any, *, dtype: Any) -> Any:
        """Array of zeros."""
        return self.xp.zeros(shape, dtype=self.native(dtype), **self._place)

    def ones(self, shape: Any, *, dtype: Any) -> Any:
        """Array of ones."""
        return self.xp.ones(shape, dtype=self.native(dtype), **self._place)

    @quiet()
    def full(self, shape: Any, fill_value: Any, *, dtype: Any) -> Any:
        """Array of one value."""
        return self.xp.full(shape, fill_value, dtype=self.native(dtype), **self._place)

    @quiet()
    def arange(self, start: Any, stop: Any = None, step: Any = 1, *, dtype: Any) -> Any:
        """Evenly spaced numbers from `start` by `step`, `stop` excluded."""
        return self.xp.arange(start, stop, step, dtype=self.native(dtype), **self._place)

    @quiet()
    def linspace(
        self, start: Any, stop: Any, num: int, *, dtype: Any, endpoint: bool = True
    ) -> Any:
        """`num` evenly spaced numbers from `start` to `stop`."""
        native = self.native(dtype)
        return self.xp.linspace(start, stop, num, dtype=native, endpoint=endpoint, **self._place)

    def eye(self, n_rows: int, n_cols: int | None = None, *, k: int = 0, dtype: Any) -> Any:
        """Ones on the k-th diagonal."""
        return self.xp.eye(n_rows, n_cols, k=k, dtype=self.native(dtype), **self._place)

    # ----------------------------------------------------------------------------- random

    def make_generator(self, seed: int) -> Any:
        """A random stream; what it draws goes through `from_numpy`."""
        return HostGenerator(seed)


def host_array(value: Any, dtype: Any = None) -> np.ndarray[Any, Any]:
    """A NumPy array of anything array-like: Python floats become float32, NumPy's dtypes stay."""
    if hasattr(value, "__dlpack__") and not isinstance(value, np.ndarray | np.generic):
        value = np.from_dlpack(value, device="cpu")
    host = np.asarray(value, dtype=None if dtype is None else dtypes.canonical(dtype))
    if dtype is None and not isinstance(value, np.ndarray | np.generic):
        default = {"f": dtypes.DEFAULT_FLOAT, "c": dtypes.DEFAULT_COMPLEX}.get(host.dtype.kind)
        if default is not None and not _holds_arrays(value):
            host = host.astype(default)
    known = dtypes.BY_NAME.get(host.dtype.name)
    if known is None:
        raise TypeError(f"cannot make an array of {type(value).__name__} (dtype {host.dtype})")
    return host.astype(known, copy=False)  # in the machine's byte order


def _holds_arrays(value: Any) -> bool:
    """Whether a nested sequence contains arrays (or tensors), whose dtype then counts."""
    while isinstance(value, list | tuple) and value:
        value = value[0]
    return hasattr(value, "dtype")
