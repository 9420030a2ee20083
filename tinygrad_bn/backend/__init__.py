"""Backends: the contract with its reference implementation, the registry, the selection."""

from .base import Backend
from .errors import BackendMismatchError, BackendUnavailableError, UnknownBackendError
from .registry import (
    available_backends,
    default_backend,
    get_backend,
    known_backends,
    register_backend,
    resolve_backend,
    set_default_backend,
    use_backend,
)

__all__ = [
    "Backend",
    "BackendMismatchError",
    "BackendUnavailableError",
    "UnknownBackendError",
    "available_backends",
    "default_backend",
    "get_backend",
    "known_backends",
    "register_backend",
    "resolve_backend",
    "set_default_backend",
    "use_backend",
]
