"""Files of weights and checkpoints: round trips, atomic writing, refusals."""

import errno
import os
import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, serialization
from tinygrad_bn.backend import rng
from tinygrad_bn.serialization import (
    CheckpointError,
    load,
    load_checkpoint,
    load_metadata,
    save,
    save_checkpoint,
)

DTYPES = ["float16", "float32", "float64", "bool", "int8", "int64", "uint8", "uint16", "uint64"]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0, 3), (2, 3)])
def test_round_trip_of_dtypes_and_shapes(tmp_path, dtype, shape):
    array = np.ones(shape, dtype)
    save(tmp_path / "f", {"a.b": array})
    found = load(tmp_path / "f")["a.b"]
    assert found.dtype == array.dtype
    assert found.shape == shape
    assert found.tolist() == array.tolist()


def test_layouts_that_are_not_contiguous(tmp_path):
    a = np.arange(12.0).reshape(3, 4)
    layouts = {"t": a.T, "r": a[::-1, ::2], "f": np.asfortranarray(a)}
    save(tmp_path / "f", layouts)
    for name, tensor in load(tmp_path / "f").items():
        assert tensor.tolist() == layouts[name].tolist()


def test_a_model(backend, tmp_path):
    one, other = nn.Linear(3, 2), nn.Linear(3, 2)
    save(tmp_path / "f", one.state_dict(), {"what": "a layer"})
    other.load_state_dict(load(tmp_path / "f"))
    assert other.weight.tolist() == one.weight.tolist()
    assert load(tmp_path / "f", backend="strict")["bias"].backend == "strict"
    assert load_metadata(tmp_path / "f") == {"what": "a layer"}


def test_parameters_that_require_gradients(tmp_path):
    save(tmp_path / "f", dict(nn.Linear(1, 1).named_parameters()))
    assert list(load(tmp_path / "f")) == ["bias", "weight"]


@pytest.mark.parametrize(
    ("state", "metadata", "message"),
    [
        ({"a": np.ones(2, complex)}, None, "'a' must hold real floats, integers or booleans, got"),
        ({"a": "text"}, None, "'a' must hold real floats, integers or booleans, got <U4"),
        ({3: np.ones(2)}, None, "names must be strings, got 3"),
        ({"a": np.ones(2)}, {"n": 1}, "metadata must be strings, got 'n': 1"),
    ],
)
def test_what_cannot_be_saved(tmp_path, state, metadata, message):
    with pytest.raises(TypeError, match=re.escape(message)):
        save(tmp_path / "f", state, metadata)
    assert list(tmp_path.iterdir()) == []


# -------------------------------------------------------------------------------------- atomic


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch, failing):
    save(tmp_path / "f", {"a": np.ones(2)})

    def fail(*args):
        raise OSError("no space left")

    def fail_with_number(*args):
        raise OSError(errno.ENOSPC, "disk full")

    with monkeypatch.context() as patched:
        patched.setattr(os, failing, fail)
        with pytest.raises(OSError, match="no space left"):
            save(tmp_path / "f", {"a": np.zeros(2)})
        patched.setattr(os, failing, fail_with_number)
        with pytest.raises(OSError, match=r"disk full: '.*/f'"):
            save(tmp_path / "f", {"a": np.zeros(2)})
    assert load(tmp_path / "f")["a"].tolist() == [1, 1]
    assert [p.name for p in tmp_path.iterdir()] == ["f"]


def test_the_file_is_replaced_only_when_it_is_on_the_disk(tmp_path, monkeypatch):
    calls = []
    real = {name: getattr(os, name) for name in ("fsync", "replace")}
    for name, function in real.items():
        monkeypatch.setattr(
            os, name, lambda *a, name=name, function=function: (calls.append(name), function(*a))
        )
    save(tmp_path / "f", {"a": np.ones(2)})
    assert calls == ["fsync", "replace", "fsync"]


# ------------------------------------------------------------------------------------ refusals


def test_missing_files_and_folders(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"load: there is no file '.*nothing'"):
        load(tmp_path / "nothing")
    with pytest.raises(CheckpointError, match="is a folder, not a safetensors file"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match="no folder/f'"):
        save(tmp_path / "no folder" / "f", {"a": np.ones(2)})


