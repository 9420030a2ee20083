"""Weights and checkpoints as safetensors files, written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .backend import Backend
from .dtypes import BY_NAME
from .tensor import Tensor

FilePath = str | os.PathLike[str]

_FORMAT = "tinygrad_bn.checkpoint"
_VERSION = 1
_CHECKSUM = "tinygrad_bn.sha256"
"""The key in a file's metadata under which the digest of everything else stands."""
_SIGNATURES = {
    b"PK\x03\x04": "a zip archive, perhaps torch.save's: convert it to safetensors first",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUM": "a NumPy file",
    b"\x80\x02": "a pickle",
    b"\x80\x04": "a pickle",
    b"\x1f\x8b": "a gzip archive",
}


class CheckpointError(ValueError):
    """A file that is no checkpoint, is damaged, or belongs to another model."""


def save(
    path: FilePath, state_dict: Mapping[str, Any], metadata: Mapping[str, str] | None = None
) -> None:
    """Write named tensors or arrays to a safetensors file.

    The file appears under its name when it is complete and on the disk; if anything fails, what
    was there before is unchanged.

    Args:
        path: the file; its folder must exist.
        state_dict: tensors or arrays by name: real floating point, integers or booleans.
        metadata: strings by name, stored in the file's header.

    Raises:
        TypeError: a value that is no array or has another dtype, metadata that is not strings.
        OSError: the file cannot be written.
    """
    from safetensors.numpy import save as serialize

    _check_path("save", path)
    for what, value in (("state_dict", state_dict), ("metadata", metadata or {})):
        if not isinstance(value, Mapping):
            raise TypeError(f"save: {what} must be a mapping, got {value!r}")
    arrays = {name: _host(name, value) for name, value in state_dict.items()}
    for key, text in (metadata or {}).items():
        if not isinstance(key, str) or not isinstance(text, str):
            raise TypeError(f"save: metadata must be strings, got {key!r}: {text!r}")
    told = dict(metadata or {})
    content = serialize(arrays, metadata={**told, _CHECKSUM: _digest(arrays, told)})
    write_atomically(path, content)


def _check_path(caller: str, path: Any) -> None:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"{caller}: path must be the path of a file, got {path!r}")


def _digest(arrays: Mapping[str, np.ndarray[Any, Any]], metadata: Mapping[str, str]) -> str:
    """SHA-256 of tensors and metadata: the format itself has no checksum, and a flipped bit in a
    weight is a weight."""
    digest = hashlib.sha256(json.dumps(sorted(metadata.items())).encode())
    for name, array in sorted(arrays.items()):
        digest.update(json.dumps([name, array.dtype.name, array.shape]).encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def _host(name: Any, value: Any) -> np.ndarray[Any, Any]:
    if not isinstance(name, str):
        raise TypeError(f"save: names must be strings, got {name!r}")
    array = value.detach().numpy() if isinstance(value, Tensor) else np.asarray(value)
    if array.dtype.kind not in "fiub" or array.dtype.name not in BY_NAME:
        raise TypeError(
            f"save: {name!r} must hold real floats, integers or booleans, got {array.dtype}"
        )
    return np.asarray(array, order="C")


def write_atomically(path: FilePath, content: bytes) -> None:
    """Write a file that appears whole or not at all, and survives a power cut once it is there.

    Raises OSError, naming `path`; the file that was there before is then unchanged.
    """
    target = Path(path)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError) and error.errno is not None:
            # A full disk names no file, most others the temporary one.
            raise OSError(error.errno, error.strerror, str(target)) from error
        raise
    if os.name == "posix":  # Windows cannot open a folder
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def load(path: FilePath, *, backend: str | Backend | None = None) -> dict[str, Tensor]:
    """Read the tensors of a safetensors file by name.

    Args:
        path: the file.
        backend: where the tensors are made; default: the current default backend.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is truncated, damaged or of another format. One bit of damage is
            noticed in the files that `save` wrote: they hold a SHA-256 of their contents.
    """
    arrays, _ = _read(path)
    return {name: Tensor(array, backend=backend) for name, array in arrays.items()}


def load_metadata(path: FilePath) -> dict[str, str]:
    """The metadata of a safetensors file; errors as for `load`."""
    return _read(path)[1]


def _read(path: FilePath) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str]]:
    _check_path("load", path)
    file = Path(path)
    if file.is_dir():
        raise CheckpointError(f"load: {str(file)!r} is a folder, not a safetensors file")
    if not file.exists():
        raise FileNotFoundError(f"load: there is no file {str(file)!r}")
    _check_header(file)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as opened:
            arrays = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
            metadata = opened.metadata() or {}
    except SafetensorError as error:
        raise CheckpointError(f"load: {str(file)!r} is damaged: {error}") from None
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"load: {str(file)!r} holds a dtype that is not supported: {error}"
        ) from None
    stored = metadata.pop(_CHECKSUM, None)
    if stored is not None and stored != _digest(arrays, metadata):
        raise CheckpointError(
            f"load: {str(file)!r} is damaged: its contents do not have the SHA-256 that is stored "
            "with them"
        )
    return arrays, metadata


