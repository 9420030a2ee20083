"""`check_op`: everything that must be true of an operation, in one line."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..backend import Backend, resolve_backend
from ..tensor import Tensor
from .compare import Array, draw_like, flatten, host, name_of, require_close, tensors_of
from .errors import CheckError
from .gradcheck import gradcheck_order
from .layouts import LAYOUTS, tensor_in, values_in
from .problem import vjp

Shapes = Sequence[tuple[int, ...]]


def check_op(
    fn: Callable[..., Any],
    inputs: Sequence[Any],
    reference: Callable[..., Any] | None = None,
    *,
    backends: Sequence[str | Backend | None] = (None,),
    orders: Sequence[int] = (1, 2),
    wrt: Sequence[int] | None = None,
    layouts: Sequence[str] = LAYOUTS,
    float32: bool = True,
    zero_size: bool | Shapes = True,
    accuracy: float = 1e-10,
    accuracy32: float = 1e-5,
    seed: int = 0,
    **metadata: Any,
) -> bool:
    """Check an operation: values, derivatives, precision, layouts, empty arrays, no side effects.

    On every backend: `fn` against `reference`; `gradcheck_order` for every order in `orders`;
    values and derivatives in every layout against those of contiguous arrays; float32 against
    float64; empty arrays. Neither inputs nor cotangents may change.

    Args:
        fn: called as `fn(*inputs, **metadata)`; returns a tensor or a tuple or list of them.
        inputs: arrays or tensors, floating-point ones in float64, whose values become tensors of
            each backend; anything else (numbers, None) is passed on.
        reference: the same function of NumPy arrays, called with the same metadata; None: there is
            none, and values are compared among backends, layouts and precisions only.
        backends: names of backends or backends; None is the default one.
        orders: of the derivatives to check; () for an operation that has none.
        wrt: positions of the inputs to differentiate; default: all floating-point arrays.
        layouts: any of 'contiguous', 'transposed', 'reversed' and 'broadcast' (which repeats the
            first row of the values: not for operations that are undefined there).
        float32: whether to compare float32 with float64.
        zero_size: True: again with the first axis emptied (of the inputs with most axes, where it
            has the length it has in the first of them); shapes for the array inputs, in order; or
            False.
        accuracy: largest error against `reference`, relative to the largest magnitude.
        accuracy32: the same for float32 against float64, values and first derivatives.
        seed: of cotangents and directions.
        metadata: keyword arguments of `fn` and `reference`.

    Returns:
        True.

    Raises:
        CheckError: something is not as it must be (GradcheckError, KinkError: a derivative).
    """
    for backend in backends:
        case = _Case(
            fn,
            [host(x) if isinstance(x, Tensor) else x for x in inputs],
            reference,
            metadata,
            resolve_backend(backend),
            tuple(orders),
            wrt,
            seed,
        )
        case.check_values(accuracy)
        case.check_derivatives()
        for layout in layouts:
            case.check_layout(layout, accuracy)
        if float32:
            case.check_float32(accuracy32)
        if zero_size is not False:
            case.check_empty(None if zero_size is True else zero_size)
    return True


@dataclass
class _Case:
    """One operation on one backend."""

    fn: Callable[..., Any]
    inputs: list[Any]
    reference: Callable[..., Any] | None
    metadata: dict[str, Any]
    backend: Backend
    orders: tuple[int, ...]
    wrt: Sequence[int] | None
    seed: int
    title: str = field(init=False)

    def __post_init__(self) -> None:
        self.title = f"check_op of {name_of(self.fn)} on {self.backend.name!r}"
        if self.wrt is None:
            self.wrt = [i for i, x in enumerate(self.inputs) if _is_float(x)]

    def tensors(self, layout: str, inputs: list[Any]) -> list[Any]:
        """Tensors with the values of `inputs`; leaves where they are differentiated."""
        assert self.wrt is not None
        result = []
        for i, x in enumerate(inputs):
            if isinstance(x, np.ndarray):
                x = tensor_in(layout, x, self.backend)
                x.requires_grad = bool(self.orders) and i in self.wrt
            result.append(x)
        return result

    def call(self, arguments: list[Any]) -> list[Tensor]:
        """The results; the arguments must be untouched."""
        before = [host(x) if isinstance(x, Tensor) else None for x in arguments]
        results = tensors_of(self.title, self.fn(*arguments, **self.metadata))
        for i, (x, values) in enumerate(zip(arguments, before, strict=True)):
            if values is not None and not np.array_equal(host(x), values, equal_nan=True):
                raise CheckError(f"{self.title}: input {i} was changed")
        for i, y in enumerate(results):
            if y._backend is not self.backend:
                raise CheckError(f"{self.title}: result {i} is on backend {y.backend!r}")
        return results

    def check_values(self, accuracy: float) -> None:
        """Against the reference: shapes, dtypes, values."""
        results = self.call(self.tensors("contiguous", self.inputs))
        if self.reference is not None:
            self._against_reference(self.title, results, self.inputs, accuracy)

    def _against_reference(
        self, title: str, results: list[Tensor], inputs: list[Any], accuracy: float
    ) -> None:
        assert self.reference is not None
        expected = flatten(self.reference(*inputs, **self.metadata))
        if len(results) != len(expected):
            raise CheckError(f"{title}: {len(results)} results, expected {len(expected)}")
        for i, (y, e) in enumerate(zip(results, expected, strict=True)):
            if isinstance(e, np.ndarray | np.generic) and y.dtype != e.dtype:
                raise CheckError(f"{title}: result {i} has dtype {y.dtype}, expected {e.dtype}")
            _close(f"{title}: result {i}", host(y), np.asarray(e), accuracy)

    def check_derivatives(self) -> None:
        """Every order against finite differences."""
        assert self.wrt is not None
        for order in self.orders:
            arguments = self.tensors("contiguous", self.inputs)
            gradcheck_order(self._named(), arguments, order, seed=self.seed)

    def _named(self) -> Callable[..., Any]:
        def run(*arguments: Any) -> Any:
            return self.fn(*arguments, **self.metadata)

        run.__name__ = f"{name_of(self.fn)} on {self.backend.name!r}"
        return run

    def derivatives(self, arguments: list[Any], orders: int) -> dict[str, Array]:
        """Values and derivatives up to an order, in random directions."""
        rng = np.random.default_rng(self.seed)
        ys = self.call(arguments)
        values = {f"result {i}": host(y) for i, y in enumerate(ys)}
        xs = [x for x in arguments if isinstance(x, Tensor) and x.requires_grad]
        ys = [y for y in ys if y.requires_grad]
        for order in range(1, orders + 1):
            if not ys:
                break
            gs = [draw_like(rng, y) for y in ys]
            for g in gs:
                g.requires_grad = order < orders
            given = [host(g) for g in gs]
            ys = vjp(ys, xs, gs, create_graph=order < orders)
            for i, (g, before) in enumerate(zip(gs, given, strict=True)):
                if not np.array_equal(host(g), before, equal_nan=True):
                    raise CheckError(f"{self.title}: backward changed cotangent {i}")
            values |= {f"derivative {i} of order {order}": host(y) for i, y in enumerate(ys)}
            xs = [*xs, *gs]
        return values

    def check_layout(self, layout: str, accuracy: float) -> None:
        """Values and derivatives in a layout against those of contiguous arrays."""
        inputs = [values_in(layout, x) if isinstance(x, np.ndarray) else x for x in self.inputs]
        top = max(self.orders, default=0)
        expected = self.derivatives(self.tensors("contiguous", inputs), top)
        got = self.derivatives(self.tensors(layout, inputs), top)
        title = f"{self.title}, layout {layout!r}"
        for label, value in got.items():
            _close(f"{title}: {label}", value, expected[label], accuracy)

    def check_float32(self, accuracy: float) -> None:
        """float32 against float64, of the same rounded inputs."""
        top = min(max(self.orders, default=0), 1)
        small = [x.astype(np.float32) if _is_float(x) else x for x in self.inputs]
        wide = [x.astype(np.float64) if _is_float(x) else x for x in small]
        expected = self.derivatives(self.tensors("contiguous", wide), top)
        got = self.derivatives(self.tensors("contiguous", small), top)
        for label, value in got.items():
            dtype = expected[label].dtype
            if dtype == np.float64 and value.dtype != np.float32 and _has_float(small):
                raise CheckError(f"{self.title}: float32 inputs give {label} of {value.dtype}")
            _close(f"{self.title}: float32 {label}", value, expected[label], accuracy)

    def check_empty(self, shapes: Shapes | None) -> None:
        """Empty arrays: the reference's shapes, and gradients of the inputs' shapes."""
        inputs = _emptied(self.title, self.inputs, shapes)
        title = f"{self.title}, empty arrays {[x.shape for x in inputs if _is_array(x)]}"
        arguments = self.tensors("contiguous", inputs)
        results = self.call(arguments)
        if self.reference is not None:
            self._against_reference(title, results, inputs, 0.0)
        tracked = [y for y in results if y.requires_grad]
        xs = [x for x in arguments if isinstance(x, Tensor) and x.requires_grad]
        if tracked and xs:
            gradients = vjp(tracked, xs, [y.detach() for y in tracked], create_graph=True)
            for x, d in zip(xs, gradients, strict=True):
                if d.shape != x.shape:
                    raise CheckError(f"{title}: gradient of shape {d.shape} for {x.shape}")


def _is_array(x: Any) -> bool:
    return isinstance(x, np.ndarray)


def _is_float(x: Any) -> bool:
    return isinstance(x, np.ndarray) and x.dtype.kind == "f"


def _has_float(inputs: list[Any]) -> bool:
    return any(_is_float(x) for x in inputs)


def _close(what: str, got: Array, expected: Array, accuracy: float) -> None:
    """Error relative to each value, and to the largest where values cancel."""
    finite = expected[np.isfinite(expected)] if expected.dtype.kind in "fc" else np.zeros(0)
    largest = float(np.abs(finite).max(initial=0.0))
    require_close(what, got, expected, rtol=accuracy, atol=accuracy * max(1.0, largest))


def _emptied(title: str, inputs: list[Any], shapes: Shapes | None) -> list[Any]:
    """The inputs with no elements left in them."""
    arrays = [x for x in inputs if _is_array(x)]
    if shapes is None:
        most = max((x.ndim for x in arrays), default=0)
        if most == 0:
            return inputs
        n = next(x.shape[0] for x in arrays if x.ndim == most)
        shapes = [
            (0, *x.shape[1:]) if x.ndim == most and x.shape[0] == n else x.shape for x in arrays
        ]
    if len(shapes) != len(arrays):
        raise ValueError(f"{title}: zero_size gives {len(shapes)} shapes for {len(arrays)} arrays")
    rest = iter(zip(arrays, shapes, strict=True))
    return [_cut(*next(rest)) if _is_array(x) else x for x in inputs]


def _cut(x: Array, shape: tuple[int, ...]) -> Array:
    """An array of the dtype of `x`, in a shape: its own values if they fit, else ones."""
    return x if x.shape == shape else np.ones(shape, dtype=x.dtype)
