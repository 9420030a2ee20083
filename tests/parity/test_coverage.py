"""Every public operation, layer and loss is compared here with PyTorch, or it is said why not."""

from __future__ import annotations

import ast
from pathlib import Path

import tinygrad_bn as tg
from tinygrad_bn import nn

OURS = {"tg", "nn", "library"}
"""How the comparisons call our rooms; `library` is either of the two."""

OPERATIONS_APART = {
    "asarray": "copies what it is given: all comparisons make their tensors by it",
    "from_dlpack": "shares memory with another library and computes nothing",
    "empty": "its values are undefined",
    "empty_like": "its values are undefined",
    "can_cast": "of dtypes, by the rules of the Array API standard; PyTorch's differ",
    "result_type": "of dtypes, by the rules of the Array API standard; PyTorch's differ",
    "isdtype": "of dtypes; PyTorch has none",
    "finfo": "of dtypes, not of tensors",
    "iinfo": "of dtypes, not of tensors",
    "e": "a constant",
    "inf": "a constant",
    "nan": "a constant",
    "pi": "a constant",
    "newaxis": "a constant: None",
}

CLASSES_APART = {
    "BatchNorm": "the base of BatchNorm1d, 2d and 3d, which are compared",
    "BatchRenorm": "PyTorch has none",
    "Module": "computes nothing itself",
    "ModuleDict": "holds modules, computes nothing",
    "ModuleList": "holds modules, computes nothing",
    "Parameter": "a tensor",
    "PopulationComparison": "a result, not a layer",
    "PopulationStatistics": "a result, not a layer",
}


def _named() -> set[str]:
    """Names that the comparisons take from our rooms, as attributes or as text for `getattr`."""
    found = set()
    for path in Path(__file__).parent.glob("test_*.py"):
        if path.name == Path(__file__).name:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and _root(node) in OURS:
                found.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
    return found


def _root(node: ast.expr) -> str:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def test_every_operation_is_compared() -> None:
    public = {*tg.ops.__all__, *tg.linalg.__all__}
    assert {name for name in tg.ops.__all__ if not hasattr(tg, name)} == set()
    assert public >= OPERATIONS_APART.keys()
    assert public - _named() - OPERATIONS_APART.keys() == set()


def test_every_layer_and_loss_is_compared() -> None:
    classes = {name for name in nn.__all__ if isinstance(getattr(nn, name), type)}
    assert classes >= CLASSES_APART.keys()
    assert classes - _named() - CLASSES_APART.keys() == set()
