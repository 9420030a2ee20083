"""Function transforms: derivatives of functions as functions.

They take functions of positional arguments that are tensors, or nested lists, tuples and dicts of
them; keyword arguments are passed on untouched. Arguments need no `requires_grad`, nothing is
modified, and `.grad` of no tensor changes. Transforms nest, and compose with `backward`: inside a
function that is being differentiated, gradients flow through a transform's results, to its
arguments and to all other tensors that the function uses. Under `no_grad` the results are plain
values; the derivative itself is the same. Names and semantics follow JAX and `torch.func`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

from . import ops, tree
from .autograd.runtime import make
from .tensor import Tensor
from .transform import Argnums, Call, derivative, leaf_of_zeros, tuples, vectors

__all__ = ["grad", "hessian", "hvp", "jacobian", "jvp", "value_and_grad", "vjp"]

Function = Callable[..., Any]


def value_and_grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns f's value and its gradient.

    Args:
        f: returns a tensor of shape (), or a pair of it and anything, with `has_aux`.
        argnums: which positional arguments to differentiate: an int, or a tuple of them.
        has_aux: f returns (output, aux).

    Returns:
        A function of f's arguments that returns (value, gradient), or ((value, aux), gradient);
        the gradient has the structure of the argument, or is a tuple of such for a tuple of
        argnums. Arguments that f does not use get zeros.

    Raises (from the call):
        TypeError: a differentiated argument that is not of real floating-point tensors.
        ValueError: an output that is not of shape (), or argnums that do not exist.
    """
    return _value_and_grad("value_and_grad", f, argnums, has_aux)


def _value_and_grad(name: str, f: Function, argnums: Argnums, has_aux: bool) -> Function:
    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        call = Call(name, f, args, kwargs, argnums, has_aux)
        y = call.scalar()
        found = call.pull([None], create_graph=call.create_graph())
        gradient = tree.rebuild(call.selected, found)
        value = (y, call.aux) if has_aux else y
        return call.release(value), gradient[0] if isinstance(argnums, int) else gradient

    return transformed


def grad(f: Function, argnums: Argnums = 0, has_aux: bool = False) -> Function:
    """A function that returns the gradient of f; with `has_aux`, the pair (gradient, aux).

    See `value_and_grad` for arguments and errors.
    """
    return _grad("grad", f, argnums, has_aux)


def _grad(name: str, f: Function, argnums: Argnums, has_aux: bool = False) -> Function:
    both = _value_and_grad(name, f, argnums, has_aux)

    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        value, gradient = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return transformed


def vjp(f: Function, *primals: Any, has_aux: bool = False) -> tuple[Any, ...]:
    """f(*primals), and the function that multiplies a cotangent with f's Jacobian.

    Returns:
        (out, vjp_fn), or (out, vjp_fn, aux) with `has_aux`. `vjp_fn(cotangent)` takes a tree like
        `out` and returns a tuple with one tree for each primal; it may be called repeatedly.

    Raises:
        TypeError: primals, results or cotangents that are not real floating-point tensors.
        ValueError: a cotangent of another structure or shape than the result.
    """
    call = Call("vjp", f, primals, {}, tuple(range(len(primals))), has_aux)
    out = call.release(call.out)

    def vjp_fn(cotangent: Any) -> tuple[Any, ...]:
        gs = vectors("vjp", "cotangent", call.out, cotangent)
        found = call.pull(gs, retain_graph=True, create_graph=call.create_graph(*gs))
        return tree.rebuild(call.selected, found)

    return (out, vjp_fn, call.release(call.aux)) if has_aux else (out, vjp_fn)


