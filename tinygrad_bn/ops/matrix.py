"""What the operations on matrices share: checks of their arguments, and words for their rules."""

from __future__ import annotations

from typing import Any

from .creation import asarray


def check_matrix(name: str, x: Any) -> Any:
    """x as a tensor; ValueError unless it has two axes or more."""
    x = asarray(x)
    if x.ndim < 2:
        raise ValueError(f"{name}: x must be a matrix or a stack of them, got shape {x.shape}")
    return x


def floating(name: str, x: Any) -> Any:
    """x as a tensor: a matrix or a stack of them, of a dtype that libraries factor."""
    x = check_matrix(name, x)
    if x.dtype.name not in ("float32", "float64", "complex64", "complex128"):
        raise TypeError(
            f"{name}: x must be float32, float64 or complex, got dtype {x.dtype.name}; "
            "convert it with astype"
        )
    return x


def square(name: str, x: Any) -> Any:
    """The same, and square."""
    x = floating(name, x)
    if x.shape[-1] != x.shape[-2]:
        raise ValueError(f"{name}: x must be a square matrix or a stack of them, got {x.shape}")
    return x


def transpose(B: Any, x: Any) -> Any:
    """xᵀ."""
    return B.matrix_transpose(x)


def columns(B: Any, scale: Any) -> Any:
    """A stack of vectors, to multiply the columns of a stack of matrices."""
    return B.expand_dims(scale, axis=-2)


def scalar(B: Any, value: Any) -> Any:
    """A stack of numbers, to multiply a stack of matrices."""
    return B.expand_dims(B.expand_dims(value, axis=-1), axis=-1)


def reciprocal(B: Any, x: Any) -> Any:
    """1/x, and 0 where x = 0."""
    zero = x == 0
    return B.where(zero, B.zeros_like(x), 1 / B.where(zero, B.ones_like(x), x))
