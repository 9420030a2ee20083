"""Module: registration, the tree, modes, state, hooks, repr."""

import copy
import pickle
import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn


class Net(nn.Module):
    """Something of everything: parameter, buffers, a child, a shared child."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter([1.0, 2.0])
        self.register_buffer("count", tg.asarray(0))
        self.register_buffer("cache", tg.zeros(2), persistent=False)
        self.layer = nn.Linear(2, 2)
        self.twin = self.layer

    def forward(self, x):
        return self.layer(x) * self.scale


KEYS = ["scale", "count", "layer.weight", "layer.bias", "twin.weight", "twin.bias"]


def test_attributes_are_registered_in_order():
    net = Net()
    assert [n for n, _ in net.named_parameters()] == ["scale", "layer.weight", "layer.bias"]
    assert [n for n, _ in net.named_buffers()] == ["count", "cache"]
    assert [n for n, _ in net.named_children()] == ["layer", "twin"]
    assert [n for n, _ in net.named_modules()] == ["", "layer"]
    assert list(net.parameters()) == [net.scale, net.layer.weight, net.layer.bias]
    assert list(net.buffers()) == [net.count, net.cache]
    assert list(net.children()) == [net.layer, net.layer]
    assert list(net.modules()) == [net, net.layer]
    assert list(net.state_dict()) == KEYS


def test_an_attribute_that_changes_its_kind_changes_its_list():
    net = Net()
    net.layer = nn.Parameter([1.0])
    assert "layer" in dict(net.named_parameters())
    assert "layer" not in dict(net.named_children())
    del net.layer
    assert "layer" not in dict(net.named_parameters())
    assert not hasattr(net, "layer")
    net.twin = None
    assert list(net.children()) == []


def test_none_keeps_the_name_of_a_parameter():
    layer = nn.Linear(2, 3, bias=False)
    assert layer.bias is None
    assert list(layer.state_dict()) == ["weight"]
    layer.bias = nn.Parameter(np.zeros(3))
    assert list(layer.state_dict()) == ["weight", "bias"]
    with pytest.raises(TypeError, match="Linear: parameter 'bias' must be a Parameter or None"):
        layer.bias = 3


@pytest.mark.parametrize(
    ("act", "error", "message"),
    [
        (lambda n: n.register_parameter("p", tg.zeros(2)), TypeError, "'p' must be a Parameter"),
        (lambda n: n.register_buffer("b", np.zeros(2)), TypeError, "'b' must be a Tensor or None"),
        (lambda n: n.add_module("m", 3), TypeError, "'m' must be a Module, got int"),
        (lambda n: n.register_buffer("forward", tg.zeros(2)), ValueError, "already has an attr"),
        (lambda n: n.register_buffer("a.b", tg.zeros(2)), ValueError, "without dots, got 'a.b'"),
        (lambda n: n.add_module("", nn.Identity()), ValueError, "non-empty word"),
        (lambda n: setattr(n, "count", 3), TypeError, "Net: buffer 'count' must be a Tensor"),
    ],
)
def test_wrong_registrations(act, error, message):
    with pytest.raises(error, match=message):
        act(Net())


def test_assigning_before_init_says_so():
    class Early(nn.Module):
        def __init__(self):
            self.x = 1

    with pytest.raises(AttributeError, match=r"Early: call super\(\).__init__\(\) before assign"):
        Early()


def test_a_module_without_forward_says_so():
    with pytest.raises(NotImplementedError, match="ModuleList: defines no forward"):
        nn.ModuleList()(1)


def test_modes():
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.Dropout()))
    assert net.eval() is net
    assert not any(m.training for m in net.modules())
    net.train()
    assert all(m.training for m in net.modules())


def test_zero_grad_and_requires_grad(backend):
    net = nn.Linear(2, 1)
    tg.sum(net(tg.ones((3, 2)))).backward()
    net.zero_grad(set_to_none=False)
    assert net.weight.grad.tolist() == [[0, 0]]
    net.zero_grad()
    assert net.weight.grad is None
    net.requires_grad_(False)
    assert not net(tg.ones((3, 2))).requires_grad


def test_apply_visits_children_first():
    net, seen = nn.Sequential(nn.Linear(1, 1), nn.Identity()), []
    assert net.apply(lambda m: seen.append(type(m).__name__)) is net
    assert seen == ["Linear", "Identity", "Sequential"]


# --------------------------------------------------------------------------------- conversion


def test_to_another_backend_keeps_the_objects():
    net = Net()
    before = [*net.parameters(), *net.buffers()]
    assert net.to("strict") is net
    assert all(a is b for a, b in zip(before, [*net.parameters(), *net.buffers()], strict=True))
    assert {t.backend for t in before} == {"strict"}
    assert not net.cache.requires_grad
    y = net(tg.ones((1, 2), device="strict"))
    tg.sum(y).backward()
    assert net.scale.grad.backend == "strict"


def test_astype_converts_floats_only():
    net = Net().astype("float64")
    assert {t.dtype.name for t in net.parameters()} == {"float64"}
    assert net.count.dtype.name == "int64"
    assert net.scale.requires_grad
    assert net.to(tg.float32).scale.dtype.name == "float32"
    with pytest.raises(TypeError, match="dtype must be real floating point, got int64"):
        net.astype("int64")


# -------------------------------------------------------------------------------------- state


def test_state_round_trip(backend):
    one, other = Net(), Net()
    one.count.assign(7)
    assert other.load_state_dict(one.state_dict()) == ([], [])
    x = tg.ones((2, 2))
    assert one(x).tolist() == other(x).tolist()
    assert other.count.item() == 7
    assert other.scale.requires_grad


def test_state_of_arrays_and_of_another_backend():
    net = nn.Linear(2, 1, backend="strict")
    net.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": [3]})
    assert net.weight.tolist() == [[1, 2]]
    assert net.weight.dtype.name == "float32"
    nn.Linear(2, 1).load_state_dict(net.state_dict())


def test_all_that_does_not_fit_is_listed_and_nothing_is_changed():
    net = Net()
    before = net.layer.weight.tolist()
    state = {k: v.numpy().copy() for k, v in Net().state_dict().items()}
    state["other"] = state.pop("scale")
    state["layer.bias"] = np.zeros(3)
    expected = (
        "load_state_dict: the state does not fit Net: wrong shapes: layer.bias: expected (2,), "
        "got (3,). missing: scale. unexpected: other"
    )
    with pytest.raises(ValueError, match=re.escape(expected)):
        net.load_state_dict(state)
    assert net.layer.weight.tolist() == before


def test_not_strict_returns_what_differs():
    net = nn.Linear(1, 1)
    found = net.load_state_dict({"weight": np.ones((1, 1)), "x": np.ones(1)}, strict=False)
    assert found == (["bias"], ["x"])
    assert net.weight.item() == 1
    with pytest.raises(ValueError, match="wrong shapes: weight"):
        net.load_state_dict({"weight": np.ones(1)}, strict=False)


def test_values_of_another_kind():
    with pytest.raises(TypeError, match="load_state_dict: state must be a mapping, got list"):
        Net().load_state_dict([1])
    with pytest.raises(TypeError, match="count has dtype int64, got float32 values"):
        Net().load_state_dict({"count": 1.5}, strict=False)
    with pytest.raises(TypeError, match="scale must be an array, got object"):
        Net().load_state_dict({"scale": object()}, strict=False)


def test_loading_into_a_recorded_graph_is_noticed(backend):
    layer = nn.Linear(2, 1)
    y = layer(tg.Tensor([[1.0, 2.0]], requires_grad=True))
    layer.load_state_dict(nn.Linear(2, 1).state_dict())
    with pytest.raises(RuntimeError, match="modified in place"):
        y.backward()


def test_deepcopy_and_pickle():
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.layer is twin.twin
        assert twin.layer.weight.tolist() == net.layer.weight.tolist()
        assert isinstance(twin.scale, nn.Parameter)
        twin.layer.weight.assign(0)
    assert tg.any(net.layer.weight.detach() != 0)


# -------------------------------------------------------------------------------------- hooks


def test_hooks_see_and_replace():
    layer, calls = nn.Identity(), []
    with layer.register_forward_pre_hook(lambda m, args: args[0] + 1):
        after = layer.register_forward_hook(lambda m, args, y: calls.append(y.item()))
        twice = layer.register_forward_hook(lambda m, args, y: y * 2)
        assert layer(tg.asarray(1.0)).item() == 4
    twice.remove()
    assert layer(tg.asarray(1.0)).item() == 1
    after.remove()
    layer(tg.asarray(5.0))
    assert calls == [2, 1]
    for register in (layer.register_forward_hook, layer.register_forward_pre_hook):
        with pytest.raises(TypeError, match="a hook must be callable, got int"):
            register(3)


# --------------------------------------------------------------------------------------- repr


def test_repr_is_a_tree():
    net = nn.Sequential(
        nn.Linear(2, 3), nn.ReLU(), nn.Sequential({"out": nn.Linear(3, 1, bias=False)})
    )
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Linear(in_features=2, out_features=3, bias=True)\n"
        "  (1): ReLU()\n"
        "  (2): Sequential(\n"
        "    (out): Linear(in_features=3, out_features=1, bias=False)\n"
        "  )\n"
        ")"
    )


def test_parameter():
    p = nn.Parameter([[1.0, 2.0], [3.0, 4.0]])
    assert p.requires_grad
    assert p.is_leaf
    assert not nn.Parameter([1, 2], requires_grad=False).requires_grad
    assert repr(p) == (
        "Parameter([[1., 2.],\n"
        "           [3., 4.]], dtype=float32, backend='numpy', requires_grad=True)"
    )
    assert type(p + 1) is tg.Tensor
    with pytest.raises(TypeError, match="only real floating-point tensors have gradients"):
        nn.Parameter([1, 2])
