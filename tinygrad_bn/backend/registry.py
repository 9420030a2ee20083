"""Which backends there are, which one is used, and why one cannot be."""

from __future__ import annotations

import difflib
import importlib
import os
import threading
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any

from .base import Backend
from .errors import BackendUnavailableError, UnknownBackendError

VARIABLE = "TINYGRAD_BN_BACKEND"
GROUP = "tinygrad_bn.backends"

Factory = Callable[[str, str], Backend]

_targets: dict[str, str | Factory] = {
    "numpy": "tinygrad_bn.backends.numpy:NumPyBackend",
    "numba": "tinygrad_bn.backends.numba:NumbaBackend",
    "cupy": "tinygrad_bn.backends.cupy:CuPyBackend",
}
_instances: dict[str, Backend] = {}
_lock = threading.RLock()
_default: Backend | None = None
_scoped: ContextVar[Backend | None] = ContextVar("tinygrad_bn_backend", default=None)


def register_backend(name: str, target: str | Factory) -> None:
    """Make a backend known under `name`.

    Args:
        name: a plain word; users may add a device after a colon ('cupy:1').
        target: 'module:Class' or a callable; called as `target(full_name, device)` at first use.

    Raises:
        ValueError: a name that is empty, holds a colon or is taken by another target.
    """
    if not name or ":" in name:
        raise ValueError(f"register_backend: name must be a word without a colon, got {name!r}")
    if _targets.get(name, target) != target:
        raise ValueError(f"register_backend: the name {name!r} is taken by {_targets[name]!r}")
    _targets[name] = target


def _entry_points() -> dict[str, Any]:
    from importlib.metadata import entry_points

    return {e.name: e for e in entry_points(group=GROUP)}


def known_backends() -> tuple[str, ...]:
    """Names of all backends that may be asked for: built-in, registered and plugged in."""
    return tuple(dict.fromkeys((*_targets, *_entry_points())))


def available_backends() -> list[str]:
    """Names of the backends that can run here; each is loaded to find out."""
    found = []
    for name in known_backends():
        try:
            found.append(get_backend(name).name)
        except BackendUnavailableError:
            continue
    return found


def get_backend(name: str, *, source: str = "asked for by name") -> Backend:
    """The backend called `name`, loaded at first use.

    Args:
        name: 'numpy', 'numba', 'cupy', 'cupy:1', or the name of a plug-in.
        source: where the choice came from, for the error message.

    Raises:
        UnknownBackendError: no backend has that name; the nearest one is suggested.
        BackendUnavailableError: it exists and cannot run here; says what to install.
    """
    if not isinstance(name, str):
        raise TypeError(f"get_backend: name must be a string, got {type(name).__name__}")
    with _lock:
        if name not in _instances:
            _instances[name] = _load(name, source)
        return _instances[name]


def _load(name: str, source: str) -> Backend:
    family, _, device = name.partition(":")
    target: Any = _targets.get(family)
    if target is None:
        plugins = _entry_points()
        if family not in plugins:
            raise _unknown(name, source)
        target = plugins[family].value
    if isinstance(target, str):
        target = _resolve(family, target, source)
    try:
        return target(name, device)
    except BackendUnavailableError as error:
        raise BackendUnavailableError(f"backend {name!r} ({source}): {error}") from error


def _resolve(family: str, target: str, source: str) -> Factory:
    module, _, attribute = target.partition(":")
    try:
        loaded = importlib.import_module(module)
    except ImportError as error:
        missing = error.name or module
        raise BackendUnavailableError(
            f"backend {family!r} ({source}) needs the package {missing!r}, which could not be "
            f"imported: {error}. Install it with: pip install 'tinygrad_bn[{family}]'"
        ) from error
    try:
        return getattr(loaded, attribute)
    except AttributeError:
        raise BackendUnavailableError(
            f"backend {family!r} ({source}): module {module!r} has no {attribute!r}"
        ) from None


def _unknown(name: str, source: str) -> UnknownBackendError:
    known = known_backends()
    close = difflib.get_close_matches(name.partition(":")[0], known, n=1)
    hint = f"; did you mean {close[0]!r}?" if close else ""
    return UnknownBackendError(
        f"unknown backend {name!r} ({source}); known are {', '.join(known)}{hint}"
    )


# ---------------------------------------------------------------------------------- selection


def default_backend() -> Backend:
    """The backend that new tensors get: `use_backend`, `set_default_backend`, the environment
    variable TINYGRAD_BN_BACKEND (read once, at first need), or numpy, in this order."""
    global _default
    scoped = _scoped.get()
    if scoped is not None:
        return scoped
    if _default is None:
        chosen = os.environ.get(VARIABLE, "").strip()
        source = f"chosen by the environment variable {VARIABLE}"
        _default = get_backend(chosen, source=source) if chosen else get_backend("numpy")
    return _default


def set_default_backend(backend: str | Backend) -> None:
    """Make `backend` the default of the whole process, whatever the environment says."""
    global _default
    _default = resolve_backend(backend, source="set by set_default_backend")


def resolve_backend(backend: str | Backend | None, *, source: str = "asked for by name") -> Backend:
    """A backend from its name, itself, or None (the default)."""
    if backend is None:
        return default_backend()
    return backend if isinstance(backend, Backend) else get_backend(backend, source=source)


class use_backend:
    """`with use_backend(name):` new tensors of this thread (or task) are made on that backend."""

    def __init__(self, backend: str | Backend) -> None:
        self._backend = resolve_backend(backend, source="asked for by use_backend")
        self._tokens: list[Token[Backend | None]] = []

    def __enter__(self) -> Backend:
        self._tokens.append(_scoped.set(self._backend))
        return self._backend

    def __exit__(self, *exc: object) -> None:
        _scoped.reset(self._tokens.pop())
