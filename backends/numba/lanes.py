"""Many neighbouring numbers as one value, which stays in the processor's vector registers.

A loop down the rows of a matrix that adds to a row of sums loads and stores the sums again and
again, which takes longer than reading the matrix from the third-level cache. Here the columns are
taken in tiles, a tile as wide as its sums fit into registers:

    first = filled(x[0], 0.0)
    for r in range(len(x)):
        first = first + load(x[r], c)
    store(sums, c, first)

adds up the columns c, c + 1, …, c + `lanes(x)` - 1. Each lane is a column of its own, so how many
there are leaves no trace in the results; `line` and `filled_line` give values as wide as a line of
the cache. Run as plain Python, a value is a NumPy array.

On two cores of an AMD EPYC, the sums of (1024, 1024) took 0.08 ms in memory, four rows at a time,
and take 0.05 ms; reading it takes 0.02 ms.
"""

from __future__ import annotations

import operator
from typing import Any

import llvmlite.binding
import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.datamodel import models
from numba.core.extending import register_model
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic

from .compiler import COMPILED, exact
from .memory import LINE

WIDTH = 256 if llvmlite.binding.get_host_cpu_features().get("avx512f") else 64
"""Bytes of a value: four registers of AVX-512, which has 32 of them, or two of AVX, which has 16.
The largest kernel holds seven values at once."""


class Lanes(types.Type):
    """The type of a value, of floating-point numbers."""

    def __init__(self, dtype: Any, width: int) -> None:
        super().__init__(name=f"Lanes({dtype}, {width})")
        self.dtype = dtype
        self.count = 8 * width // dtype.bitwidth


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        element = manager.lookup(kind.dtype).get_value_type()
        super().__init__(manager, kind, ir.VectorType(element, kind.count))


class _Elementwise(AbstractTemplate):
    """Types of an operator: two values of one type give a third."""

    def generic(self, arguments: Any, keywords: Any) -> Any:
        """The signature, if it is one of this operator's."""
        if len(arguments) == 2 and arguments[0] == arguments[1] and isinstance(arguments[0], Lanes):
            return signature(arguments[0], *arguments)
        return None


def _operator(function: Any, instruction: str) -> None:
    """Let `function` of two values be one instruction."""
    infer_global(function)(type(f"_{instruction}", (_Elementwise,), {}))

    @lower_builtin(function, Lanes, Lanes)
    def _(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        return getattr(builder, instruction)(*arguments)


for _function, _instruction in (
    (operator.add, "fadd"),
    (operator.sub, "fsub"),
    (operator.mul, "fmul"),
):
    _operator(_function, _instruction)


def _address(context: Any, builder: Any, kind: Any, row: Any, column: Any, lanes: Lanes) -> Any:
    """Where the lanes of a row (an array of one axis) from a column on lie in memory."""
    array = context.make_array(kind)(context, builder, row)
    element = cgutils.get_item_pointer(context, builder, kind, array, [column])
    return builder.bitcast(element, context.get_value_type(lanes).as_pointer())


def _bytes(context: Any, kind: Any) -> int:
    return int(context.get_abi_sizeof(context.get_data_type(kind.dtype)))


def _loading(width: int) -> Any:
    def typed(typing_context: Any, row: Any, column: Any) -> Any:
        lanes = Lanes(row.dtype, width)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            at, place = arguments
            address = _address(context, builder, sig.args[0], at, place, lanes)
            return builder.load(address, align=_bytes(context, sig.args[0]))

        return lanes(row, types.intp), generate

    return intrinsic(typed)


def _storing(align: int | None, hint: bool) -> Any:
    def typed(typing_context: Any, row: Any, column: Any, value: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            to, at, lanes = arguments
            address = _address(context, builder, sig.args[0], to, at, sig.args[2])
            kept = builder.store(lanes, address, align=align or _bytes(context, sig.args[0]))
            if hint:
                one = ir.Constant(ir.IntType(32), 1)
                kept.set_metadata("nontemporal", builder.module.add_metadata([one]))
            return context.get_dummy_value()

        return types.void(row, types.intp, value), generate

    return intrinsic(typed)


def _filling(width: int) -> Any:
    def typed(typing_context: Any, row: Any, number: Any) -> Any:
        lanes = Lanes(row.dtype, width)

        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            one = context.cast(builder, arguments[1], sig.args[1], lanes.dtype)
            vector = context.get_value_type(lanes)
            undefined = ir.Constant(vector, ir.Undefined)
            first = builder.insert_element(undefined, one, ir.IntType(32)(0))
            mask = ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), [0] * lanes.count)
            return builder.shuffle_vector(first, undefined, mask)

        return lanes(row, number), generate

    return intrinsic(typed)


def _choosing(comparison: str) -> Any:
    """A function of three values: the second where the first compares so with 0, else the third."""

    def typed(typing_context: Any, z: Any, a: Any, b: Any) -> Any:
        def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
            zero = ir.Constant(context.get_value_type(sig.args[0]), None)
            held = builder.fcmp_ordered(comparison, arguments[0], zero)
            return builder.select(held, arguments[1], arguments[2])

        return z(z, a, b), generate

    return intrinsic(typed)


@intrinsic
def _multiply_add(typing_context: Any, a: Any, b: Any, c: Any) -> Any:
    def generate(context: Any, builder: Any, sig: Any, arguments: Any) -> Any:
        vector = context.get_value_type(sig.return_type)
        name = f"llvm.fmuladd.v{a.count}f{a.dtype.bitwidth}"
        kind = ir.FunctionType(vector, [vector] * 3)
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)

    return a(a, b, c), generate


def lanes(a: Any) -> int:
    """How many numbers of the array's dtype a value has."""
    return WIDTH // a.itemsize


def load(row: Any, column: Any) -> Any:
    """The numbers of a row from a column on."""
    return row[column : column + lanes(row)].copy()


def store(row: Any, column: Any, value: Any) -> None:
    """Write them to a row from a column on."""
    row[column : column + value.size] = value


def line(row: Any, column: Any) -> Any:
    """As many numbers as a line of the cache holds, from a column on."""
    return row[column : column + LINE // row.itemsize].copy()


def filled_line(row: Any, number: Any) -> Any:
    """One number in all lanes of a value like `line`'s."""
    return np.full(LINE // row.itemsize, number, row.dtype)


def stream(row: Any, column: Any, value: Any) -> None:
    """`store` past the caches, to an address that is a multiple of `LINE`; see `kernels.stream`."""
    store(row, column, value)


def filled(row: Any, number: Any) -> Any:
    """One number in all lanes, in the dtype of the row."""
    return np.full(lanes(row), number, row.dtype)


def where_positive(z: Any, a: Any, b: Any) -> Any:
    """a where z > 0, else b, also where z is NaN."""
    return np.where(z > 0, a, b)


def where_not_positive(z: Any, a: Any, b: Any) -> Any:
    """a where z <= 0, else b, also where z is NaN."""
    return np.where(z <= 0, a, b)


def multiply_add(a: Any, b: Any, c: Any) -> Any:
    """a·b + c, rounded once where the processor can."""
    return a * b + c


if COMPILED:  # what stands above is for the interpreter
    lanes = exact(lanes)
    load, filled, line, filled_line = [
        make(width) for width in (WIDTH, LINE) for make in (_loading, _filling)
    ]
    store, stream = _storing(None, False), _storing(LINE, True)
    where_positive, where_not_positive = _choosing(">"), _choosing("<=")
    _sum_of_product: Any = _multiply_add
    multiply_add = _sum_of_product
