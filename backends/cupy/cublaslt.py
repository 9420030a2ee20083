"""Matrix products by cublasLt, planned once for each form, with a workspace set aside beforehand.

CuPy refuses cuBLAS while a stream is being captured, because cuBLAS would choose and allocate as it
goes. Here both are done at the first product of a form; later ones only enqueue a kernel.

cublasLt counts by columns. A row-major C = A·B is the column-major Cᵀ = Bᵀ·Aᵀ, and a row-major
matrix is its own transpose read by columns, so operands change places and nothing is moved.
"""

from __future__ import annotations

import ctypes
import importlib
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

WORKSPACE = 32 << 20
"""Bytes that an algorithm may use: NVIDIA's advice for GPUs of the Hopper generation."""
ALIGNMENT = 16
"""Bytes of the widest access: addresses that are multiples of more than that gain nothing."""

# From cublasLt.h, cublas_api.h and library_types.h.
OP_T = 1
TRANSA, TRANSB = 3, 4
BATCH_COUNT, BATCH_STRIDE = 5, 6
MAX_WORKSPACE = 1
MIN_ALIGNMENT = (5, 6, 7, 8)  # of A, B, C, D
COMPUTE_32F, COMPUTE_64F = 68, 70
R_32F, R_64F, R_16F = 0, 1, 2

TYPES = {  # data, sums, scale, the scale's type here
    "e": (R_16F, COMPUTE_32F, R_32F, ctypes.c_float),
    "f": (R_32F, COMPUTE_32F, R_32F, ctypes.c_float),
    "d": (R_64F, COMPUTE_64F, R_64F, ctypes.c_double),
}


class _Algorithm(ctypes.Structure):
    _fields_ = (("data", ctypes.c_uint64 * 8),)


class _Heuristic(ctypes.Structure):
    _fields_ = (
        ("algorithm", _Algorithm),
        ("workspace", ctypes.c_size_t),
        ("state", ctypes.c_int),
        ("waves", ctypes.c_float),
        ("reserved", ctypes.c_int * 4),
    )


@dataclass(frozen=True)
class _Operand:
    """How one matrix, or a stack of them, lies in memory."""

    transposed: bool
    leading: int
    stride: int
    alignment: int


@dataclass(frozen=True)
class _Form:
    """All that a plan depends on: C (batch, m, n) = A (m, k) · B (k, n)."""

    dtype: str
    m: int
    n: int
    k: int
    batch: int
    a: _Operand
    b: _Operand


def load_library() -> Any:
    """The library cublasLt that belongs to CuPy's CUDA; RuntimeError if it cannot be loaded."""
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        name = pathfinder.load_nvidia_dynamic_lib("cublasLt").abs_path
    except Exception:  # an installation that pathfinder does not know: the system's search path
        name = None
    tried = []
    for candidate in [name] if name else ["libcublasLt.so.13", "libcublasLt.so.12"]:
        try:
            return ctypes.CDLL(candidate)
        except OSError as error:
            tried.append(str(error))
    raise RuntimeError(
        "capturing a step needs the library cublasLt, which comes with the CUDA toolkit and with "
        f"the package nvidia-cublas: {'; '.join(tried)}"
    )


