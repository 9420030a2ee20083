"""The Tensor: an array on a backend that remembers how it was made."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator
from typing import Any, Self

import numpy as np

from . import dtypes, ops
from .autograd import HookHandle, Leaf, Variable, differentiate, state
from .autograd.graph import add_hook
from .autograd.links import transfer
from .autograd.mutation import note_mutation
from .autograd.runtime import SCALARS, bind, make
from .backend import Backend, BackendMismatchError, resolve_backend
from .backend.quiet import quiet
from .dtypes import DType
from .refusal import described
from .tensor_methods import Methods
from .tensor_operators import Operators

Axis = int | tuple[int, ...] | None


class Tensor(Operators, Methods):
    """An n-dimensional array with automatic differentiation.

    Args:
        data: a number, a nested sequence, a NumPy array, a tensor, or any DLPack exporter; copied.
        dtype: the element type; default: float32 for Python floats, int64 for integers, and the
            dtype of an array as it is.
        backend: name of the backend that computes with it; default: the current default.
        requires_grad: make it a leaf: `backward` adds derivatives with respect to it to `.grad`.

    Raises:
        TypeError: data that is no array-like, or `requires_grad` with a dtype that is not
            real floating point.
        ValueError: a nested sequence whose rows differ in length.
    """

    __slots__ = ("_retained",)
    _retained: Tensor | None
    __array_ufunc__ = None  # NumPy's operators leave mixed expressions to ours

    def __init__(
        self,
        data: Any,
        *,
        dtype: Any = None,
        backend: str | Backend | None = None,
        requires_grad: bool = False,
    ) -> None:
        if isinstance(data, Variable):
            backend = backend or data._backend
            data = data._backend.to_numpy(data._data)
        self._backend = resolve_backend(backend)
        try:
            self._data = self._backend.asarray(data, dtype, copy=True)
        except (TypeError, ValueError, OverflowError) as error:
            raise type(error)(f"Tensor: {error} ({described('data', data)})") from error
        self._node = None
        if requires_grad:
            self.requires_grad = True

    # ------------------------------------------------------------------------- attributes

    @property
    def dtype(self) -> DType:
        """Element type, one of `tinygrad_bn`'s dtypes."""
        return self._backend.dtype_of(self._data)

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of each axis."""
        return tuple(self._data.shape)

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self._data.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        n = 1
        for length in self._data.shape:
            n *= length
        return n

    @property
    def backend(self) -> str:
        """Name of the backend that computes with this tensor."""
        return self._backend.name

    @property
    def device(self) -> str:
        """The Array API standard's word for `backend`."""
        return self._backend.name

    @property
    def array(self) -> Any:
        """The backend's own array, shared, not copied: changes to it are not noticed."""
        return self._data

    @property
    def T(self) -> Tensor:
        """Transpose of a matrix."""
        if self.ndim != 2:
            raise ValueError(f"T: needs 2 axes, got shape {self.shape}; see mT and permute_dims")
        return ops.permute_dims(self, (1, 0))

    @property
    def mT(self) -> Tensor:
        """Transpose of the last two axes."""
        return ops.matrix_transpose(self)

    # ------------------------------------------------------------------ differentiation

    @property
    def requires_grad(self) -> bool:
        """Whether operations on this tensor are recorded. May be set on a leaf."""
        return self._node is not None

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if value == self.requires_grad:
            return
        if not self.is_leaf:
            raise RuntimeError("requires_grad: only a leaf can stop recording; use detach()")
        if not value:
            self._node = None
            return
        if not dtypes.is_floating(self.dtype):
            raise TypeError(
                "requires_grad: only real floating-point tensors have gradients, "
                f"got dtype {self.dtype.name}"
            )
        self._node = Leaf(self._backend, self._data.shape, self._data.dtype)

    @property
    def is_leaf(self) -> bool:
        """Whether this tensor is the beginning of a graph, not the result of a recorded op."""
        return self._node is None or isinstance(self._node, Leaf)

    @property
    def grad_fn(self) -> Any:
        """The node that recorded the operation this tensor came from; None for leaves."""
        return None if self.is_leaf else self._node

    @property
    def grad(self) -> Tensor | None:
        """The gradient that `backward` has gathered here; None before. May be set to None."""
        if isinstance(self._node, Leaf):
            return self._node.grad
        return getattr(self, "_retained", None)

    @grad.setter
    def grad(self, value: Any) -> None:
        if not isinstance(self._node, Leaf):
            raise RuntimeError("grad: can be set on a leaf that requires a gradient only")
        if value is not None and (not isinstance(value, Tensor) or value.shape != self.shape):
            got = value.shape if isinstance(value, Tensor) else type(value).__name__
            raise ValueError(f"grad: must be None or a tensor of shape {self.shape}, got {got}")
        if value is not None and (value._backend, value.dtype) != (self._backend, self.dtype):
            raise ValueError(
                f"grad: must be of dtype {self.dtype.name} on backend {self.backend!r} like the "
                f"tensor, got {value.dtype.name} on {value.backend!r}"
            )
        self._node.grad = value

    def backward(
        self,
        gradient: Any = None,
        *,
        retain_graph: bool | None = None,
        create_graph: bool = False,
    ) -> None:
        """Add d⟨gradient, self⟩/d leaf to every leaf's `.grad`; see `autograd.backward`."""
        differentiate.backward_from(self, gradient, retain_graph, create_graph)

    def detach(self) -> Tensor:
        """The same values (and memory) outside the graph."""
        return make(self._backend, self._data, None)

    def register_hook(self, hook: Callable[[Tensor], Tensor | None]) -> HookHandle:
        """Call `hook(gradient)` when this tensor's gradient is complete; its result replaces it.

        Raises RuntimeError if the tensor requires no gradient.
        """
        if self._node is None:
            raise RuntimeError("register_hook: the tensor does not require a gradient")
        if self._node.hooks is None:
            self._node.hooks = {}
        return add_hook(self._node.hooks, hook)

    def retain_grad(self) -> None:
        """Keep the gradient of a tensor that is no leaf in `.grad` too."""
        if self._node is None:
            raise RuntimeError("retain_grad: the tensor does not require a gradient")
        if isinstance(self._node, Leaf) or hasattr(self, "_retained"):
            return
        self._retained = None
        target = weakref.ref(self)

        def keep(g: Tensor) -> None:
            tensor = target()
            if tensor is not None:
                kept = tensor._retained
                tensor._retained = g.detach() if kept is None else kept + g.detach()

        self.register_hook(keep)

    # -------------------------------------------------------------------------- conversion

    def numpy(self) -> np.ndarray[Any, Any]:
        """The values as a NumPy array; shares memory with a tensor whose memory is the host's.

        Raises RuntimeError for a tensor that requires a gradient: call `detach()` first.
        """
        if self._node is not None:
            raise RuntimeError("numpy: the tensor requires a gradient; use t.detach().numpy()")
        return self._backend.to_numpy(self._data)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, Any]:
        values = self.numpy()
        if dtype is not None and values.dtype != dtype:
            if copy is False:
                raise ValueError(f"__array__: a conversion to {dtype} needs a copy")
            return values.astype(dtype)
        return values.copy() if copy else values

    def __array_namespace__(self, *, api_version: str | None = None) -> Any:
        return ops.namespace_for(api_version)

    def __dlpack__(self, **options: Any) -> Any:
        if self._node is not None:
            raise BufferError("__dlpack__: the tensor requires a gradient; use t.detach()")
        return self._data.__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[Any, int]:
        return self._data.__dlpack_device__()

    def item(self) -> Any:
        """The only element, as a Python number; ValueError if there are several."""
        if self.size != 1:
            raise ValueError(f"item: needs a tensor of one element, got shape {self.shape}")
        return self._backend.to_numpy(self._data).item()

    def tolist(self) -> Any:
        """The values as nested Python lists."""
        return self._backend.to_numpy(self._data).tolist()

    def to(self, target: Any) -> Tensor:
        """On another backend (given its name), or with another dtype; recorded."""
        if isinstance(target, Backend) or (
            isinstance(target, str) and target not in dtypes.BY_NAME
        ):
            return transfer(self, resolve_backend(target, source="asked for by Tensor.to"))
        return ops.astype(self, target)

    def to_device(self, device: str, /, *, stream: Any = None) -> Tensor:
        """The Array API standard's word for `to(backend)`."""
        if stream is not None:
            raise ValueError(f"to_device: streams are the backend's own affair, got {stream!r}")
        return self.to(resolve_backend(device, source="asked for by to_device"))

    def astype(self, dtype: Any, *, copy: bool = True) -> Tensor:
        """With another dtype; recorded between floating dtypes."""
        return ops.astype(self, dtype, copy=copy)

    def assign(self, value: Any) -> Self:
        """Write `value` into this tensor's memory, unrecorded, broadcasting it to the shape.

        For parameters and buffers. A backward pass whose rules saved the old values will refuse.
        Raises ValueError if `value` does not broadcast to the tensor's shape, TypeError if it is
        complex and the tensor is not.
        """
        self._write(..., value)
        return self

    @quiet()
    def _write(self, key: Any, value: Any) -> None:
        if isinstance(value, Variable):
            if value._backend is not self._backend:
                raise BackendMismatchError(
                    f"a tensor on backend {self.backend!r} cannot be assigned one on "
                    f"{value._backend.name!r}; move it with .to({self.backend!r})"
                )
            value = value._data
        try:
            if type(value) not in SCALARS and not isinstance(value, self._backend.array_type):
                value = self._backend.asarray(value)  # a NumPy scalar too, though it is a float
            ops.check_assignable(self._backend, self._data, value)
            self._data = self._backend.write(self._data, key, value)
        except (ValueError, TypeError, IndexError, OverflowError) as error:
            shape = tuple(getattr(value, "shape", ()))
            raise type(error)(
                f"a tensor of shape {self.shape} cannot be assigned values of shape {shape} at "
                f"{key!r}: {error}"
            ) from error
        note_mutation(self._backend, self._data)

    # ---------------------------------------------------------------- container behaviour

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len() of a 0-dimensional tensor")
        return self._data.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if self.ndim == 0:
            raise TypeError("iteration over a 0-dimensional tensor")
        return iter([self[i] for i in range(len(self))])

    def __getitem__(self, key: Any) -> Tensor:
        return ops.getitem(self, key=ops.raw_key(self, key))

    def __setitem__(self, key: Any, value: Any) -> None:
        raw = ops.raw_key(self, key)
        tracked = isinstance(value, Variable) and value._node is not None
        if not state.is_grad_enabled() or (self._node is None and not tracked):
            self._write(raw, value)
            return
        if isinstance(self._node, Leaf):
            raise RuntimeError(
                "__setitem__: a leaf that requires a gradient cannot be modified while operations "
                "are recorded; use no_grad() or work on a copy"
            )
        changed = ops.index_put(self, value, key=raw)
        self._data, self._node = changed._data, changed._node

    def _scalar(self, what: str) -> Any:
        if self.size != 1:
            raise ValueError(f"{what}: needs a tensor of one element, got shape {self.shape}")
        return self._backend.to_numpy(self._data).reshape(()).item()

    def __bool__(self) -> bool:
        return bool(self._scalar("bool()"))

    def __int__(self) -> int:
        return int(self._scalar("int()"))

    def __float__(self) -> float:
        return float(self._scalar("float()"))

    def __complex__(self) -> complex:
        return complex(self._scalar("complex()"))

    def __index__(self) -> int:
        if self.dtype.kind not in "iu":
            raise TypeError(f"an index must be an integer, got dtype {self.dtype.name}")
        return int(self._scalar("index()"))

    def __format__(self, spec: str) -> str:
        """`f"{loss:.3f}"` formats the number in a tensor of one element; no spec gives `str`."""
        return format(self._scalar("format()"), spec) if spec else str(self)

    def __repr__(self) -> str:
        values = np.array2string(
            self._backend.to_numpy(self._data), separator=", ", prefix="Tensor("
        )
        parts = [values, f"dtype={self.dtype.name}", f"backend={self.backend!r}"]
        if isinstance(self._node, Leaf):
            parts.append("requires_grad=True")
        elif self._node is not None:
            parts.append(f"grad_fn={self._node!r}")
        return f"Tensor({', '.join(parts)})"

    def __copy__(self) -> Tensor:
        return self.__deepcopy__({})

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        if not self.is_leaf:
            raise RuntimeError("copy: only leaves can be copied; use detach()")
        twin = type(self).__new__(type(self))
        twin._backend = self._backend
        twin._data = self._backend.copy(self._data)
        twin._node = None
        if self.requires_grad:
            twin._node = Leaf(twin._backend, twin._data.shape, twin._data.dtype)
        memo[id(self)] = twin
        return twin

    def __reduce__(self) -> Any:
        if not self.is_leaf:
            raise RuntimeError("pickle: only leaves can be pickled; use detach()")
        values = self._backend.to_numpy(self._data)
        return _rebuild, (type(self), values, self._backend.name, self.requires_grad)


def _rebuild(cls: type[Tensor], values: Any, backend: str, requires_grad: bool) -> Tensor:
    tensor = cls.__new__(cls)
    Tensor.__init__(tensor, values, backend=backend, requires_grad=requires_grad)
    return tensor


bind(Tensor, ops)
