"""Options that will not do: errors name the function, the argument, the constraint, the value."""

import functools
import inspect
import re

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import data, nn, optim, training
from tinygrad_bn.autograd import checkpoint
from tinygrad_bn.refusal import check_integer, check_number, named
from tinygrad_bn.serialization import load, save, save_checkpoint


def leaf():
    return tg.sum(tg.Tensor([1.0], requires_grad=True))


def name_of(value):
    return value.__name__ if callable(value) else None


F = nn.functional
X = tg.Tensor(np.linspace(0.1, 1.0, 12).reshape(3, 4))
LABELS = tg.Tensor([0, 1, 2])

NUMBERS = [
    (tg.leaky_relu, (X,), "negative_slope"),
    (tg.elu, (X,), "alpha"),
    (tg.softplus, (X,), "beta"),
    (tg.softplus, (X,), "threshold"),
    (tg.cross_entropy, (X, LABELS), "label_smoothing"),
    (tg.huber_loss, (X, X), "delta"),
    (tg.smooth_l1_loss, (X, X), "beta"),
    (F.batch_norm, (X,), "eps"),
    (F.batch_norm, (X,), "slope"),
    (F.layer_norm, (X, 4), "eps"),
    (F.group_norm, (X, 2), "eps"),
]
INTEGERS = [
    (tg.cross_entropy, (X, LABELS), "ignore_index"),
    (tg.nll_loss, (X, LABELS), "ignore_index"),
    (tg.one_hot, (LABELS,), "num_classes"),
    (tg.eye, (3,), "k"),
    (tg.split, (X, 2), "axis"),
    (tg.take, (X, LABELS), "axis"),
    (tg.linalg.trace, (X,), "offset"),
    (tg.linalg.diagonal, (X,), "offset"),
    (F.group_norm, (X,), "num_groups"),
    (F.batch_norm, (X,), "ghost_size"),
]
RANGES = [
    (tg.cross_entropy, (X, LABELS), {"label_smoothing": 1.5}, "must be in [0, 1], got 1.5"),
    (tg.cross_entropy, (X, LABELS), {"label_smoothing": float("nan")}, "in [0, 1], got nan"),
    (tg.huber_loss, (X, X), {"delta": 0}, "delta must be > 0, got 0"),
    (tg.smooth_l1_loss, (X, X), {"beta": -1.0}, "beta must be >= 0, got -1.0"),
    (tg.full, ((2,), 1j), {"dtype": "float32"}, "must be real for dtype float32, got 1j"),
    (tg.full_like, (X, 1j), {}, "fill_value must be real for dtype float64, got 1j"),
    (tg.where, (1j, X, X), {}, "condition must be boolean"),
    (data.mnist, (5,), {}, "root must be the path of a folder, got 5"),
    (data.mnist, (), {"subset": "no"}, "subset must be None or a bool, got 'no'"),
    (data.mnist, ("x",), {"download_url": 5}, "download_url must be a string, got 5"),
    (F.dropout, ("a",), {}, "x must be a tensor, got str"),
    (tg.mse_loss, (X, X), {"reduction": ["mean"]}, "reduction must be one of"),
]

CONSTRUCTORS = [
    (optim.StepLR, (None, "a"), "step_size must be an integer, got 'a'"),
    (optim.StepLR, (None, 3, "a"), "gamma must be a number, got 'a'"),
    (optim.ExponentialLR, (None, "a"), "gamma must be a number, got 'a'"),
    (optim.CosineAnnealingLR, (None, 1.5), "T_max must be an integer, got 1.5"),
    (optim.CosineAnnealingLR, (None, 3, "a"), "eta_min must be a number, got 'a'"),
    (optim.LambdaLR, (None, 1.5), "lr_lambda must be a function, or a list of them, got 1.5"),
    (optim.LambdaLR, (None, abs), "optimizer must be an Optimizer, got NoneType"),
    (nn.BatchNorm, (4,), "decay must be a number, got 'a'"),
    (nn.ModuleList, (5,), "modules must be an iterable of modules, got 5"),
    (nn.ModuleDict, ([1],), "modules must be modules by name, got [1]"),
    (nn.Unflatten, (1, 5), "unflattened_size must be a tuple of ints, got 5"),
    (nn.Unflatten, ("a", (1,)), "dim must be an integer, got 'a'"),
    (training.EarlyStopping, (), "min_delta must be a number, got 'a'"),
    (nn.BCELoss, ("a",), "'weight' must be a Tensor or None, got str"),
]