def _check_header(file: Path) -> None:
    """Say in words what is wrong with a file whose first bytes cannot be right."""
    size = file.stat().st_size
    with open(file, "rb") as opened:
        head = opened.read(8)
        for signature, kind in _SIGNATURES.items():
            if head.startswith(signature):
                raise CheckpointError(
                    f"load: {str(file)!r} is no safetensors file but looks like {kind}"
                )
        if size < 8:
            raise CheckpointError(f"load: {str(file)!r} is truncated: it has {size} bytes")
        length = int.from_bytes(head, "little")
        if opened.read(1) != b"{" and length <= size:
            raise CheckpointError(f"load: {str(file)!r} is no safetensors file")
        if length > 100_000_000:
            raise CheckpointError(f"load: {str(file)!r} is no safetensors file")
        if 8 + length > size:
            raise CheckpointError(
                f"load: {str(file)!r} is truncated: its header takes {8 + length} bytes, "
                f"the file has {size}"
            )
        opened.seek(8)
        _check_extent(file, opened.read(length), size - 8 - length)


def _check_extent(file: Path, header: bytes, available: int) -> None:
    """Compare the bytes that the header announces with those that follow it."""
    try:
        entries = json.loads(header)
        needed = max(
            (e["data_offsets"][1] for name, e in entries.items() if name != "__metadata__"),
            default=0,
        )
    except (ValueError, TypeError, KeyError, AttributeError, IndexError) as error:
        raise CheckpointError(f"load: {str(file)!r} is damaged: its header: {error}") from None
    if needed > available:
        raise CheckpointError(
            f"load: {str(file)!r} is truncated: its tensors take {needed} bytes, "
            f"{available} are there"
        )


# -------------------------------------------------------------------------------- checkpoints


def save_checkpoint(path: FilePath, tree: Mapping[str, Any]) -> None:
    """Write nested dicts and lists of tensors, arrays, numbers, strings and None to one file.

    The tensors are stored by their dotted path in the tree, so other programs can read them.
    Written atomically; see `save` for the errors.
    """
    if not isinstance(tree, Mapping):
        raise TypeError(f"save_checkpoint: tree must be a mapping, got {tree!r}")
    arrays: dict[str, Any] = {}
    structure = _flatten(tree, "", arrays)
    metadata = {"format": _FORMAT, "version": str(_VERSION), "structure": json.dumps(structure)}
    save(path, arrays, metadata)


def load_checkpoint(path: FilePath) -> dict[str, Any]:
    """Read what `save_checkpoint` wrote; arrays and tensors come back as NumPy arrays, tuples
    as lists, and the keys of dicts as strings.

    Raises:
        FileNotFoundError: there is no such file.
        CheckpointError: the file is damaged, or no checkpoint of this package.
    """
    arrays, metadata = _read(path)
    if metadata.get("format") != _FORMAT:
        raise CheckpointError(
            f"load_checkpoint: {os.fspath(path)!r} holds tensors only, no training state"
        )
    if metadata.get("version") != str(_VERSION):
        raise CheckpointError(
            f"load_checkpoint: {os.fspath(path)!r} has format version "
            f"{metadata.get('version')}, this package reads {_VERSION}"
        )
    try:
        return _unflatten(json.loads(metadata["structure"]), arrays)
    except (KeyError, ValueError) as error:
        raise CheckpointError(
            f"load_checkpoint: {os.fspath(path)!r} is damaged: {error!r}"
        ) from None


def _flatten(value: Any, path: str, arrays: dict[str, Any]) -> Any:
    """The tree as JSON can hold it, arrays replaced by {"$array": path} and collected."""
    if isinstance(value, Tensor | np.ndarray):
        if path in arrays:
            raise ValueError(f"save_checkpoint: two arrays have the path {path!r}")
        arrays[path] = value
        return {"$array": path}
    if isinstance(value, Mapping):
        prefix = f"{path}." if path else ""
        return {str(k): _flatten(v, f"{prefix}{k}", arrays) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_flatten(v, f"{path}.{i}", arrays) for i, v in enumerate(value)]
    if isinstance(value, np.integer | np.floating):
        return value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"save_checkpoint: {path!r} cannot be stored, got {type(value).__name__}")


def _unflatten(value: Any, arrays: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_unflatten(v, arrays) for v in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"$array"}:
        return arrays[value["$array"]]
    return {k: _unflatten(v, arrays) for k, v in value.items()}
