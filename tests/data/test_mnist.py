"""MNIST: the shipped subset, images as floats, folders, and what is refused."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tinygrad_bn import data
from tinygrad_bn.data import digits, idx

NAMES = [file.name for pair in digits.FULL.values() for file in pair]
TOOL = Path(__file__).parents[2] / "tools" / "make_mnist_subset.py"


# --- the shipped subset ------------------------------------------------------------


def test_the_subset_is_balanced():
    train, test = data.mnist()
    assert (len(train), len(test)) == (8_000, 2_000)
    assert np.bincount(train.labels).tolist() == [800] * 10
    assert np.bincount(test.labels).tolist() == [200] * 10


def test_the_subset_is_shuffled_and_has_no_duplicates():
    train, test = data.mnist()
    assert min(np.bincount(train.labels[:1000], minlength=10)) > 60
    images = {image.tobytes() for part in (train, test) for image in part.pixels}
    assert len(images) == 10_000


def test_the_subset_looks_like_digits():
    train, _ = data.mnist()
    assert train.pixels.shape == (8_000, 28, 28)
    assert train.pixels.dtype == np.uint8
    # Known statistics of MNIST: mean 0.1307, standard deviation 0.3081.
    assert abs(train.images.mean(dtype=np.float64) - 0.1307) < 2e-3
    assert abs(train.images.std(dtype=np.float64) - 0.3081) < 2e-3


def test_the_subset_says_where_it_comes_from():
    text = (Path(digits.__file__).parent / "files" / "ATTRIBUTION.md").read_text()
    for words in ("LeCun", "Cortes", "Burges", "CC BY-SA 3.0", "adaptation", "Pace", "Barry"):
        assert words in text


def test_the_subset_is_made_by_its_tool(full_root, tmp_path):
    subprocess.run([sys.executable, TOOL, full_root, "--out", tmp_path], check=True)
    for made, shipped in zip(digits.load(tmp_path, digits.SUBSET), data.mnist(), strict=True):
        np.testing.assert_array_equal(made.pixels, shipped.pixels)
        np.testing.assert_array_equal(made.labels, shipped.labels)


# --- images as the network sees them -----------------------------------------------


def test_image_dataset_scales_on_access():
    pixels = np.array([[[0, 255], [51, 128]], [[1, 2], [3, 4]]], dtype=np.uint8)
    dataset = data.ImageDataset(pixels, np.array([7, 3], dtype=np.uint8))
    image, label = dataset[0]
    assert image.dtype == np.float32
    assert label.dtype == np.int64
    np.testing.assert_array_equal(image, np.float32([[[0, 1], [0.2, 128 / 255]]]))
    assert label == 7
    assert dataset.pixels is pixels
    assert dataset[:][0].shape == dataset.images.shape == (2, 1, 2, 2)
    assert dataset[[1]][0].shape == (1, 1, 2, 2)


def test_flattened_images():
    train, _ = data.mnist(flatten=True)
    assert train[5][0].shape == (784,)
    assert train[[5, 6]][0].shape == (2, 784)
    np.testing.assert_array_equal(train[5][0].reshape(1, 28, 28), data.mnist()[0][5][0])


@pytest.mark.parametrize(
    ("pixels", "labels", "error", "message"),
    [
        (np.zeros((2, 4, 4)), [0, 1], TypeError, "pixels must have dtype uint8, got float64"),
        (np.zeros((2, 4, 4), "u1"), [0.0, 1.0], TypeError, "labels must be integers, got float64"),
        (
            np.zeros((2, 16), "u1"),
            [0, 1],
            ValueError,
            "pixels must be (N, H, W) and labels (N,), got (2, 16) and (2,)",
        ),
        (
            np.zeros((2, 4, 4), "u1"),
            [0, 1, 2],
            ValueError,
            "arrays must have equal first dimensions, got [2, 3]",
        ),
    ],
)
def test_image_dataset_refuses(pixels, labels, error, message):
    with pytest.raises(error, match=f"^ImageDataset: {re.escape(message)}$"):
        data.ImageDataset(pixels, np.array(labels))


# --- folders -----------------------------------------------------------------------


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("place", [".", "mnist"])
def test_a_folder_is_read(small, tmp_path, place, packed):
    small.fill(tmp_path / place, packed=packed)
    train, test = digits.load(tmp_path, small.files)
    assert idx.encode(train.pixels) == small.raw["train-images-idx3-ubyte"]
    assert idx.encode(test.labels.astype(np.uint8)) == small.raw["t10k-labels-idx1-ubyte"]
    assert train.labels.dtype == np.int64


@pytest.mark.parametrize("by_environment", [False, True])
def test_the_full_set(full_root, monkeypatch, by_environment):
    if by_environment:
        monkeypatch.setenv(digits.ENV, full_root)
    train, test = data.mnist(None if by_environment else full_root)
    assert (len(train), len(test)) == (60_000, 10_000)
    assert train.labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert test.labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]


def test_the_subset_on_request_whatever_the_environment(monkeypatch):
    monkeypatch.setenv(digits.ENV, "no/such/folder")
    assert len(data.mnist(subset=True)[0]) == 8_000


def test_an_empty_environment_variable_is_unset(monkeypatch):
    monkeypatch.setenv(digits.ENV, "")
    assert len(data.mnist()[0]) == 8_000


def test_a_missing_folder_names_its_source_and_the_ways_out(monkeypatch, tmp_path):
    missing = tmp_path / "nowhere"
    ways = (
        "put the four MNIST files there, give another folder (root= or TINYGRAD_BN_DATA), "
        "or fetch them with download_url=; mnist(subset=True) needs no files"
    )
    message = f"mnist: folder {str(missing)!r} does not exist (from root={str(missing)!r}); {ways}"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        data.mnist(missing)
    monkeypatch.setenv(digits.ENV, str(missing))
    with pytest.raises(FileNotFoundError, match=re.escape(f"from {digits.ENV}={str(missing)!r}")):
        data.mnist()


def test_a_missing_file_names_every_place_looked_at(small, tmp_path):
    small.fill(tmp_path, leave_out=["t10k-labels-idx1-ubyte"])
    places = [
        str(tmp_path / place / f"t10k-labels-idx1-ubyte{ending}")
        for place in (".", "mnist")
        for ending in (".gz", "")
    ]
    message = f"mnist: t10k-labels-idx1-ubyte is missing: looked for {', '.join(places)}; put the"
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}"):
        digits.load(tmp_path, small.files)


def test_a_file_is_no_folder(tmp_path):
    path = tmp_path / "file"
    path.touch()
    message = f"mnist: root={str(path)!r} must be a folder, got a file"
    with pytest.raises(NotADirectoryError, match=f"^{re.escape(message)}$"):
        data.mnist(path)


@pytest.mark.parametrize("name", NAMES)
def test_a_broken_file_is_named(small, tmp_path, name):
    small.fill(tmp_path, packed=False)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(ValueError, match=f"^{re.escape(str(path))}: truncated: expected "):
        digits.load(tmp_path, small.files)


def test_another_data_set_in_the_same_format_is_refused(small, tmp_path):
    small.fill(tmp_path)
    with pytest.raises(ValueError, match=r"expected \(60000, 28, 28\), got \(6, 4, 5\)$"):
        data.mnist(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"root": ".", "subset": True},
            "mnist: subset=True reads the package's own files: drop root=",
        ),
        (
            {"download_url": "http://127.0.0.1", "subset": True},
            "mnist: subset=True reads the package's own files: drop download_url=",
        ),
        (
            {"subset": False},
            "mnist: subset=False needs a folder: give root= or set TINYGRAD_BN_DATA",
        ),
        (
            {"download_url": "http://127.0.0.1"},
            "mnist: download_url= needs a folder: give root= or set TINYGRAD_BN_DATA",
        ),
    ],
)
def test_contradictory_arguments(arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        data.mnist(**arguments)


# --- import ------------------------------------------------------------------------


def test_import_reads_no_data():
    code = (
        "import sys; opened = []\n"
        "sys.addaudithook(lambda e, a: e == 'open' and opened.append(str(a[0])))\n"
        "import tinygrad_bn.data\n"
        "assert not [p for p in opened if p.endswith('.gz')], opened"
    )
    environment = {**os.environ, digits.ENV: "no/such/folder"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