@pytest.mark.parametrize(("kind", "args", "text"), CONSTRUCTORS, ids=name_of)
def test_constructors(kind, args, text):
    options = {nn.BatchNorm: {"decay": "a"}, training.EarlyStopping: {"min_delta": "a"}}
    with pytest.raises(TypeError, match=rf"^{kind.__name__}\b.*: {re.escape(text)}$"):
        kind(*args, **options.get(kind, {}))


def test_bounds_of_gradients():
    for call, text in (
        (lambda: nn.utils.clip_grad_norm_([], "a"), "clip_grad_norm_: max_norm must be a number"),
        (lambda: nn.utils.clip_grad_value_([], "a"), "clip_grad_value_: clip_value must be a num"),
    ):
        with pytest.raises(TypeError, match=text):
            call()


@pytest.mark.parametrize("value", ["a", None, (1.0,), 1j, True], ids=repr)
@pytest.mark.parametrize(("function", "args", "option"), NUMBERS, ids=name_of)
def test_numbers(function, args, option, value):
    text = rf"^{function.__name__}: {option} must be a number, got {re.escape(repr(value))}"
    with pytest.raises(TypeError, match=text):
        function(*args, **{option: value})


@pytest.mark.parametrize("value", ["a", 1.5, (1,), float("nan")], ids=repr)
@pytest.mark.parametrize(("function", "args", "option"), INTEGERS, ids=name_of)
def test_integers(function, args, option, value):
    text = rf"{function.__name__}: {option} must be an integer, got {re.escape(repr(value))}"
    with pytest.raises(TypeError, match=text):
        function(*args, **{option: value})


@pytest.mark.parametrize(("function", "args", "options", "text"), RANGES, ids=name_of)
def test_ranges_and_kinds(function, args, options, text):
    with pytest.raises((TypeError, ValueError), match=re.escape(text)) as info:
        function(*args, **options)
    assert str(info.value).startswith(f"{function.__name__}: ")


@pytest.mark.parametrize(
    "call",
    [
        functools.partial(tg.zeros, (2,), dtype=1.5),
        functools.partial(tg.linalg.svd, "a"),
        functools.partial(tg.nll_loss, X, None),
        functools.partial(tg.mse_loss, object(), X),
        functools.partial(tg.diff, X, n="a"),
        functools.partial(tg.outer, "a", X),
        functools.partial(tg.linalg.cross, X, X, axis="a"),
        functools.partial(F.batch_norm, X, axis="a"),
        functools.partial(F.batch_norm, X, residual=1.5),
        functools.partial(F.group_norm, X, 2, weight="a"),
    ],
    ids=lambda call: call.func.__name__,
)
def test_whatever_goes_wrong_names_the_function(call):
    with pytest.raises((TypeError, ValueError), match=f"^{call.func.__name__}: "):
        call()


def test_named_tells_the_arguments():
    @named
    def f(x, *, option=1):
        raise ValueError("no")

    with pytest.raises(ValueError, match=r"^f: no \(x of shape \(3, 4\), option='a'\)$") as info:
        f(X, option="a")
    assert isinstance(info.value.__cause__, ValueError)
    with pytest.raises(ValueError, match=r"^f: no \(x=5\)$"):
        f(5)
    with pytest.raises(TypeError, match=r"^test_named_tells_the_arguments.<locals>.f\(\) missing"):
        f()
    assert list(inspect.signature(f).parameters) == ["x", "option"]


