"""`capture`: a training step recorded once and then launched as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from ..autograd.graph import Variable
from ..autograd.runtime import make
from ..backend import Backend, BackendMismatchError
from ..nn import Module
from ..optim import Optimizer
from ..tensor import Tensor

State = Module | Optimizer


class CapturedStep:
    """A step that is recorded at its second call and launched from then on; see `capture`.

    Attributes:
        function: the step as it was given, for batches of another size.
    """

    def __init__(self, function: Callable[..., Any], *state: State) -> None:
        for item in state:
            if not isinstance(item, Module | Optimizer):
                raise TypeError(
                    f"capture: state must be modules and optimizers, got {type(item).__name__}"
                )
        self.function = function
        self._state = state
        self.reset()

    def reset(self) -> None:
        """Forget the recording: the next call runs ordinarily, the one after it is recorded."""
        self._recorder: Any = None
        self._cells: list[_Cell] = []
        self._given: Any = None  # shapes, dtypes and backends of the inputs; None: not recorded
        self._frozen: Any = None
        self._outputs: Any = None
        self._filled: list[Tensor] = []  # the tensors in the outputs

    def __call__(self, *inputs: Tensor) -> Any:
        """One step on these inputs; the outputs are valid until the next call."""
        backend = self._check(inputs)
        if self._recorder is None:
            self._recorder = backend.recorder()
            kept = [make(backend, backend.copy(x._data), None) for x in inputs]
            with self._recorder.rehearsing():  # on what lies in memory as the recording's will
                return _detached(self.function(*kept), [])
        if self._given is None:
            self._record(backend, inputs)
        elif self._frozen != self._constants():
            raise RuntimeError(
                "capture: an option of an optimizer or the mode of a module has changed since the "
                "step was recorded, in which it is a constant; call reset() to record it anew"
            )
        outputs, state = self._recorder.launch(
            [x._data for x in inputs], [cell.array for cell in self._cells]
        )
        for tensor, array in zip(self._filled, outputs, strict=True):
            tensor._data = array
        for cell, array in zip(self._cells, state, strict=True):
            cell.array = array
        return self._outputs

    # ---------------------------------------------------------------------------- recording

    def _record(self, backend: Backend, inputs: tuple[Tensor, ...]) -> None:
        """Record the function; the state is as before."""
        self._check_state()
        cells = list(self._found())
        before = [cell.array for cell in cells]

        def step(stand_in: Any, arrays: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
            with _on(stand_in, self._tensors()):
                for cell, array in zip(cells, state, strict=True):
                    cell.array = array
                filled: list[Tensor] = []
                outputs = self.function(*[make(stand_in, a, None) for a in arrays])
                self._outputs, self._filled = _detached(outputs, filled), filled
                if {c.place for c in self._found()} - {c.place for c in cells}:
                    raise RuntimeError("arrays of state appeared that the first call had not made")
                return [t._data for t in filled], [cell.array for cell in cells]

        try:
            self._recorder.record(step, [x._data for x in inputs], before)
        except Exception as error:
            why = error
            if isinstance(error, BackendMismatchError):
                why = RuntimeError("it uses a tensor that is neither an input nor of the state")
            raise RuntimeError(f"capture: the step cannot be recorded: {why}") from error
        finally:
            for cell, array in zip(cells, before, strict=True):
                cell.array = array
        for tensor in self._filled:
            tensor._backend = backend
        self._cells, self._frozen, self._given = cells, self._constants(), _described(inputs)

    def _tensors(self) -> Iterator[Tensor]:
        """Parameters and buffers of the state."""
        for item in self._state:
            if isinstance(item, Module):
                yield from item.parameters()
                yield from item.buffers()
            else:
                yield from [p for group in item.param_groups for p in group["params"]]

    def _found(self) -> Iterator[_Cell]:
        """Where the state's arrays are kept: tensors, and what optimizers have gathered."""
        for t in {id(t): t for t in self._tensors()}.values():
            yield _Cell(t)
        for item in self._state:
            if isinstance(item, Optimizer):
                for number, kept in item.state.items():
                    slots = [slot for slot in item.slots if kept.get(slot) is not None]
                    yield from [_Cell(item, (number, slot)) for slot in slots]

    def _check_state(self) -> None:
        """RuntimeError for state that a recording would treat wrongly."""
        if any(t.grad is not None for t in self._tensors()):
            raise RuntimeError(
                "capture: the step leaves gradients behind, to which the next one would add; let "
                "the function end with zero_grad()"
            )
        counted = [i for i in self._state if isinstance(i, Optimizer) and i.state]
        if any("step" in kept for item in counted for kept in item.state.values()):
            raise RuntimeError(
                "capture: the step cannot be recorded: the optimizer counts its steps on the host, "
                "as Adam does for its bias correction; SGD does not"
            )

    def _constants(self) -> Any:
        """What a recording freezes: options and modes."""
        options = [
            {key: value for key, value in group.items() if key != "params"}
            for item in self._state
            if isinstance(item, Optimizer)
            for group in item.param_groups
        ]
        modes = [m.training for i in self._state if isinstance(i, Module) for m in i.modules()]
        return options, modes

    def _check(self, inputs: tuple[Tensor, ...]) -> Backend:
        if not inputs:
            raise ValueError("capture: the step needs at least one input")
        for i, x in enumerate(inputs):
            if not isinstance(x, Variable):
                raise TypeError(f"capture: input {i} must be a tensor, got {type(x).__name__}")
            if x._backend is not inputs[0]._backend:
                raise ValueError(
                    f"capture: inputs are on backends {inputs[0].backend!r} and {x.backend!r}"
                )
        if self._given not in (None, _described(inputs)):
            raise ValueError(
                f"capture: the step was recorded for {self._given}, got {_described(inputs)}; call "
                "its `function` for a batch of another size"
            )
        return inputs[0]._backend


