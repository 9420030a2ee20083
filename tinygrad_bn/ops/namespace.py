"""The Array API standard's view of this package: version and capabilities."""

from __future__ import annotations

import sys
from typing import Any

from ..backend import available_backends, default_backend, resolve_backend
from ..dtypes import BY_NAME, DEFAULT_COMPLEX, DEFAULT_FLOAT, DEFAULT_INT, DType
from .datatype import isdtype

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
__array_api_version__ = "2024.12"

STANDARD = {name: dtype for name, dtype in BY_NAME.items() if name != "float16"}
"""The dtypes that the standard knows."""


def namespace_for(api_version: str | None) -> Any:
    """The package itself, if it offers that version of the standard."""
    if api_version is not None and api_version not in API_VERSIONS:
        raise ValueError(
            f"__array_namespace__: api_version must be one of {API_VERSIONS}, got {api_version!r}"
        )
    return sys.modules[__name__.partition(".")[0]]


class NamespaceInfo:
    """What `__array_namespace_info__()` returns: the standard's inspection functions."""

    def capabilities(self) -> dict[str, Any]:
        """What the standard leaves open: everything it may offer is there."""
        return {"boolean indexing": True, "data-dependent shapes": True, "max dimensions": 64}

    def default_device(self) -> str:
        """The name of the default backend."""
        return default_backend().name

    def devices(self) -> list[str]:
        """The names of the backends that can run here (all are loaded to find out)."""
        return available_backends()

    def default_dtypes(self, *, device: str | None = None) -> dict[str, DType]:
        """The dtypes that functions choose when they are given none: the same on all devices."""
        resolve_backend(device)
        return {
            "real floating": DEFAULT_FLOAT,
            "complex floating": DEFAULT_COMPLEX,
            "integral": DEFAULT_INT,
            "indexing": DEFAULT_INT,
        }

    def dtypes(self, *, device: str | None = None, kind: Any = None) -> dict[str, DType]:
        """The standard's dtypes that a backend has, by name; all or those of a `kind`."""
        backend = resolve_backend(device)
        offered = {n: d for n, d in STANDARD.items() if backend.has_dtype(d)}
        return {n: d for n, d in offered.items() if kind is None or isdtype(d, kind)}


def __array_namespace_info__() -> NamespaceInfo:
    """The standard's inspection functions: capabilities, devices and dtypes."""
    return NamespaceInfo()
