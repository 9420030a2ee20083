"""What a forward refuses is explained in terms of the operation and its arguments."""

import numpy as np
import pytest

import tinygrad_bn as tg


class OwnError(ValueError):
    """An error of its own class."""


@tg.primitive(x=lambda B, g: g)
def fussy(B, x, y=None, *, kind="plain", limit=3):
    """Refuses in several ways."""
    if kind == "named":
        raise ValueError(f"fussy: limit must be above 3, got {limit}")
    if kind == "own":
        raise OwnError("mine")
    if kind == "index":
        raise IndexError("too far")
    if kind == "type":
        raise TypeError("no such thing")
    raise ValueError("too plain")


def test_name_shapes_and_arguments_are_added():
    x = tg.zeros((2, 3))
    with pytest.raises(ValueError, match=r"^fussy: too plain \(x of shape \(2, 3\)\)$") as info:
        fussy(x)
    assert str(info.value.__cause__) == "too plain"
    with pytest.raises(IndexError, match=r"^fussy: too far \(x of shape .*, kind='index'\)$"):
        fussy(x, kind="index")
    with pytest.raises(TypeError, match=r"^fussy: no such thing \(x .*, y=2, kind='type'\)$"):
        fussy(x, 2, kind="type")


def test_errors_that_say_it_already_are_left_alone():
    with pytest.raises(ValueError, match=r"^fussy: limit must be above 3, got 3$") as info:
        fussy(tg.zeros(2), kind="named")
    assert info.value.__cause__ is None
    with pytest.raises(OwnError, match=r"^mine$"):
        fussy(tg.zeros(2), kind="own")


def test_long_arguments_are_cut():
    with pytest.raises(ValueError, match=r"limit='x{70,}\.\.\.\)$"):
        fussy(tg.zeros(2), limit="x" * 500)


def test_operands_that_do_not_broadcast(backend):
    with pytest.raises(ValueError, match=r"^add: .*of shape \(2, 3\), .*of shape \(4,\)\)$"):
        tg.zeros((2, 3)) + tg.zeros(4)
    with pytest.raises(ValueError, match=r"^multiply: .*of shape \(2,\)"):
        tg.zeros(2) * np.zeros(3)