class _Cell:
    """What holds an array of the state: a tensor, or an entry of an optimizer's state."""

    def __init__(self, owner: Any, entry: tuple[int, str] | None = None) -> None:
        self._owner = owner
        self._entry = entry
        self.place = (id(owner), entry)

    @property
    def array(self) -> Any:
        """The array that is there now."""
        if self._entry is None:
            return self._owner._data
        number, slot = self._entry
        return self._owner.state[number][slot]

    @array.setter
    def array(self, value: Any) -> None:
        if self._entry is None:
            self._owner._data = value
        else:
            number, slot = self._entry
            self._owner.state[number][slot] = value


def _described(inputs: tuple[Tensor, ...]) -> list[tuple[tuple[int, ...], str, str]]:
    return [(x.shape, x.dtype.name, x.backend) for x in inputs]


@contextmanager
def _on(backend: Any, tensors: Iterable[Tensor]) -> Iterator[None]:
    """Inside the block these tensors are of another backend."""
    unique = list({id(t): t for t in tensors}.values())
    before = [t._backend for t in unique]
    leaves = [t._node for t in unique if t._node is not None]
    try:
        for t in unique:
            t._backend = backend
        for leaf in leaves:
            leaf.backend = backend
        yield
    finally:
        for t, own in zip(unique, before, strict=True):
            t._backend = own
            if t._node is not None:
                t._node.backend = own


def _detached(value: Any, found: list[Tensor]) -> Any:
    """Outputs without their graphs; their tensors are added to `found`."""
    if isinstance(value, Tensor):
        found.append(value.detach())
        return found[-1]
    if isinstance(value, tuple | list):
        return type(value)(_detached(v, found) for v in value)
    if isinstance(value, dict):
        return {key: _detached(v, found) for key, v in value.items()}
    return value


def capture(function: Callable[..., Any], *state: State) -> CapturedStep:
    """`function(*inputs)`, recorded at its second call and then launched as a whole.

    Small networks train faster: on a GPU a launch costs the host a few microseconds, whatever the
    step does; on other backends it makes the calls that the step makes of its backend, with the
    same results to the bit, without tensors, graph and walk back. Every call is one step: the
    first runs ordinarily (kernels are compiled, products planned, momentum buffers made), the
    second is recorded and launched, later ones are launched.

        step = capture(train_on, model, optimizer)
        for x, y in loader:
            loss = step(x, y)

    What Python computes is part of the recording as it was then: control flow, an optimizer's
    options (a change is noticed, see `CapturedStep.reset`). What cannot be recorded: reading a
    value, new data, other tensors than the inputs and the state (a GPU takes those), drawing
    random numbers (but dropout, on other backends than a GPU's), Adam's count of steps. Labels and
    positions are not checked in a launch. The function must end with `zero_grad`: a gradient left
    behind would be added to.

    Args:
        function: takes tensors of one backend, always of the same shapes and dtypes.
        state: the modules and optimizers that it changes.

    Raises:
        TypeError: state of another kind, or inputs that are no tensors.
        ValueError: other shapes or dtypes than those recorded.
        RuntimeError: the step does something that cannot be recorded; says what.
    """
    return CapturedStep(function, *state)