class Products:
    """Products on the current device; a form is planned at its first occurrence."""

    def __init__(self, cupy: Any) -> None:
        self._cupy = cupy
        self._library = load_library()
        self._plans: dict[_Form, _Plan] = {}
        self._handle = ctypes.c_void_p()
        check("cublasLtCreate", self._library.cublasLtCreate(ctypes.byref(self._handle)))
        self._workspace = cupy.empty((WORKSPACE,), dtype=np.uint8)

    def matmul(self, x: Any, y: Any) -> Any:
        """x·y as `xp.matmul`, for float16, float32 and float64.

        Raises TypeError for other dtypes, ValueError for shapes that do not fit.
        """
        dtype = np.result_type(x.dtype, y.dtype)
        if dtype.char not in TYPES:
            raise TypeError(
                f"matmul: a captured product must be of real floating point, got {dtype.name}"
            )
        a = x[None, :] if x.ndim == 1 else x
        b = y[:, None] if y.ndim == 1 else y
        if a.shape[-1] != b.shape[-2]:
            raise ValueError(f"matmul: shapes {tuple(x.shape)} and {tuple(y.shape)} do not fit")
        out = self._stacked(self._as(a, dtype), self._as(b, dtype))
        out = out[..., 0, :] if x.ndim == 1 else out
        return out[..., 0] if y.ndim == 1 else out

    @staticmethod
    def _as(x: Any, dtype: Any) -> Any:
        return x if x.dtype == dtype else x.astype(dtype)

    def _stacked(self, a: Any, b: Any) -> Any:
        """The product of two matrices or stacks of them, of one dtype."""
        stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        (m, k), n = a.shape[-2:], b.shape[-1]
        if b.ndim == 2 and a.ndim > 2:  # one product with all rows of the stack
            rows = self._cupy.reshape(a, (-1, k))
            return self._cupy.reshape(self._stacked(rows, b), (*stack, m, n))
        out = self._cupy.empty((*stack, m, n), dtype=a.dtype)
        if out.size == 0 or k == 0:
            out[...] = 0
            return out
        a, b = self._in_stack(a, stack), self._in_stack(b, stack)
        form = _Form(a.dtype.char, m, n, k, math.prod(stack), self._operand(a), self._operand(b))
        if form not in self._plans:
            self._plans[form] = _Plan(self._library, self._handle, form)
        stream = self._cupy.cuda.get_current_stream().ptr
        self._plans[form].enqueue(a, b, out, self._workspace, stream)
        return out

    def _in_stack(self, x: Any, stack: tuple[int, ...]) -> Any:
        """x, spread over the stack where it is not one matrix for all."""
        if x.ndim > 2 and x.shape[:-2] != stack:
            x = self._cupy.broadcast_to(x, (*stack, *x.shape[-2:]))
        regular = x.ndim == 2 or x.flags.c_contiguous
        if regular and self._leading(x) is not None:
            return x
        return self._cupy.ascontiguousarray(x)

    @staticmethod
    def _leading(x: Any) -> tuple[bool, int] | None:
        """Whether a matrix lies by columns, and the distance of its rows (columns), in elements;
        None for one that cublasLt cannot read."""
        (rows, columns), size = x.shape[-2:], x.itemsize
        down, right = [s // size for s in x.strides[-2:]]
        if (right == 1 or columns == 1) and (down >= columns or rows == 1):
            return False, max(down, columns) if rows > 1 else columns
        if (down == 1 or rows == 1) and (right >= rows or columns == 1):
            return True, max(right, rows) if columns > 1 else rows
        return None

    def _operand(self, x: Any) -> _Operand:
        found = self._leading(x)
        assert found is not None
        stride = 0 if x.ndim == 2 else x.shape[-2] * x.shape[-1]
        pointer = x.data.ptr
        return _Operand(*found, stride, min(ALIGNMENT, pointer & -pointer))


class _Plan:
    """Descriptors and the algorithm for one form."""

    def __init__(self, library: Any, handle: ctypes.c_void_p, form: _Form) -> None:
        self._library = library
        self._handle = handle
        self._form = form
        data, sums, scale, self._number = TYPES[form.dtype]
        self._description = ctypes.c_void_p()
        created = library.cublasLtMatmulDescCreate(ctypes.byref(self._description), sums, scale)
        check("cublasLtMatmulDescCreate", created)
        for name, operand in ((TRANSA, form.b), (TRANSB, form.a)):
            if operand.transposed:
                self._set("MatmulDesc", self._description, name, ctypes.c_int32(OP_T))
        a, b = form.a, form.b
        self._first = self._layout(data, form.n, form.k, b, b.stride)
        self._second = self._layout(data, form.k, form.m, a, a.stride)
        plain = _Operand(False, form.n, 0, ALIGNMENT)
        self._result = self._layout(data, form.n, form.m, plain, form.m * form.n)
        self._heuristic = self._chosen()

    def _set(self, kind: str, target: ctypes.c_void_p, name: int, value: Any) -> None:
        function = getattr(self._library, f"cublasLt{kind}SetAttribute")
        size = ctypes.c_size_t(ctypes.sizeof(value))
        check(f"cublasLt{kind}SetAttribute", function(target, name, ctypes.byref(value), size))

    def _layout(self, data: int, rows: int, columns: int, lies: _Operand, stride: int) -> Any:
        """A layout by columns; what lies transposed has rows and columns exchanged in memory."""
        if lies.transposed:
            rows, columns = columns, rows
        layout = ctypes.c_void_p()
        created = self._library.cublasLtMatrixLayoutCreate(
            ctypes.byref(layout),
            data,
            ctypes.c_uint64(rows),
            ctypes.c_uint64(columns),
            ctypes.c_int64(lies.leading),
        )
        check("cublasLtMatrixLayoutCreate", created)
        if self._form.batch > 1:
            self._set("MatrixLayout", layout, BATCH_COUNT, ctypes.c_int32(self._form.batch))
            self._set("MatrixLayout", layout, BATCH_STRIDE, ctypes.c_int64(stride))
        return layout

    def _chosen(self) -> _Heuristic:
        """The algorithm that cublasLt's heuristic recommends first."""
        preference, best, count = ctypes.c_void_p(), _Heuristic(), ctypes.c_int(0)
        created = self._library.cublasLtMatmulPreferenceCreate(ctypes.byref(preference))
        check("cublasLtMatmulPreferenceCreate", created)
        self._set("MatmulPreference", preference, MAX_WORKSPACE, ctypes.c_uint64(WORKSPACE))
        alignments = (self._form.b.alignment, self._form.a.alignment, ALIGNMENT, ALIGNMENT)
        for name, alignment in zip(MIN_ALIGNMENT, alignments, strict=True):
            self._set("MatmulPreference", preference, name, ctypes.c_uint32(alignment))
        status = self._library.cublasLtMatmulAlgoGetHeuristic(
            self._handle,
            self._description,
            self._first,
            self._second,
            self._result,
            self._result,
            preference,
            1,
            ctypes.byref(best),
            ctypes.byref(count),
        )
        self._library.cublasLtMatmulPreferenceDestroy(preference)
        check("cublasLtMatmulAlgoGetHeuristic", status, self._form)
        if count.value == 0 or best.state:
            raise RuntimeError(f"matmul: cublasLt has no algorithm for {self._form}")
        return best

    def enqueue(self, a: Any, b: Any, out: Any, workspace: Any, stream: int) -> None:
        """Put out = a·b on a stream."""
        one, zero = self._number(1), self._number(0)
        target = ctypes.c_void_p(out.data.ptr)
        status = self._library.cublasLtMatmul(
            self._handle,
            self._description,
            ctypes.byref(one),
            ctypes.c_void_p(b.data.ptr),
            self._first,
            ctypes.c_void_p(a.data.ptr),
            self._second,
            ctypes.byref(zero),
            target,
            self._result,
            target,
            self._result,
            ctypes.byref(self._heuristic.algorithm),
            ctypes.c_void_p(workspace.data.ptr),
            ctypes.c_size_t(WORKSPACE),
            ctypes.c_void_p(stream),
        )
        check("cublasLtMatmul", status, self._form)


def check(function: str, status: int, form: _Form | None = None) -> None:
    """RuntimeError for what cublasLt reports."""
    if status:
        what = "" if form is None else f" for {form}"
        raise RuntimeError(f"{function} failed with status {status}{what}")
