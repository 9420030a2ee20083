"""What the compiled form of a function depends on, in a few bytes.

A kernel's fingerprint covers its own code, the values of its closure and defaults, the constants
that it names, and, in the same way, every kernel, intrinsic and function that it calls, with the
implementations that `numba.extending.overload` gives the latter. It is taken from what is loaded,
not from source files, so an edit under a running process cannot mislead it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import CodeType, FunctionType, ModuleType
from typing import Any

from numba.core.typing.templates import builtin_registry

Options = Mapping[str, Any]


def of_function(function: Any, options: Options) -> str:
    """The fingerprint of a Python function that is compiled with `options`."""
    return _digest(_Walk(), function, options)


def of_definition(function: Any, options: Options) -> str:
    """The same without what is found by global names, which may not be defined yet.

    It tells apart the functions of one process that have the same name: those that one function
    makes, and one function compiled with different options.
    """
    return _digest(_Walk(follow=False), function, options)


def _digest(walk: _Walk, function: Any, options: Options) -> str:
    walk.visit(options)
    walk.visit(function)
    return walk.digest.hexdigest()


class _Walk:
    """A hash fed with everything that is reached from where it starts, each thing once."""

    def __init__(self, follow: bool = True) -> None:
        self.digest = hashlib.sha256()
        self._follow = follow
        self._seen: dict[int, int] = {}
        self._alive: list[Any] = []  # what was seen must keep its address

    def add(self, text: str) -> None:
        self.digest.update(text.encode() + b"\0")

    def visit(self, value: Any) -> None:
        """Feed a value: a kernel, a function, a constant."""
        if id(value) in self._seen:
            self.add(f"seen {self._seen[id(value)]}")
            return
        if isinstance(value, CodeType):
            self._code(value)
        elif hasattr(value, "py_func"):  # a dispatcher of Numba
            self._remember(value)
            self.visit(value.targetoptions)
            self.visit(value.py_func)
        elif hasattr(value, "_defn"):  # an intrinsic
            self._remember(value)
            self.visit(value._defn)
        elif isinstance(value, FunctionType):
            self._remember(value)
            self._function(value)
        else:
            self._constant(value)

    def _remember(self, value: Any) -> None:
        self._seen[id(value)] = len(self._seen)
        self._alive.append(value)

    def _function(self, function: FunctionType) -> None:
        self.add(f"function {function.__module__}.{function.__name__}")
        if not _is_ours(function):
            return  # a library's: the folder's key has its version
        for implementation in _overloads(function):
            self.visit(implementation)
        self.visit(function.__code__)
        for cell in function.__closure__ or ():
            self.visit(cell.cell_contents)
        for default in function.__defaults__ or ():
            self.visit(default)
        if self._follow:
            for name in sorted(_names(function.__code__)):
                if name in function.__globals__:
                    self.add(name)
                    self._global(function.__globals__[name], function.__code__)

    def _global(self, value: Any, code: CodeType) -> None:
        """A value found by name; of our own modules, all their members that the code may mean."""
        self.visit(value)
        if isinstance(value, ModuleType) and _is_ours(value):
            for name in sorted(_names(code) & set(vars(value))):
                self.add(name)
                self.visit(vars(value)[name])

    def _code(self, code: CodeType) -> None:
        self.digest.update(code.co_code)
        self.add(repr((code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)))
        self.add(repr((code.co_argcount, code.co_kwonlyargcount, code.co_flags)))
        for constant in code.co_consts:
            self.visit(constant)

    def _constant(self, value: Any) -> None:
        if isinstance(value, tuple | list):
            self.add(f"{type(value).__name__} of {len(value)}")
            for item in value:
                self.visit(item)
        elif isinstance(value, set | frozenset):  # whose order is another in every process
            self.add(f"set {sorted(map(repr, value))}")
        elif isinstance(value, dict):
            self.add(f"dict of {len(value)}")
            for key, item in sorted(value.items()):
                self.add(repr(key))
                self.visit(item)
        elif isinstance(value, ModuleType):
            self.add(f"module {value.__name__}")
        elif hasattr(value, "__module__") and hasattr(value, "__qualname__"):
            self.add(f"{value.__module__}.{value.__qualname__}")
        elif hasattr(value, "tobytes"):
            self.add(f"{type(value).__name__} {value.dtype} {value.shape}")
            self.digest.update(value.tobytes())
        else:
            self.add(f"{type(value).__name__} {value!r}")


def _overloads(function: FunctionType) -> list[Any]:
    """What stands for a function in compiled code."""
    return [
        template._overload_func
        for value, kind in builtin_registry.globals
        if value is function
        for template in kind.templates
        if hasattr(template, "_overload_func")
    ]


def _is_ours(value: Any) -> bool:
    """Whether a function or module is no library's: kernels come from the package and its users."""
    name = value.__name__ if isinstance(value, ModuleType) else value.__module__
    return (name or "").partition(".")[0] not in ("numba", "numpy", "math", "llvmlite", "builtins")


def _names(code: CodeType) -> set[str]:
    """The names that a function and those inside it look up."""
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            found |= _names(constant)
    return found
