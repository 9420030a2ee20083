"""MNIST: handwritten digits, 28 by 28 pixels; a shipped subset, or the full set.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, CC BY-SA 3.0; see files/ATTRIBUTION.md.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinygrad_bn.data import idx
from tinygrad_bn.data.dataset import ArrayDataset, Index
from tinygrad_bn.data.download import download
from tinygrad_bn.data.idx import IdxFile

ENV = "TINYGRAD_BN_DATA"

_ADVICE = (
    f"put the four MNIST files there, give another folder (root= or {ENV}), "
    "or fetch them with download_url=; mnist(subset=True) needs no files"
)

Files = Mapping[str, tuple[IdxFile, IdxFile]]

FULL: Files = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte",
            (60_000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (60_000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
    ),
    "t10k": (
        IdxFile(
            "t10k-images-idx3-ubyte",
            (10_000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (10_000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
}

SUBSET: Files = {
    "train": (
        IdxFile(
            "train-images-idx3-ubyte",
            (8_000, 28, 28),
            "a6aa06402f7bdaf4500078924b40fa739edabbab75dbf2c52628c89aef2d95e0",
        ),
        IdxFile(
            "train-labels-idx1-ubyte",
            (8_000,),
            "eda4a06c5528039076775ad6381f0cce5b49621f7215c8721da9eb61e7ae5ecd",
        ),
    ),
    "t10k": (
        IdxFile(
            "t10k-images-idx3-ubyte",
            (2_000, 28, 28),
            "7e588cbfd8c7a462650ea32697cea79da7d1f79c51135e10abe16a2e211121a4",
        ),
        IdxFile(
            "t10k-labels-idx1-ubyte",
            (2_000,),
            "60065a8d91b0ed48c23db823f4fd91e8bfdfe9ef7a5e94001d6b54c4f77b4a23",
        ),
    ),
}


class ImageDataset(ArrayDataset):
    """Grey images with class labels; pixels are bytes, and floats only when asked for.

    ``dataset[where]`` is (images, labels): images float32 in [0, 1], pixel / 255, of
    shape (..., 1, H, W), or (..., H·W) with ``flatten``; labels int64, one per image.
    ``pixels`` (N, H, W) uint8 and ``labels`` (N,) int64 are what it holds.

    Raises TypeError when ``pixels`` is not uint8 or ``labels`` are not integers,
    ValueError when their shapes are not (N, H, W) and (N,).
    """

    def __init__(
        self, pixels: NDArray[np.uint8], labels: NDArray[np.integer[Any]], *, flatten: bool = False
    ) -> None:
        if pixels.dtype != np.uint8:
            raise TypeError(f"ImageDataset: pixels must have dtype uint8, got {pixels.dtype}")
        if not np.issubdtype(labels.dtype, np.integer):
            raise TypeError(f"ImageDataset: labels must be integers, got {labels.dtype}")
        if pixels.ndim != 3 or labels.ndim != 1:
            raise ValueError(
                f"ImageDataset: pixels must be (N, H, W) and labels (N,), "
                f"got {pixels.shape} and {labels.shape}"
            )
        super().__init__(pixels, labels.astype(np.int64))
        self.flatten = flatten

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The raw images, shape (N, H, W), 0 is background and 255 is ink."""
        return self.arrays[0]

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, shape (N,)."""
        return self.arrays[1]

    @property
    def images(self) -> NDArray[np.float32]:
        """All images as float32 in [0, 1], made anew at each use: four bytes per pixel."""
        return self._scale(self.pixels)

    def __getitem__(self, index: Index, /) -> tuple[Any, ...]:
        pixels, labels = super().__getitem__(index)
        return self._scale(pixels), labels

    def _scale(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        *lead, height, width = pixels.shape
        shape = (*lead, height * width) if self.flatten else (*lead, 1, height, width)
        return np.divide(pixels, np.float32(255), dtype=np.float32).reshape(shape)


def mnist(
    root: str | os.PathLike[str] | None = None,
    *,
    subset: bool | None = None,
    flatten: bool = False,
    download_url: str | None = None,
) -> tuple[ImageDataset, ImageDataset]:
    """Return MNIST as (train, test).

    The full set, 60,000 and 10,000 images, is read from the folder ``root``, by
    default the one that the environment variable TINYGRAD_BN_DATA names: the four
    IDX files, gzipped or not, in the folder or in its sub-folder ``mnist``. With
    neither, the subset that ships with the package is returned: 8,000 and 2,000
    images, 800 and 200 of each digit. ``subset=True`` asks for it whatever the
    environment says, ``subset=False`` insists on the full set.

    ``download_url`` is the folder on the web from which files that are missing are
    fetched, as ``<download_url>/<name>.gz``, into the folder; each is verified by
    SHA-256. Images are (1, 28, 28), or (784,) with ``flatten``: see ImageDataset.

    Raises FileNotFoundError when the folder or a file is missing, ValueError when
    a file is not exactly MNIST's or the arguments contradict one another, OSError
    when a download fails.
    """
    if root is not None and not isinstance(root, str | os.PathLike):
        raise TypeError(f"mnist: root must be the path of a folder, got {root!r}")
    if subset not in (None, True, False):
        raise TypeError(f"mnist: subset must be None or a bool, got {subset!r}")
    if download_url is not None and not isinstance(download_url, str):
        raise TypeError(f"mnist: download_url must be a string, got {download_url!r}")
    if subset and (root is not None or download_url is not None):
        given = "root" if root is not None else "download_url"
        raise ValueError(f"mnist: subset=True reads the package's own files: drop {given}=")
    folder = None if subset else root if root is not None else os.environ.get(ENV) or None
    if folder is None:
        if subset is False or download_url is not None:
            asked = "subset=False" if subset is False else "download_url="
            raise ValueError(f"mnist: {asked} needs a folder: give root= or set {ENV}")
        return _shipped(flatten)
    source = f"root={os.fspath(folder)!r}" if root is not None else f"{ENV}={folder!r}"
    return load(Path(folder), FULL, flatten=flatten, download_url=download_url, source=source)


def load(
    folder: Path,
    files: Files,
    *,
    flatten: bool = False,
    download_url: str | None = None,
    source: str = "root",
) -> tuple[ImageDataset, ImageDataset]:
    """Return (train, test) from ``files`` in ``folder``, fetching those that are missing.

    ``source`` is where the choice of the folder came from, for messages.
    Raises as ``mnist`` does.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"mnist: {source} must be a folder, got a file")
    if download_url is None and not folder.exists():
        raise FileNotFoundError(
            f"mnist: folder {str(folder)!r} does not exist (from {source}); {_ADVICE}"
        )

    def read(file: IdxFile) -> NDArray[np.uint8]:
        if download_url is not None and _find(folder, file) is None:
            _fetch(folder, file, download_url)
        return read_local(folder, file)

    train, test = (
        ImageDataset(read(images), read(labels), flatten=flatten)
        for images, labels in (files["train"], files["t10k"])
    )
    return train, test


