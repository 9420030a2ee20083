"""`check_backend`: does a backend keep the contract, and agree with the reference?"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import dtypes
from ..backend import Backend, get_backend, resolve_backend
from .cases import REGULAR, Case, Cases, known_cases
from .compare import Array, require_close
from .errors import CheckError
from .layouts import LAYOUTS, array_in, values_in

REQUIRED = ("bool", "int32", "int64", "float32", "float64")
ACCURACY = {"float32": 2e-5, "float64": 1e-11}


@dataclass
class BackendReport:
    """What `check_backend` found.

    Attributes:
        backend: the backend's name.
        proven: methods compared with the reference, with the number of comparisons.
        unproven: overrides for which no arguments are known; give some in `cases`.
        failures: what is wrong, each beginning with the method's name.
    """

    backend: str
    proven: dict[str, int] = field(default_factory=dict)
    unproven: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        lines = [f"backend {self.backend!r}: {len(self.proven)} methods agree with the reference"]
        if self.unproven:
            lines.append(f"not compared, for want of arguments: {', '.join(self.unproven)}")
        return "\n".join([*lines, *(f"wrong: {f}" for f in self.failures)])


def check_backend(
    backend: str | Backend,
    *,
    cases: Cases | None = None,
    seed: int = 0,
    raise_exception: bool = True,
) -> BackendReport:
    """Check a backend: signatures, dtypes, conversions, memory, random numbers, and every method
    with known arguments against the reference over NumPy, in all its dtypes and layouts.

    Args:
        backend: a backend or its name.
        cases: further arguments for methods, by name: lists of pairs `(args, kwargs)` in which
            NumPy arrays stand for arrays of the backend.
        seed: of the arguments drawn.
        raise_exception: raise if something is wrong; else see the report's `failures`.

    Returns:
        A report, which prints as text.

    Raises:
        CheckError: something is wrong; the message lists every failure with the method's name.
    """
    kit = _Kit(resolve_backend(backend), seed)
    for check in (kit.signatures, kit.dtypes, kit.conversion, kit.memory, kit.random):
        kit.attempt(check.__name__, check)
    known = known_cases(seed)
    for name, more in (cases or {}).items():
        known[name] = [*known.get(name, []), *more]
    for name, group in known.items():
        kit.attempt(name, functools.partial(kit.method, name, group))
    proven = kit.report.proven
    kit.report.unproven = [n for n in kit.overrides() if n not in proven and n not in known]
    if raise_exception and kit.report.failures:
        raise CheckError(str(kit.report))
    return kit.report


CONTRACT = frozenset(
    [
        *("from_numpy", "to_numpy", "asarray", "wrap", "copy", "storage", "owns_memory", "write"),
        *("native", "dtype_of", "has_dtype", "make_generator", "synchronize", "astype"),
        *("activate", "upload", "recorder"),
        *("empty", "zeros", "ones", "full", "arange", "linspace", "eye"),
    ]
)
"""Methods that are checked by their meaning, not against the reference."""


class _Kit:
    """The checks, collecting failures."""

    def __init__(self, backend: Backend, seed: int) -> None:
        self.backend = backend
        self.reference = _reference()
        self.report = BackendReport(backend.name)
        self.seed = seed

    def attempt(self, name: str, check: Callable[[], None]) -> None:
        """Run a check; whatever it raises is a failure of the backend."""
        try:
            check()
        except Exception as error:
            text = str(error) if isinstance(error, CheckError) else repr(error)
            self.report.failures.append(text if text.startswith(name) else f"{name}: {text}")

    def require(self, condition: object, message: str) -> None:
        """Note a failure unless the condition holds."""
        if not condition:
            self.report.failures.append(message)

    def overrides(self) -> list[str]:
        """Public methods that the backend's own classes define."""
        base = set(Backend.__mro__)
        own = [c for c in type(self.backend).__mro__ if c not in base]
        names = {n for c in own for n, v in vars(c).items() if callable(v) and n[0] != "_"}
        return sorted(n for n in names - CONTRACT if not isinstance(getattr(Backend, n, 0), type))

    # ------------------------------------------------------------------------- the contract

    def signatures(self) -> None:
        """An override takes what the reference takes."""
        for name in (*self.overrides(), *sorted(CONTRACT)):
            reference = getattr(Backend, name, None)
            if reference is None:
                continue
            expected = _parameters(reference)
            got = _parameters(getattr(type(self.backend), name))
            self.require(
                got == expected,
                f"{name}: signature ({', '.join(got)}), the reference has ({', '.join(expected)})",
            )

    def dtypes(self) -> None:
        """Names, dtype objects and arrays translate both ways."""
        B = self.backend
        for name in REQUIRED:
            self.require(B.has_dtype(dtypes.BY_NAME[name]), f"has_dtype: {name} is required")
        for name, dtype in dtypes.BY_NAME.items():
            if not B.has_dtype(dtype):
                continue
            native = B.native(dtype)
            same = B.native(native) == native and B.native(name) == native
            self.require(same, f"native: {name} is not what its own native dtype stands for")
            array = B.from_numpy(np.ones(3, dtype=dtype))
            self.require(B.dtype_of(array) == dtype, f"dtype_of: not {name} after from_numpy")
            floating = array.dtype in B.floating
            self.require(floating == (dtype.kind in "fc"), f"floating: wrong for {name}")

    def conversion(self) -> None:
        """Values survive the way to the backend and back, in any layout and size."""
        B = self.backend
        rng = np.random.default_rng(self.seed)
        for dtype in (d for d in dtypes.BY_NAME.values() if B.has_dtype(d)):
            for shape in ((), (0,), (1,), (3, 4), (2, 0, 3), (5, 7, 11)):
                values = np.asarray(rng.integers(0, 2, shape)).astype(dtype)
                for view in (values, values.T, values[::-1] if values.ndim else values):
                    array = B.from_numpy(view)
                    self._is_array("from_numpy", array)
                    back: Any = B.to_numpy(array)
                    same = isinstance(back, np.ndarray) and back.dtype == dtype
                    self.require(same, f"to_numpy: no NumPy array of {dtype.name}")
                    require_close(f"to_numpy: {dtype.name}", back, view, rtol=0.0, atol=0.0)
        self._is_array("wrap", B.wrap(1.5))
        for made in (B.zeros((2,), dtype="float32"), B.full((2,), 1, dtype="int64")):
            self._is_array("zeros, full", made)

    def _is_array(self, name: str, value: Any) -> None:
        kind = type(value).__name__
        expected = self.backend.array_type
        self.require(type(value) is expected, f"{name}: gave {kind}, not {expected.__name__}")

    def memory(self) -> None:
        """Copies are independent, and what is said about views is true."""
        B = self.backend
        base = B.from_numpy(np.arange(6.0), copy=True)
        twin = B.copy(base)
        base = B.write(base, 0, 9.0)
        self.require(float(B.to_numpy(base)[0]) == 9.0, "write: the value did not arrive")
        self.require(float(B.to_numpy(twin)[0]) == 0.0, "copy: shares memory with the original")
        host = np.arange(6.0)
        upload = B.write(B.from_numpy(host, copy=True), 0, 9.0)
        self.require(host[0] == 0.0, "from_numpy: copy=True shares memory with the host's array")
        self.require(float(B.to_numpy(upload)[0]) == 9.0, "write: the value did not arrive")
        view = base[1:]
        if B.write(view, 0, 7.0) is view and float(B.to_numpy(base)[1]) == 7.0:
            self.require(not B.owns_memory(view), "owns_memory: True for a view")
            shared = B.storage(view) is B.storage(base)
            self.require(shared, "storage: a view and its base give two objects")

    def random(self) -> None:
        """A seed repeats, a state returns, numbers are where they belong."""
        B = self.backend
        one, two = B.make_generator(5), B.make_generator(5)
        self.require(_draws(B, one) == _draws(B, two), "make_generator: a seed does not repeat")
        state = one.get_state()
        first = _draws(B, one)
        one.set_state(state)
        self.require(_draws(B, one) == first, "make_generator: set_state does not return")
        other = _draws(B, B.make_generator(6))
        self.require(other != first, "make_generator: two seeds give the same numbers")
        numbers = np.asarray(_host(B, one.uniform((1000,), np.float32)))
        inside = numbers.min() >= 0 and numbers.max() < 1
        self.require(inside, "make_generator: uniform leaves [0, 1)")
        order = np.sort(_host(B, one.permutation(50)))
        whole = order.tolist() == list(range(50))
        self.require(whole, "make_generator: permutation is none")

    # ------------------------------------------------------------------------- the methods

    def method(self, name: str, cases: list[Case]) -> None:
        """One method against the reference, over dtypes and layouts."""
        count = 0
        for args, options in cases:
            for dtype in ("float32", "float64"):
                if not self.backend.has_dtype(dtypes.BY_NAME[dtype]):
                    continue
                for layout in LAYOUTS:
                    if layout == "broadcast" and name in REGULAR:
                        continue
                    self._compare(name, args, options, np.dtype(dtype), layout)
                    count += 1
        self.report.proven[name] = count

    def _compare(
        self, name: str, args: tuple[Any, ...], options: dict[str, Any], dtype: Any, layout: str
    ) -> None:
        """One call; the arguments must come out as they went in."""
        values = [values_in(layout, _cast(a, dtype)) if _is_array(a) else a for a in args]
        expected = self._expected(name, values, options, dtype)
        B = self.backend
        arrays = [array_in(layout, v, B) if _is_array(v) else v for v in values]
        got = getattr(B, name)(*arrays, **_keywords(B, options))
        what = f"{name}: {_describe(values, options)} {dtype.name} {layout}"
        for i, (a, v) in enumerate(zip(arrays, values, strict=True)):
            if _is_array(v) and not np.array_equal(B.to_numpy(a), v):
                raise CheckError(f"{what}: argument {i} was changed")
        for e, g in zip(_parts(expected), _parts(got), strict=True):
            if type(g) is not B.array_type and type(B.wrap(g)) is not B.array_type:
                raise CheckError(f"{what}: gave {type(g).__name__}")
            host = B.to_numpy(B.wrap(g))
            e = np.asarray(e)
            if host.dtype != e.dtype:
                raise CheckError(f"{what}: dtype {host.dtype}, the reference gives {e.dtype}")
            scale = float(np.abs(e).max(initial=1.0)) if e.dtype.kind == "f" else 1.0
            rtol = ACCURACY[dtype.name]
            require_close(what, host, e, rtol=rtol, atol=rtol * scale)

    def _expected(self, name: str, values: list[Any], options: dict[str, Any], dtype: Any) -> Any:
        """The reference's answer, computed in float64 and returned in the dtype asked for."""
        R = self.reference
        keywords = _keywords(R, options)
        plain = getattr(R, name)(*values, **keywords)
        wide = [_cast(v, np.dtype("float64")) if _is_array(v) else v for v in values]
        exact = getattr(R, name)(*wide, **keywords)
        return [
            np.asarray(e).astype(np.asarray(p).dtype)
            for e, p in zip(_parts(exact), _parts(plain), strict=True)
        ]


