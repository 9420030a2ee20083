"""Generated code: sources compiled once for each text, and made into functions.

Every name of our own in the sources begins with an underscore, so none meets a parameter: `_a0` is
the raw array of the first input, `_n0` its node, `_s0` the first saved value. Sources are cached
by text, so primitives of the same form share code and importing stays cheap.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any


@functools.cache
def _compiled(source: str, kind: str) -> Any:
    return compile(source, f"<tinygrad_bn {kind}>", "exec")


def make_function(source: str, kind: str, names: dict[str, Any]) -> Callable[..., Any]:
    """The function `_function` that `source` defines, with `names` as its globals."""
    exec(_compiled(source, kind), names)
    return names["_function"]


def tuple_source(parts: Iterable[str]) -> str:
    """The source of a tuple of these expressions."""
    parts = list(parts)
    return f"({', '.join(parts)}{',' if parts else ''})"
