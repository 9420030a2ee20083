"""A step recorded as the calls that it makes of a backend, and carried out again without the rest.

Most of a small step's time goes into what surrounds the calls: tensors, the graph, its walk back.
While a step is recorded, its tensors hold stand-ins for arrays (`Traced`) on a stand-in for the
backend (`TapeBackend`); each call goes on to the backend and is noted. The notes become a Python
function of straight-line code, which drops every array after its last use.

A stand-in gives away shape and dtype, but no values: what would decide by them is refused. Calls
whose results hold no array, such as the check of labels, are not repeated.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from . import rng
from .quiet import hush, quiet, unhush

Step = Callable[[Any, list[Any], list[Any]], tuple[list[Any], list[Any]]]
"""(backend, inputs, state) to (outputs, state), of raw arrays."""

_AS_THEY_ARE = frozenset(("dtype_of", "has_dtype", "native", "outside", "storage"))
"""Methods that tell something of an array that no launch asks again."""
_REFUSED = {
    "to_numpy": "reading a value on the host",
    "from_numpy": "making an array of new data",
    "upload": "making an array of new data",
    "recorder": "capture",
}


class Traced:
    """Stands for an array while a step is recorded.

    Attributes:
        array: what it is in the recording.
        slot: its number among all arrays of the step.
        shared: whether another stand-in has the same array.
    """

    __slots__ = ("array", "shared", "slot", "tape")
    __array_ufunc__ = None  # NumPy leaves operators between its arrays and these to these
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, tape: Tape, array: Any, slot: int) -> None:
        self.tape, self.array, self.slot, self.shared = tape, array, slot, False

    @property
    def shape(self) -> Any:
        """That of the array, as are the following."""
        return self.array.shape

    @property
    def dtype(self) -> Any:
        return self.array.dtype

    @property
    def ndim(self) -> int:
        return int(self.array.ndim)

    @property
    def size(self) -> Any:
        return self.array.size

    @property
    def T(self) -> Any:
        return self.tape.call(operator.attrgetter("T"), (self,), {})

    @property
    def mT(self) -> Any:
        return self.tape.call(operator.attrgetter("mT"), (self,), {})

    def _value(self, *_: Any) -> Any:
        raise refusal("reading a value on the host")

    __bool__ = __float__ = __int__ = __index__ = __complex__ = _value
    __array__ = __iter__ = __len__ = __contains__ = _value


def _forward(function: Any) -> Any:
    return lambda self, other: self.tape.call(function, (self, other), {})


def _reflected(function: Any) -> Any:
    return lambda self, other: self.tape.call(function, (other, self), {})


def _unary(function: Any) -> Any:
    return lambda self: self.tape.call(function, (self,), {})


for _name in (
    *("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul"),
    *("and_", "or_", "xor", "lshift", "rshift"),
):
    _word = _name.rstrip("_")
    setattr(Traced, f"__{_word}__", _forward(getattr(operator, _name)))
    setattr(Traced, f"__r{_word}__", _reflected(getattr(operator, _name)))
    setattr(Traced, f"__i{_word}__", _forward(getattr(operator, f"i{_word}")))
for _name in ("lt", "le", "gt", "ge", "eq", "ne", "getitem"):
    setattr(Traced, f"__{_name}__", _forward(getattr(operator, _name)))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Traced, f"__{_name}__", _unary(getattr(operator, _name)))


def refusal(what: str) -> RuntimeError:
    """The error for what a recording cannot hold."""
    return RuntimeError(
        f"{what}: not possible while a step is being captured; do it outside the captured function"
    )


class TapeBackend:
    """A backend as the step sees it that is being recorded: methods take and give stand-ins."""

    array_type = Traced

    def __init__(self, backend: Any, tape: Tape) -> None:
        self._backend, self._tape = backend, tape

    def __getattr__(self, name: str) -> Any:
        if name in _REFUSED:
            raise refusal(_REFUSED[name])
        value = getattr(self._backend, name)
        if not callable(value):
            return value

        def found(*args: Any, **kwargs: Any) -> Any:
            if name in _AS_THEY_ARE:
                return value(*_array(args), **_array(kwargs))
            return self._tape.call(value, args, kwargs)

        setattr(self, name, found)  # found at once next time
        return found

    def owns_memory(self, array: Traced) -> bool:
        """Never, if a method gave back what it got: its stand-in is not the only one."""
        return not array.shared and self._backend.owns_memory(array.array)

    def asarray(self, value: Any, dtype: Any = None, copy: bool | None = None) -> Any:
        """A stand-in, or numbers that Python has worked out, as an array."""
        if not all(isinstance(v, Traced | bool | int | float | complex) for v in _arrays(value)):
            raise refusal(_REFUSED["from_numpy"])
        return self._tape.call(self._backend.asarray, (value, dtype, copy), {})


class Tape:
    """The calls of a step, in order, as lines of source."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._slots = 0
        self._constants: dict[int, tuple[str, Any]] = {}
        self._lines: list[tuple[str, list[int], list[int]]] = []  # source, slots read and made

    def stand_in(self, array: Any) -> Traced:
        """For an array that a later line, or nobody, fills the slot of."""
        self._slots += 1
        return Traced(self, array, self._slots)

    def call(self, function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What `function` gives; a line more if that holds arrays, refused if it tells of some."""
        given = [a for a in _arrays((args, kwargs)) if isinstance(a, Traced)]
        with quiet():
            result = function(*_array(args), **_array(kwargs))
        made: list[tuple[Traced, bool]] = []
        out = self._standing_in(result, given, made)
        if not made:
            if given:
                raise refusal("reading a value on the host")
            return out
        lines = [f"{_target(out)} = {self._name(function)}({self._arguments(args, kwargs)})"]
        wrap = self._name(self._backend.wrap)
        lines += [f"a{t.slot} = {wrap}(a{t.slot})" for t, scalar in made if scalar]
        reads, makes = [t.slot for t in given], [t.slot for t, _ in made]
        self._lines.append(("\n    ".join(lines), reads, makes))
        return out

    def _standing_in(self, value: Any, given: list[Traced], made: list[Any]) -> Any:
        """A result with stand-ins for its arrays, which are added to `made`."""
        if isinstance(value, tuple | list):
            parts = [self._standing_in(v, given, made) for v in value]
            return parts if isinstance(value, list) else tuple(parts)
        scalar = not isinstance(value, self._backend.array_type)
        if scalar and not (hasattr(value, "dtype") and hasattr(value, "shape")):
            return value
        t = self.stand_in(self._backend.wrap(value) if scalar else value)
        for other in given:
            if other.array is value:
                other.shared = t.shared = True
        made.append((t, scalar))
        return t

    def _name(self, constant: Any) -> str:
        """The global under which the code finds an object."""
        name, _ = self._constants.setdefault(id(constant), (f"c{len(self._constants)}", constant))
        return name

    def _arguments(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        named = [f"{key}={self._source(value)}" for key, value in kwargs.items()]
        return ", ".join([*map(self._source, args), *named])

    def _source(self, value: Any) -> str:
        """An expression for an argument."""
        if isinstance(value, Traced):
            return f"a{value.slot}"
        if isinstance(value, tuple | list) and any(isinstance(a, Traced) for a in _arrays(value)):
            inner = ", ".join(map(self._source, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner},)"
        return self._name(value)

    def code(self, arguments: Sequence[Traced], results: Sequence[Traced]) -> Callable[..., Any]:
        """The function of arrays in the place of `arguments` that repeats all calls and returns
        those in the place of `results`."""
        kept = {t.slot for t in results}
        last = {slot: i for i, line in enumerate(self._lines) for slot in (*line[2], *line[1])}
        lines = [f"def step({', '.join(f'a{t.slot}' for t in arguments)}):"]
        for i, (line, reads, makes) in enumerate(self._lines):
            lines.append(f"    {line}")
            done = [s for s in dict.fromkeys((*reads, *makes)) if last[s] == i and s not in kept]
            if done:
                lines.append(f"    del {', '.join(f'a{s}' for s in done)}")
        lines.append(f"    return [{', '.join(f'a{t.slot}' for t in results)}]")
        names = dict(self._constants.values())
        exec(compile("\n".join(lines), "<tinygrad_bn captured step>", "exec"), names)
        return names["step"]


def _arrays(value: Any) -> Iterator[Any]:
    """What is in nested tuples, lists and dictionaries."""
    if isinstance(value, dict):
        value = tuple(value.values())
    if isinstance(value, tuple | list):
        for v in value:
            yield from _arrays(v)
    else:
        yield value


def _array(value: Any) -> Any:
    """The same value with arrays in the place of stand-ins."""
    if isinstance(value, Traced):
        return value.array
    if isinstance(value, dict):
        return {key: _array(v) for key, v in value.items()}
    if type(value) in (tuple, list):
        return type(value)(map(_array, value))
    return value


def _target(out: Any) -> str:
    """What a result is assigned to."""
    if isinstance(out, Traced):
        return f"a{out.slot}"
    if isinstance(out, tuple | list) and any(isinstance(a, Traced) for a in _arrays(out)):
        return f"({', '.join(map(_target, out))},)"
    return "_"


class TapeRecorder:
    """Records a step of a backend that computes at once; see `Backend.recorder`."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self._code: Any = None
        self._outputs = 0

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """Inside the block everything runs as ever."""
        yield

    def record(self, step: Step, inputs: list[Any], state: list[Any]) -> None:
        """Run the step once on copies, which nobody sees, and keep the calls that it makes."""
        tape = Tape(self._backend)
        streams = rng.get_state()
        copies = [tape.stand_in(self._backend.copy(a)) for a in (*inputs, *state)]
        split = len(inputs)
        try:
            outputs, after = step(TapeBackend(self._backend, tape), copies[:split], copies[split:])
        finally:
            rng.set_state(streams)
        self._outputs = len(outputs)
        self._code = tape.code(copies, [*outputs, *after])

    def launch(self, inputs: list[Any], state: list[Any]) -> tuple[list[Any], list[Any]]:
        """The outputs and the new state, of arrays like those of the recording."""
        tokens = hush()
        try:
            results = self._code(*inputs, *state)
        finally:
            unhush(tokens)
        return results[: self._outputs], results[self._outputs :]
