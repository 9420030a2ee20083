"""Make the MNIST subset that ships with tinygrad_bn from the original four files.

    python tools/make_mnist_subset.py FOLDER [--out FOLDER]

FOLDER holds the original IDX files, gzipped or not. Of the 60,000 training images
800 of each digit are drawn, of the 10,000 test images 200 of each, without
replacement; each set is then shuffled. The draw is fixed by SEED, and the gzip
header carries no time, so the same originals give the same files. Prints the
SHA-256 of each unpacked file, to be entered in `tinygrad_bn/data/digits.py`.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
from pathlib import Path

import numpy as np

from tinygrad_bn.data import digits, idx

SEED = 19981101  # November 1998: MNIST appears in the Proceedings of the IEEE
PER_DIGIT = {"train": 800, "t10k": 200}
SHIPPED = Path(__file__).parent.parent / "tinygrad_bn" / "data" / "files" / "mnist"


def choose(labels: np.ndarray, per_digit: int, rng: np.random.Generator) -> np.ndarray:
    """Return shuffled indices of ``per_digit`` samples of each digit; shape (10·per_digit,)."""
    of_digit = [np.flatnonzero(labels == digit) for digit in range(10)]
    chosen = [rng.choice(where, per_digit, replace=False) for where in of_digit]
    return rng.permutation(np.concatenate(chosen))


def main() -> None:
    """Write the four files of the subset into the folder ``--out``."""
    parser = argparse.ArgumentParser(description="Make the shipped MNIST subset.")
    parser.add_argument("folder", type=Path, help="folder with the four original files")
    parser.add_argument("--out", type=Path, default=SHIPPED, help="default: the package's own")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    for part, (images_file, labels_file) in digits.FULL.items():
        images = digits.read_local(options.folder, images_file)
        labels = digits.read_local(options.folder, labels_file)
        where = choose(labels, PER_DIGIT[part], np.random.default_rng([SEED, len(labels)]))
        for file, values in ((images_file, images[where]), (labels_file, labels[where])):
            raw = idx.encode(values)
            packed = gzip.compress(raw, compresslevel=9, mtime=0)
            (options.out / f"{file.name}.gz").write_bytes(packed)
            print(file.name, values.shape, len(packed), hashlib.sha256(raw).hexdigest())


if __name__ == "__main__":
    main()