def test_every_truncation_is_refused(tmp_path):
    path = tmp_path / "weights"
    save(path, {"a": np.arange(3.0), "b": np.ones(2)}, {"x": "y"})
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match=r"weights' is (truncated|no safetensors)"):
            load(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"PK\x03\x04" + bytes(60), "looks like a zip archive, perhaps torch.save's"),
        (b"\x80\x02}q\x00." + bytes(60), "looks like a pickle"),
        (b"just some text, nothing else", "is no safetensors file"),
        ((5).to_bytes(8, "little") + b"{nope" + bytes(9), "is damaged: its header"),
        ((2).to_bytes(8, "little") + b"{}" + bytes(9), "is damaged"),
    ],
)
def test_foreign_and_damaged_files(tmp_path, content, message):
    path = tmp_path / "weights"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=f"weights' .*{message}"):
        load(path)


def test_a_dtype_that_is_not_supported(tmp_path):
    header = b'{"a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]}}'
    path = tmp_path / "weights"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(CheckpointError, match=r"holds a dtype that is not supported: .*bfloat16"):
        load(path)


# --------------------------------------------------------------------------------- checkpoints


def test_trees(tmp_path):
    tree = {
        "n": 3,
        "big": 2**63 + 1,
        "text": "é",
        "none": None,
        "nan": float("inf"),
        "list": [1.5, True, {"x": np.arange(3)}],
        "numpy": np.float64(2.5),
        "model": nn.Linear(1, 2, bias=False).state_dict(),
    }
    save_checkpoint(tmp_path / "f", tree)
    found = load_checkpoint(tmp_path / "f")
    assert found["list"][2]["x"].tolist() == [0, 1, 2]
    assert found["model"]["weight"].tolist() == tree["model"]["weight"].tolist()
    for key in ("n", "big", "text", "none", "nan", "numpy"):
        assert found[key] == tree[key]
    assert set(load(tmp_path / "f")) == {"list.2.x", "model.weight"}


def test_random_streams(tmp_path):
    layer, x = nn.Dropout(), tg.ones((4, 4))
    layer(x)
    save_checkpoint(tmp_path / "f", rng.get_state())
    expected = layer(x).tolist()
    rng.manual_seed(99)
    rng.set_state(load_checkpoint(tmp_path / "f"))
    assert layer(x).tolist() == expected


def test_what_cannot_be_in_a_tree(tmp_path):
    with pytest.raises(TypeError, match=r"'a\.b' cannot be stored, got object"):
        save_checkpoint(tmp_path / "f", {"a": {"b": object()}})
    with pytest.raises(ValueError, match=r"two arrays have the path 'a\.b'"):
        save_checkpoint(tmp_path / "f", {"a.b": np.ones(1), "a": {"b": np.ones(1)}})


def test_files_that_are_no_checkpoints(tmp_path):
    save(tmp_path / "weights", {"a": np.ones(2)})
    with pytest.raises(CheckpointError, match="weights' holds tensors only, no training state"):
        load_checkpoint(tmp_path / "weights")
    save(
        tmp_path / "newer",
        {"a": np.ones(2)},
        {"format": serialization._FORMAT, "version": "2", "structure": "{}"},
    )
    with pytest.raises(CheckpointError, match="newer' has format version 2, this package reads 1"):
        load_checkpoint(tmp_path / "newer")
    save(tmp_path / "odd", {}, {"format": serialization._FORMAT, "version": "1"})
    with pytest.raises(CheckpointError, match="odd' is damaged: KeyError"):
        load_checkpoint(tmp_path / "odd")


# -------------------------------------------------------------------------------------- damage


def test_every_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "f"
    tree = {"w": np.linspace(0, 1, 5, dtype="float32"), "b": np.array(True), "n": 3, "e": [0.5]}
    save_checkpoint(path, {**tree, "empty": np.zeros((0, 2))})
    content = path.read_bytes()
    before = load_checkpoint(path)
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            found = load_checkpoint(path)
        except CheckpointError:
            continue
        # The digest's own key may be what was hit; nothing else may pass.
        assert str(found) == str(before)
        assert b"tinygrad_bn.sha256" not in damaged


def test_a_changed_weight_is_told(tmp_path):
    path = tmp_path / "f"
    save(path, {"w": np.ones(3)})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    for read in (load, load_metadata):
        with pytest.raises(
            CheckpointError, match=r"load: '.*f' is damaged: its contents do not have the SHA-256"
        ):
            read(path)


def test_files_of_others_have_no_checksum(tmp_path):
    from safetensors.numpy import save_file

    save_file({"w": np.ones(3)}, tmp_path / "f", metadata={"by": "another"})
    assert load(tmp_path / "f")["w"].tolist() == [1.0] * 3
    assert load_metadata(tmp_path / "f") == {"by": "another"}
