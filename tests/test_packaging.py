"""What is listed for packaging is what lies in the tree."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def _packages(top: str, name: str) -> set[str]:
    folder = ROOT / top
    found = set()
    for init in folder.rglob("__init__.py"):
        parts = init.parent.relative_to(folder).parts
        found.add(".".join((name, *parts)))
    return found


def test_every_package_is_listed() -> None:
    expected = _packages("tinygrad_bn", "tinygrad_bn") | _packages(
        "backends", "tinygrad_bn.backends"
    )
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == expected


def test_the_core_stays_small() -> None:
    names = {d.partition(">")[0].strip() for d in PROJECT["project"]["dependencies"]}
    assert names == {"numpy", "rich", "safetensors", "threadpoolctl"}


def test_the_peer_is_pinned_and_never_imported() -> None:
    assert PROJECT["project"]["optional-dependencies"]["parity"] == ["torch==2.13.0"]
    program = (
        "import importlib, pkgutil, sys, tinygrad_bn\n"
        "for m in pkgutil.walk_packages(tinygrad_bn.__path__, 'tinygrad_bn.'):\n"
        "    if not m.name.endswith('__main__'): importlib.import_module(m.name)\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


def test_the_tools_install_where_cuda_is_not() -> None:
    """NVIDIA's packages have no wheels for macOS: there the extra `dev` goes without them."""
    dev = PROJECT["project"]["optional-dependencies"]["dev"]
    cuda = [d for d in dev if d.startswith(("cuda", "nvidia"))]
    assert [d.partition(";")[0] for d in cuda] == ["cuda-bindings", "nvidia-cuda-nvrtc"]
    for requirement in cuda:
        assert requirement.partition(";")[2].strip() == "sys_platform != 'darwin'"
