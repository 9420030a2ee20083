"""Sequential, ModuleList, ModuleDict."""

import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn


def test_sequential_applies_in_order(backend):
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
    x = tg.ones((4, 3))
    assert net(x).tolist() == tg.tanh(net[0](x)).tolist()
    assert list(net.state_dict()) == ["0.weight", "0.bias"]


def test_sequential_as_a_list():
    a, b, c = nn.Identity(), nn.Tanh(), nn.ReLU()
    net = nn.Sequential(a, b)
    assert net.append(c) is net
    assert len(net) == 3
    assert list(net) == [a, b, c]
    assert net[-1] is c
    assert isinstance(net[1:], nn.Sequential)
    assert list(net[1:]) == [b, c]
    tail = net[1:].append(a)  # the slice keeps the names "1" and "2"
    assert list(tail) == [b, c, a]
    net[0] = c
    assert net[0] is c
    with pytest.raises(IndexError, match=r"Sequential: index must be in \[-3, 3\), got 3"):
        net[3]
    with pytest.raises(TypeError, match="Sequential: index must be an integer or a slice, got '0'"):
        net["0"]
    with pytest.raises(TypeError, match="add_module: '0' must be a Module, got str"):
        nn.Sequential("relu")


def test_sequential_with_names():
    net = nn.Sequential({"first": nn.Linear(1, 2), "second": nn.ReLU()})
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    assert net.second is net[1]
    with pytest.raises(ValueError, match="already has an attribute 'forward'"):
        nn.Sequential({"forward": nn.ReLU()})


def test_an_empty_sequential_is_the_identity():
    assert nn.Sequential()(3) == 3


def test_module_list():
    layers = nn.ModuleList(nn.Linear(i + 1, 1) for i in range(3))
    layers.extend([nn.ReLU()])
    assert len(layers) == 4
    assert isinstance(layers[:2], nn.ModuleList)
    assert len(list(layers.parameters())) == 6
    assert next(iter(layers.state_dict())) == "0.weight"


def test_module_dict():
    layers = nn.ModuleDict({"a": nn.Linear(1, 1)})
    layers["b"] = nn.ReLU()
    assert list(layers) == list(layers.keys()) == ["a", "b"]
    assert "a" in layers
    assert dict(layers.items()) == {"a": layers["a"], "b": layers["b"]}
    assert list(layers.values()) == [layers["a"], layers["b"]]
    del layers["a"]
    assert len(layers) == 1
    with pytest.raises(KeyError, match="no module 'a'; there are"):
        layers["a"]
