"""`capture`: a training step recorded once on the device and then launched as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from ..autograd.graph import Variable
from ..autograd.runtime import make
from ..backend import Backend
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
        self._backend: Backend | None = None
        self._recorder: Any = None
        self._inputs: list[Any] = []
        self._outputs: Any = None
        self._frozen: Any = None
        self._bound: list[tuple[_Cell, Any]] = []
        self._recorded = False

    def __call__(self, *inputs: Tensor) -> Any:
        """One step on these inputs; the outputs are valid until the next call."""
        backend = self._check(inputs)
        if self._recorder is None:
            self._recorder, self._backend = backend.recorder(), backend
            kept = _copies(backend, inputs)  # that lie in memory as those of the recording will
            with self._recorder.rehearsing():
                return _detached(self.function(*kept))
        if not self._recorded:
            self._record(inputs)
        elif self._frozen != self._constants():
            raise RuntimeError(
                "capture: an option of an optimizer or the mode of a module has changed since the "
                "step was recorded, in which it is a constant; call reset() to record it anew"
            )
        self._bring_back(backend)
        for kept, x in zip(self._inputs, inputs, strict=True):
            kept._data = backend.write(kept._data, ..., x._data)
        self._recorder.launch()
        return self._outputs

    def _bring_back(self, backend: Backend) -> None:
        """Put state that has got new arrays since (by an ordinary step, or loaded) to where the
        recording reads it."""
        for cell, array in self._bound:
            now = cell.array
            if now is not array:
                cell.array = backend.write(array, ..., now)

    def reset(self) -> None:
        """Forget the recording: the next call runs ordinarily, the one after it is recorded."""
        self._recorder, self._inputs, self._outputs = None, [], None
        self._bound, self._recorded = [], False

    # ---------------------------------------------------------------------------- recording

    def _record(self, inputs: tuple[Tensor, ...]) -> None:
        """Record the function on copies of the inputs; nothing runs."""
        assert self._backend is not None
        self._check_state()
        B = self._backend
        kept = _copies(B, inputs)
        cells = list(self._cells())
        before = [cell.array for cell in cells]
        try:
            with self._recorder.recording():
                outputs = _detached(self.function(*kept))
                self._write_back(B, cells, before)
        except Exception as error:
            for cell, array in zip(cells, before, strict=True):
                cell.array = array
            raise RuntimeError(f"capture: the step cannot be recorded: {error}") from error
        self._inputs, self._outputs, self._frozen = kept, outputs, self._constants()
        self._bound = list(zip(cells, before, strict=True))
        self._recorded = True

    def _write_back(self, B: Backend, cells: list[_Cell], before: list[Any]) -> None:
        """Let new arrays of the state end where the old ones lie, from which a launch reads."""
        if {c.place for c in self._cells()} - {c.place for c in cells}:
            raise RuntimeError("arrays of state appeared that the first call had not made")
        for cell, old in zip(cells, before, strict=True):
            new = cell.array
            if new is not old:
                cell.array = B.write(old, ..., new)

    def _tensors(self) -> Iterator[Tensor]:
        """Parameters and buffers of the state."""
        for item in self._state:
            if isinstance(item, Module):
                yield from item.parameters()
                yield from item.buffers()
            else:
                yield from [p for group in item.param_groups for p in group["params"]]

    def _cells(self) -> Iterator[_Cell]:
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
        if self._recorded:
            given = [(x.shape, x.dtype.name, x.backend) for x in inputs]
            expected = [(x.shape, x.dtype.name, x.backend) for x in self._inputs]
            if given != expected:
                raise ValueError(
                    f"capture: the step was recorded for {expected}, got {given}; call its "
                    "`function` for a batch of another size"
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


def _copies(B: Backend, inputs: tuple[Tensor, ...]) -> list[Tensor]:
    return [make(B, B.copy(x._data), None) for x in inputs]


def _detached(value: Any) -> Any:
    """Outputs without their graphs."""
    if isinstance(value, Tensor):
        return value.detach()
    if isinstance(value, tuple | list):
        return type(value)(_detached(v) for v in value)
    if isinstance(value, dict):
        return {key: _detached(v) for key, v in value.items()}
    return value


def capture(function: Callable[..., Any], *state: State) -> CapturedStep:
    """`function(*inputs)`, recorded on the device at its second call and then launched as a whole.

    A launch costs the host a few microseconds, whatever the step does, so small networks train
    several times as fast. Every call is one step: the first runs ordinarily (kernels are compiled,
    products planned, momentum buffers made), the second is recorded and launched, later ones copy
    their inputs to where the recording reads them and launch it.

        step = capture(train_on, model, optimizer)
        for x, y in loader:
            loss = step(x, y)

    What Python computes is part of the recording as it was then: control flow, an optimizer's
    options (a change is noticed, see `CapturedStep.reset`). What needs the host cannot be
    recorded: reading a value, random numbers (dropout), Adam's count of steps, boolean masks as an
    index. Labels and positions are not checked in a launch. The function must end with
    `zero_grad`: a gradient left behind would be added to.

    Args:
        function: takes tensors of one backend, always of the same shapes and dtypes.
        state: the modules and optimizers that it changes.

    Raises:
        TypeError: state of another kind, or inputs that are no tensors.
        ValueError: other shapes or dtypes than those recorded, or a backend on which operations
            are not queued, so that there is nothing to record.
        RuntimeError: the step does something that cannot be recorded; says what.
    """
    return CapturedStep(function, *state)