def jvp(
    f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...], has_aux: bool = False
) -> tuple[Any, ...]:
    """f(*primals), and its derivative in the direction of the tangents.

    Exact: uᵀ·J is linear in u, and its derivative with respect to u, applied to the tangents, is
    J·tangents (the double-backward trick). It costs about two backward passes.

    Returns:
        (out, derivative), trees of one structure; (out, derivative, aux) with `has_aux`.

    Raises:
        TypeError: primals, tangents or results that are not real floating-point tensors.
        ValueError: tangents of another structure or shape than the primals.
    """
    primals, tangents = tuples("jvp", primals, tangents)
    ts = vectors("jvp", "tangents", primals, tangents)
    call = Call("jvp", f, primals, {}, tuple(range(len(primals))), has_aux)
    us = [leaf_of_zeros(y) for y in call.outputs]
    rows = call.pull(us, create_graph=True)
    found = derivative(rows, us, ts, create_graph=call.create_graph(*ts))
    result = (call.release(call.out), tree.rebuild(call.out, found))
    return (*result, call.release(call.aux)) if has_aux else result


def jacobian(f: Function, argnums: Argnums = 0) -> Function:
    """A function that returns the Jacobian of f, by one backward pass for each output element.

    Returns:
        A function of f's arguments. For an output of shape s and an argument of shape t the
        result has shape (*s, *t); its structure is that of the output, and in it that of the
        argument (or a tuple of them, for a tuple of argnums).

    Raises (from the call) as `vjp`, and ValueError for argnums that do not exist.
    """
    return _jacobian("jacobian", f, argnums)


def _jacobian(name: str, f: Function, argnums: Argnums) -> Function:
    @functools.wraps(f)
    def transformed(*args: Any, **kwargs: Any) -> Any:
        call = Call(name, f, args, kwargs, argnums, False)
        blocks = [_rows(call, i) for i in range(len(call.outputs))]
        trees = [tree.rebuild(call.selected, block) for block in blocks]
        single = isinstance(argnums, int)
        return tree.rebuild(call.out, [t[0] if single else t for t in trees])

    return transformed


def _rows(call: Call, position: int) -> list[Tensor]:
    """The Jacobians of one output with respect to every input."""
    y = call.outputs[position]
    options = {"retain_graph": True, "create_graph": call.create_graph()}
    rows = [
        derivative([y], call.inputs, [_unit(y, i)], **options) for i in range(math.prod(y.shape))
    ]
    if not rows:
        return [
            ops.zeros((*y.shape, *x.shape), dtype=x.dtype, device=x.device) for x in call.inputs
        ]
    columns = zip(*rows, strict=True)
    return [
        ops.reshape(ops.stack(list(c)), (*y.shape, *x.shape))
        for c, x in zip(columns, call.inputs, strict=True)
    ]


def _unit(y: Tensor, position: int) -> Tensor:
    """Zeros like y with a one at a position in its flattened form."""
    backend = y._backend
    flat = backend.zeros((math.prod(y.shape),), dtype=y.dtype)
    flat = backend.write(flat, position, 1.0)
    return ops.reshape(make(backend, flat, None), y.shape)


def hessian(f: Function, argnums: Argnums = 0) -> Function:
    """A function that returns the Hessian of f, the Jacobian of its gradient.

    For an argument of shape t it has shape (*t, *t); trees of arguments give trees of trees. It
    costs one backward pass through the gradient for each element of the arguments.

    Raises (from the call) as `grad`.
    """
    return _jacobian("hessian", _grad("hessian", f, argnums), argnums)


def hvp(f: Function, primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Any, ...]:
    """The Hessian of f times the tangents, without forming it: two backward passes.

    Returns a tuple with the structure of the primals.

    Raises:
        TypeError: primals or tangents that are not real floating-point tensors.
        ValueError: an output that is not of shape (), or tangents that do not match the primals.
    """
    primals, tangents = tuples("hvp", primals, tangents)
    ts = vectors("hvp", "tangents", primals, tangents)
    call = Call("hvp", f, primals, {}, tuple(range(len(primals))), False)
    call.scalar()
    gradients = call.pull([None], create_graph=True)
    found = derivative(gradients, call.inputs, ts, create_graph=call.create_graph(*ts))
    return tree.rebuild(call.selected, found)
