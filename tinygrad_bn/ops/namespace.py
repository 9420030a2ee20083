"""The Array API standard's view of this package: version and capabilities."""

from __future__ import annotations

import sys
from typing import Any

API_VERSIONS = ("2021.12", "2022.12", "2023.12", "2024.12")
__array_api_version__ = "2024.12"


def namespace_for(api_version: str | None) -> Any:
    """The package itself, if it offers that version of the standard."""
    if api_version is not None and api_version not in API_VERSIONS:
        raise ValueError(
            f"__array_namespace__: api_version must be one of {API_VERSIONS}, got {api_version!r}"
        )
    return sys.modules[__name__.partition(".")[0]]