def read_local(folder: Path, file: IdxFile) -> NDArray[np.uint8]:
    """Return the values of one IDX file in ``folder`` or ``folder``/mnist, verified.

    Raises FileNotFoundError, with all the places looked at, or ValueError as ``idx.read``.
    """
    path = _find(folder, file)
    if path is None:
        tried = ", ".join(str(path) for path in _places(folder, file))
        raise FileNotFoundError(f"mnist: {file.name} is missing: looked for {tried}; {_ADVICE}")
    return idx.read(path.read_bytes(), file, str(path))


def _places(folder: Path, file: IdxFile) -> list[Path]:
    names = (f"{file.name}.gz", file.name)
    return [place / name for place in (folder, folder / "mnist") for name in names]


def _find(folder: Path, file: IdxFile) -> Path | None:
    return next((path for path in _places(folder, file) if path.is_file()), None)


def _fetch(folder: Path, file: IdxFile, base_url: str) -> None:
    name = f"{file.name}.gz"
    download(
        f"{base_url.rstrip('/')}/{name}",
        folder / name,
        lambda content, url: idx.read(content, file, url),
    )


def _shipped(flatten: bool) -> tuple[ImageDataset, ImageDataset]:
    with resources.as_file(resources.files("tinygrad_bn.data") / "files" / "mnist") as folder:
        return load(folder, SUBSET, flatten=flatten)