def _reference() -> Backend:
    """The base class over NumPy, without any override but for what NumPy's namespace lacks."""
    reference = Backend(np, np.ndarray, "reference")
    for name in ("sort", "argsort"):
        setattr(reference, name, getattr(get_backend("numpy"), name))
    return reference


def _parameters(method: Any) -> list[str]:
    """Names, kinds and defaults of a method's parameters, without annotations."""
    signature = inspect.signature(method)
    bare = [p.replace(annotation=inspect.Parameter.empty) for p in signature.parameters.values()]
    return [f"{'*, ' * (p.kind is p.KEYWORD_ONLY)}{p}" for p in bare if p.name != "self"]


def _draws(B: Backend, generator: Any) -> list[Any]:
    arrays = (
        generator.uniform((3, 2), np.float64),
        generator.normal((4,), np.float32),
        generator.integers(0, 1000, (5,), np.int64),
        generator.permutation(6),
    )
    return [_host(B, a).tolist() for a in arrays]


def _host(B: Backend, array: Any) -> Array:
    return array if isinstance(array, np.ndarray) else B.to_numpy(array)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _cast(value: Array, dtype: Any) -> Array:
    return value.astype(dtype) if value.dtype.kind == "f" else value


def _keywords(B: Backend, options: dict[str, Any]) -> dict[str, Any]:
    """Keyword arguments with arrays of the backend and its own dtypes."""
    return {name: _native(B, value) for name, value in options.items()}


def _native(B: Backend, value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple([_native(B, v) for v in value])
    if _is_array(value):
        return B.from_numpy(value)
    return B.native(value) if isinstance(value, np.dtype) else value


def _parts(result: Any) -> list[Any]:
    if isinstance(result, tuple | list):
        return [part for item in result for part in _parts(item)]
    return [] if result is None else [result]


def _describe(values: list[Any], options: dict[str, Any]) -> str:
    parts = [str(v.shape) if _is_array(v) else repr(v) for v in values]
    return ", ".join([*parts, *(f"{k}={v!r}" for k, v in options.items())])
