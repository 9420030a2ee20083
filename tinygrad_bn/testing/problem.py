"""A function under a gradient check: flattened to vectors, differentiated to the order wanted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..autograd import enable_grad, grad, set_grad_enabled
from ..ops import zeros_like
from ..tensor import Tensor
from .compare import Array, host, name_of, tensors_of
from .errors import GradcheckError

Function = Callable[..., list[Tensor]]


class Problem:
    """A function from one vector (all variables) to another (all results), and its derivative."""

    def __init__(self, fn: Callable[..., Any], inputs: Any, order: int, seed: int) -> None:
        if type(order) is not int or order < 1:
            raise ValueError(f"gradcheck: order must be an integer of at least 1, got {order!r}")
        self.name = name_of(fn)
        self.order = order
        self.rng = np.random.default_rng(seed)
        arguments = list(inputs) if isinstance(inputs, Sequence) else [inputs]
        positions = _checked_positions(self.name, arguments)
        self.labels = [f"input {i}" for i in positions]
        self.variables = [_leaf_of(arguments[i]) for i in positions]
        self.watched = [(f"input {i}", a) for i, a in enumerate(arguments) if isinstance(a, Tensor)]
        self.before = [host(x) for _, x in self.watched]
        self.point = _vector([host(x) for x in self.variables])
        self.function = _selected(self.name, fn, arguments, positions, self.variables)
        self.name = self._full_name()
        for level in range(1, order):
            self._differentiate(level)
        self.outputs = self.function(True, *self.variables)
        self.result = self.evaluate(self.point)
        self._check_repeatable()

    def _full_name(self) -> str:
        """The name of the function; for one that has none, with the operation it ends in."""
        (last, *_) = self.function(True, *self.variables)
        if self.name != "<lambda>" or last.grad_fn is None:
            return self.name
        return f"{self.name} (ends in {last.grad_fn.name})"

    def _differentiate(self, level: int) -> None:
        """Replace the function by its backward; its cotangents become variables too."""
        inner, n = self.function, len(self.variables)
        cotangents = [self._random(y) for y in inner(False, *self.variables)]

        def backward(record: bool, *arguments: Tensor) -> list[Tensor]:
            xs, gs = arguments[:n], arguments[n:]
            with enable_grad():
                return vjp(inner(True, *xs), xs, gs, create_graph=record)

        self.function = backward
        labels = [f"cotangent {i} (order {level})" for i in range(len(cotangents))]
        self.labels += labels
        self.variables += cotangents
        self.watched += zip(labels, cotangents, strict=True)
        self.before += [host(g) for g in cotangents]
        self.point = _vector([self.point, *self.before[-len(cotangents) :]])

    def _random(self, y: Tensor) -> Tensor:
        values = self.rng.standard_normal(y.shape).astype(y.dtype)
        return Tensor(values, backend=y._backend, requires_grad=True)

    def evaluate(self, point: Array) -> Array:
        """The function by the code of one order less: nothing is recorded on top of it."""
        values = self._unpack(point)
        fresh = [
            Tensor(v, backend=x._backend, requires_grad=True)
            for v, x in zip(values, self.variables, strict=True)
        ]
        return _vector([host(y) for y in self.function(False, *fresh)])

    def pull(self, weights: Array) -> Array:
        """weightsᵀ·Jacobian, by reverse mode. Checks what backward must not do."""
        cotangents, start = [], 0
        for y in self.outputs:
            part = weights[start : start + y.size].reshape(y.shape).astype(y.dtype)
            cotangents.append(Tensor(part, backend=y._backend))
            start += y.size
        given = [host(g) for g in cotangents]
        gradients = vjp(self.outputs, self.variables, cotangents, create_graph=False)
        for g, values in zip(cotangents, given, strict=True):
            if not np.array_equal(host(g), values, equal_nan=True):
                raise GradcheckError(f"{self.title}: backward changed the cotangent it was given")
        self._check_gradients(gradients, cotangents)
        return _vector([host(d) for d in gradients])

    def _check_gradients(self, gradients: list[Tensor], cotangents: list[Tensor]) -> None:
        others = [(f"cotangent {i}", g) for i, g in enumerate(cotangents)]
        others += list(zip(self.labels, self.variables, strict=True))
        for label, x, d in zip(self.labels, self.variables, gradients, strict=True):
            form = (d.shape, d.dtype, d.backend)
            if form != (x.shape, x.dtype, x.backend):
                raise GradcheckError(f"{self.title}: the gradient of {label} has the form {form}")
            storage = d._backend.storage(d._data)
            for other, t in others:
                if t._backend.storage(t._data) is storage:
                    raise GradcheckError(
                        f"{self.title}: the gradient of {label} shares its memory with {other}"
                    )
            others.append((f"the gradient of {label}", d))

    @property
    def title(self) -> str:
        """How a message begins."""
        kind = {1: "gradcheck", 2: "gradgradcheck"}
        return f"{kind.get(self.order, f'gradcheck of order {self.order}')} of {self.name}"

    def check_untouched(self) -> None:
        """Raise if an argument is not bitwise what it was."""
        for (label, x), values in zip(self.watched, self.before, strict=True):
            if not np.array_equal(host(x), values, equal_nan=True):
                raise GradcheckError(f"{self.title}: {label} was changed")

    def _check_repeatable(self) -> None:
        self.check_untouched()
        recorded = _vector([host(y) for y in self.outputs])
        if recorded.shape != self.result.shape or not np.allclose(
            recorded, self.result, rtol=1e-9, atol=1e-12, equal_nan=True
        ):
            raise GradcheckError(
                f"{self.title}: the function gave two results for the same input"
                if self.order == 1
                else f"{self.title}: the recorded backward gives other values than the plain one"
            )

    def _unpack(self, vector: Array) -> list[Array]:
        sizes = np.cumsum([x.size for x in self.variables])[:-1]
        parts = np.split(vector, sizes)
        return [p.reshape(x.shape) for p, x in zip(parts, self.variables, strict=True)]

    def place(self, number: int) -> str:
        """The variable with this number in the vector, as 'input 0[1, 2]'."""
        return _place(list(zip(self.labels, self.variables, strict=True)), number)

    def result_place(self, number: int) -> str:
        """The result with this number in the vector."""
        kind = "result" if self.order == 1 else "gradient"
        return _place([(f"{kind} {i}", y) for i, y in enumerate(self.outputs)], number)

    def block(self, label: str) -> slice:
        """Where a variable lies in the vector."""
        i = self.labels.index(label)
        start = sum(x.size for x in self.variables[:i])
        return slice(start, start + self.variables[i].size)


def vjp(
    ys: Sequence[Tensor], xs: Sequence[Tensor], gs: Sequence[Tensor], *, create_graph: bool
) -> list[Tensor]:
    """Gradients of Σ⟨g, y⟩ with respect to `xs`; zeros where `ys` do not depend on them."""
    pairs = [(y, g) for y, g in zip(ys, gs, strict=True) if y.requires_grad]
    if not pairs:
        return [zeros_like(x) for x in xs]
    outputs, cotangents = zip(*pairs, strict=True)
    gradients = grad(
        outputs, xs, cotangents, create_graph=create_graph, retain_graph=True, allow_unused=True
    )
    return [zeros_like(x) if d is None else d for x, d in zip(xs, gradients, strict=True)]


def _checked_positions(name: str, arguments: list[Any]) -> list[int]:
    """Positions of the arguments to differentiate."""
    positions = [i for i, a in enumerate(arguments) if isinstance(a, Tensor) and a.requires_grad]
    if not positions:
        raise ValueError(f"gradcheck of {name}: no input requires a gradient")
    for i in positions:
        if arguments[i].dtype.name != "float64":
            raise ValueError(
                f"gradcheck of {name}: input {i} must be float64 (differences of "
                f"{arguments[i].dtype.name} values are too coarse)"
            )
    return positions


def _leaf_of(x: Tensor) -> Tensor:
    """A leaf with the memory of `x`."""
    leaf = x.detach()
    leaf.requires_grad = True
    return leaf


def _selected(
    name: str,
    fn: Callable[..., Any],
    arguments: list[Any],
    positions: list[int],
    variables: list[Tensor],
) -> Function:
    """`fn` of its variables alone, giving those results that depend on them."""

    def run(record: bool, *xs: Tensor) -> list[Tensor]:
        full = list(arguments)
        for i, x in zip(positions, xs, strict=True):
            full[i] = x
        with set_grad_enabled(record):
            return tensors_of(f"gradcheck of {name}", fn(*full))

    tracked = [i for i, y in enumerate(run(True, *variables)) if y.requires_grad]
    if not tracked:
        raise GradcheckError(f"gradcheck of {name}: no result depends on an input")
    return lambda record, *xs: [run(record, *xs)[i] for i in tracked]


def _vector(arrays: Sequence[Array]) -> Array:
    return np.concatenate([np.ravel(a).astype(np.float64) for a in arrays] or [np.zeros(0)])


def _place(tensors: list[tuple[str, Tensor]], number: int) -> str:
    for label, x in tensors:
        if number < x.size:
            index = np.unravel_index(number, x.shape)
            return f"{label}[{', '.join(str(int(i)) for i in index)}]"
        number -= x.size
    raise AssertionError("a number beyond the vector")