def test_named_leaves_other_errors_alone():
    class OwnError(ValueError):
        pass

    for error in (OwnError("no"), RuntimeError("no"), ValueError("f: said already")):

        @named
        def f(error=error):
            raise error

        with pytest.raises(type(error)) as info:
            f()
        assert info.value is error


def test_checks():
    check_number("f", "x", np.float32(1.0), least=1, most=1)
    check_number("f", "x", 2, above=1)
    assert check_integer("f", "x", np.int8(3)) == 3
    with pytest.raises(TypeError, match="f: x must be an integer, got True"):
        check_integer("f", "x", True)


@pytest.mark.parametrize(
    ("call", "kind", "text"),
    [
        (lambda: tg.Tensor("a"), TypeError, "Tensor: cannot make an array of str"),
        (lambda: tg.Tensor([[1], [1, 2]]), ValueError, "Tensor: .* (data=[[1], [1, 2]])"),
        (lambda: tg.Tensor([1.0], dtype="q8"), TypeError, "Tensor: not a dtype: 'q8'"),
        (lambda: leaf().backward("a"), TypeError, "backward: a cotangent must be .* got 'a'"),
        (lambda: leaf().backward([object()]), TypeError, "backward: a cotangent must be a tensor"),
        (lambda: tg.primitive()(5), TypeError, "primitive: the forward must be a function, got 5"),
        (lambda: tg.primitive(5)(leaf), TypeError, "primitive: a rule must be a function, got 5"),
        (lambda: tg.primitive(x=5)(leaf), TypeError, "primitive: x must be a function, got 5"),
        (lambda: save(5, {}), TypeError, "save: path must be the path of a file, got 5"),
        (lambda: save("x", 5), TypeError, "save: state_dict must be a mapping, got 5"),
        (lambda: save("x", {}, 5), TypeError, "save: metadata must be a mapping, got 5"),
        (lambda: save_checkpoint("x", 5), TypeError, "save_checkpoint: tree must be a mapping"),
        (lambda: load(5), TypeError, "load: path must be the path of a file, got 5"),
        (lambda: checkpoint(5, X), TypeError, "checkpoint: fn must be a function, got int"),
        (lambda: tg.func.grad(leaf, argnums=1.5)(X), TypeError, "grad: argnums must be .* got 1.5"),
        (lambda: tg.func.grad(leaf, argnums="0")(X), TypeError, "grad: argnums must be .* got '0'"),
    ],
)
def test_tensors_and_derivatives(call, kind, text):
    with pytest.raises(kind, match=f"^{re.escape(text)}".replace(r"\.\*", ".*")):
        call()


def test_trainer():
    model = nn.Linear(2, 2)
    arguments = (model, optim.SGD(model.parameters(), lr=0.1), nn.MSELoss())
    for name, text in (
        ("scheduler", "an LRScheduler"),
        ("callbacks", "a sequence of Callbacks"),
        ("clip_norm", "a number"),
    ):
        with pytest.raises(TypeError, match=rf"^Trainer: {name} must be {text}, got 'a'$"):
            training.Trainer(*arguments, **{name: "a"})
    with pytest.raises(TypeError, match=r"^Trainer: progress must be None or a bool, got 'a'$"):
        training.Trainer(*arguments, progress="a")
    trainer = training.Trainer(*arguments)
    loader = data.DataLoader(data.ArrayDataset(np.ones((4, 2)), np.ones((4, 2))), 2)
    with pytest.raises(TypeError, match=r"^Trainer\.fit: validation must give batches, got 5$"):
        trainer.fit(loader, steps=1, validation=5)
    with pytest.raises(TypeError, match=r"^Trainer\.fit: early_stopping must be an EarlyStopping"):
        trainer.fit(loader, steps=1, validation=loader, early_stopping=5)
