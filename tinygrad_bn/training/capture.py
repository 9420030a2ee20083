"""`capture`: a training step recorded once and then launched as a whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
        self._arrays: Any = None  # those of the state
        self._frozen: Any = None
        self._given: Any = None  # shapes, dtypes and backends of the inputs; None: not recorded
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
        elif not self._frozen.hold():
            raise RuntimeError(
                "capture: an option of an optimizer or the mode of a module has changed since the "
                "step was recorded, in which it is a constant; call reset() to record it anew"
            )
        outputs, state = self._recorder.launch([x._data for x in inputs], self._arrays.read())
        self._arrays.write(state)
        for tensor, array in zip(self._filled, outputs, strict=True):
            tensor._data = array
        return self._outputs

    # ---------------------------------------------------------------------------- recording

    def _record(self, backend: Backend, inputs: tuple[Tensor, ...]) -> None:
        """Record the function; the state is as before."""
        self._check_state()
        arrays = _Arrays(self._state)
        before = arrays.read()

        def step(stand_in: Any, given: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
            with arrays.on(stand_in):
                arrays.write(state)
                self._filled = []
                outputs = self.function(*[make(stand_in, a, None) for a in given])
                self._outputs = _detached(outputs, self._filled)
                if not _Arrays(self._state).places() <= arrays.places():
                    raise RuntimeError("arrays of state appeared that the first call had not made")
                return [t._data for t in self._filled], arrays.read()

        try:
            self._recorder.record(step, [x._data for x in inputs], before)
        except Exception as error:
            why = error
            if isinstance(error, BackendMismatchError):
                why = RuntimeError("it uses a tensor that is neither an input nor of the state")
            raise RuntimeError(f"capture: the step cannot be recorded: {why}") from error
        finally:
            arrays.write(before)
        for tensor in self._filled:
            tensor._backend = backend
        self._arrays, self._frozen = arrays, _Constants(self._state)
        self._given = _described(inputs)

    def _check_state(self) -> None:
        """RuntimeError for state that a recording would treat wrongly."""
        if any(t.grad is not None for t in _Arrays(self._state).tensors):
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


class _Arrays:
    """The arrays of the state: those of tensors, and what optimizers have gathered.

    Attributes:
        tensors: parameters and buffers, each once.
    """

    def __init__(self, state: tuple[State, ...]) -> None:
        optimizers = [item for item in state if isinstance(item, Optimizer)]
        found = [t for i in state if isinstance(i, Module) for t in (*i.parameters(), *i.buffers())]
        found += [p for i in optimizers for group in i.param_groups for p in group["params"]]
        self.tensors: list[Tensor] = list({id(t): t for t in found}.values())
        self._gathered = [
            (item, number, slot)
            for item in optimizers
            for number, kept in item.state.items()
            for slot in item.slots
            if kept.get(slot) is not None
        ]

    def places(self) -> set[Any]:
        """Where arrays are, to compare with those of another time."""
        return {id(t) for t in self.tensors} | {(id(i), n, slot) for i, n, slot in self._gathered}

    def read(self) -> list[Any]:
        """The arrays that are there now."""
        gathered = [item.state[number][slot] for item, number, slot in self._gathered]
        return [t._data for t in self.tensors] + gathered

    def write(self, arrays: list[Any]) -> None:
        """Put others there."""
        for t, array in zip(self.tensors, arrays, strict=False):  # the rest is for what follows
            t._data = array
        rest = arrays[len(self.tensors) :]
        for (item, number, slot), array in zip(self._gathered, rest, strict=True):
            item.state[number][slot] = array

    @contextmanager
    def on(self, backend: Any) -> Iterator[None]:
        """Inside the block the tensors are of another backend."""
        before = [t._backend for t in self.tensors]
        try:
            self._move([backend] * len(before))
            yield
        finally:
            self._move(before)

    def _move(self, backends: list[Any]) -> None:
        for t, backend in zip(self.tensors, backends, strict=True):
            t._backend = backend
            if t._node is not None:
                t._node.backend = backend


class _Constants:
    """What a recording freezes: options of optimizers and modes of modules."""

    def __init__(self, state: tuple[State, ...]) -> None:
        optimizers = [item for item in state if isinstance(item, Optimizer)]
        self._options = [
            (item, [dict(group) for group in item.param_groups]) for item in optimizers
        ]
        modules = [m for item in state if isinstance(item, Module) for m in item.modules()]
        self._modes = [(m, m.training) for m in modules]

    def hold(self) -> bool:
        """Whether they are as they were."""
        for module, mode in self._modes:
            if module.training is not mode:
                return False
        return all(item.param_groups == groups for item, groups in self._options)


def _described(inputs: tuple[Tensor, ...]) -> list[tuple[tuple[int, ...], str, str]]:
    return [(x.shape, x.dtype.name, x.backend) for x in inputs]


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
    behind would be added to. While it is recorded, no other thread may use the state.

    Args:
        function: takes tensors of one backend, always of the same shapes and dtypes.
        state: the modules and optimizers that it changes.

    Raises:
        TypeError: state of another kind, or inputs that are no tensors.
        ValueError: other shapes or dtypes than those recorded.
        RuntimeError: the step does something that cannot be recorded; says what.
    """
    return CapturedStep(function, *state)
