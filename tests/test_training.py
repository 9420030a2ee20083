"""The trainer: steps, validation, early stopping, exact resumption, interruption."""

import copy
import gc
import os
import re
import signal

import numpy as np
import pytest

import tinygrad_bn as tg
from tinygrad_bn import nn, optim
from tinygrad_bn.backend import rng
from tinygrad_bn.data import ArrayDataset, DataLoader
from tinygrad_bn.serialization import CheckpointError, save
from tinygrad_bn.training import (
    Callback,
    DivergenceWarning,
    EarlyStopping,
    Trainer,
    TrainingInterrupted,
    accuracy,
)

DATA = np.random.default_rng(1)
X = DATA.standard_normal((50, 4)).astype(np.float32)
Y = (X @ DATA.standard_normal((4, 3))).argmax(1)


def loader(seed=5):
    return DataLoader(ArrayDataset(X, Y), 8, shuffle=True, seed=seed)


def held_out():
    return DataLoader(ArrayDataset(X, Y), 16)


def trainer(width=6, schedule_each="epoch", kind=optim.SGD, **options):
    """A model with all that has state: dropout, batch norm, momentum, a schedule."""
    model = nn.Sequential(
        nn.Linear(4, width), nn.BatchNorm(width), nn.ReLU(), nn.Dropout(0.2), nn.Linear(width, 3)
    )
    extra = {"momentum": 0.9} if kind is optim.SGD else {"amsgrad": True}
    optimizer = kind(model.parameters(), lr=0.05, **extra)
    scheduler = optim.ExponentialLR(optimizer, 0.9)
    return Trainer(
        model,
        optimizer,
        nn.CrossEntropyLoss(),
        metrics={"accuracy": accuracy},
        scheduler=scheduler,
        schedule_each=schedule_each,
        progress=False,
        **options,
    )


def weights(t):
    return {k: v.tolist() for k, v in t.model.state_dict().items()}


def test_it_learns(backend):
    t = trainer()
    history = t.fit(loader(), epochs=8, validation=loader())
    assert t.step == len(history["loss"]) == 8 * 7
    assert [v["step"] for v in history["validation"]] == [7 * i for i in range(1, 9)]
    assert history["validation"][-1]["accuracy"] > 0.8
    assert np.mean(history["loss"][-7:]) < 0.7 * np.mean(history["loss"][:7])
    assert t.model.training


def test_steps_and_epochs_count_in_all():
    t, batches = trainer(), loader()
    t.fit(batches, steps=3)
    t.fit(batches, steps=10)
    assert (t.step, t.epoch, batches.epoch, batches.position) == (10, 1, 1, 3)
    t.fit(batches, epochs=2)
    assert (t.step, t.epoch) == (14, 2)
    t.fit(batches, epochs=2)
    assert t.step == 14


@pytest.mark.parametrize("kind", [optim.SGD, optim.AdamW])
@pytest.mark.parametrize("each", ["epoch", "step"])
@pytest.mark.parametrize("stop", [7, 10, 14])
def test_a_resumed_run_is_bit_identical(tmp_path, backend, stop, each, kind):
    rng.manual_seed(1)
    whole = trainer(schedule_each=each, kind=kind)
    whole.fit(loader(), steps=18, validation=held_out())
    rng.manual_seed(1)
    first = trainer(schedule_each=each, kind=kind)
    path = tmp_path / "checkpoint"
    first.fit(loader(), steps=stop, validation=held_out(), checkpoint_path=path)
    rng.manual_seed(777)
    second = trainer(schedule_each=each, kind=kind)
    second.fit(loader(seed=6), steps=18, validation=held_out(), resume_from=path)
    assert second.history == whole.history
    assert weights(second) == weights(whole)
    assert second.scheduler.get_last_lr() == whole.scheduler.get_last_lr()


@pytest.mark.parametrize("as_list", [False, True])
def test_steps_that_end_with_an_epoch_end_it(as_list):
    t = trainer()
    batches = list(loader()) if as_list else loader()
    t.fit(batches, steps=7, validation=held_out())
    assert t.epoch == t.scheduler.last_epoch == len(t.history["validation"]) == 1
    t.fit(batches, steps=10, validation=held_out())
    assert (t.epoch, len(t.history["validation"])) == (1, 1)


def test_going_on_in_the_same_process_is_identical_too():
    rng.manual_seed(1)
    whole = trainer()
    whole.fit(loader(), epochs=3)
    rng.manual_seed(1)
    parts, batches = trainer(), loader()
    for n in (4, 7, 9, 21):
        parts.fit(batches, steps=n)
    assert parts.history["loss"] == whole.history["loss"]


def test_checkpoints_and_validations_come_when_due(tmp_path):
    seen = []

    class Watch(Callback):
        def on_step(self, t):
            seen.append(("step", t.step, (tmp_path / "c").exists()))

        def on_epoch(self, t):
            seen.append(("epoch", t.step))

        def on_validation(self, t, values):
            seen.append(("validation", t.step, sorted(values)))

    t = trainer(callbacks=[Watch()])
    t.fit(
        loader(),
        steps=8,
        validation=loader(),
        validate_every=3,
        checkpoint_path=tmp_path / "c",
        checkpoint_every=2,
    )
    assert [s for s in seen if s[0] != "step"] == [
        ("validation", 3, ["accuracy", "loss"]),
        ("validation", 6, ["accuracy", "loss"]),
        ("epoch", 7),
    ]
    assert [s[2] for s in seen if s[0] == "step"] == [False, False, *[True] * 6]


def test_a_callback_can_stop():
    class Stop(Callback):
        def on_step(self, t):
            if t.step == 5:
                t.stop()

    t = trainer(callbacks=[Stop()])
    t.fit(loader(), epochs=3)
    assert t.step == 5


def test_clipping_bounds_every_step():
    t = trainer(clip_norm=1e-9, kind=optim.SGD)
    before = weights(t)["0.weight"]
    t.train_step((tg.asarray(X[:8]), tg.asarray(Y[:8])))
    assert np.allclose(weights(t)["0.weight"], before, atol=1e-9)


def test_steps_leave_nothing_to_the_garbage_collector():
    t, batch = trainer(), (tg.asarray(X[:8]), tg.asarray(Y[:8]))
    t.train_step(batch)
    gc.collect()
    gc.disable()
    try:
        for _ in range(5):
            t.train_step(batch)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_evaluation_weights_batches_by_samples_and_changes_nothing(backend):
    t = trainer()
    before = weights(t)
    values = t.evaluate(DataLoader(ArrayDataset(X, Y), 32))
    whole = t.evaluate(DataLoader(ArrayDataset(X, Y), 50))
    assert values["loss"] == pytest.approx(whole["loss"], rel=1e-5)
    assert values["accuracy"] == pytest.approx(whole["accuracy"])
    assert weights(t) == before
    assert t.model.training
    with pytest.raises(ValueError, match=r"Trainer\.evaluate: the loader has no samples"):
        t.evaluate([])


def test_accuracy(backend):
    scores = tg.asarray([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert accuracy(scores, tg.asarray([1, 1, 1])) == pytest.approx(2 / 3)
    with pytest.raises(
        ValueError, match=r"output must be \(N, C\) and target \(N,\), got \(3, 2\)"
    ):
        accuracy(scores, scores)


# ------------------------------------------------------------------------------ early stopping


def test_early_stopping_restores_the_best():
    model = nn.Linear(1, 1)
    stopping = EarlyStopping("accuracy", patience=2, mode="max", min_delta=0.1)
    for value, bias in [(0.5, 1.0), (0.7, 2.0), (0.75, 3.0), (0.2, 4.0)]:
        model.bias.assign(bias)
        stopped = stopping.update(model, {"accuracy": value})
    assert stopped
    assert stopping.best == 0.7
    stopping.finish(model)
    assert model.bias.item() == 2


@pytest.mark.parametrize("resumed", [False, True])
def test_early_stopping_in_a_training(tmp_path, resumed):
    def stopping():
        return EarlyStopping(patience=3, restore_best=True)

    rng.manual_seed(1)
    t, s, batches = trainer(), stopping(), loader()
    options = {"validation": held_out(), "validate_every": 2}
    if resumed:
        t.fit(batches, steps=31, **options, early_stopping=s, checkpoint_path=tmp_path / "c")
        t, s, batches = trainer(), stopping(), loader()
        options["resume_from"] = tmp_path / "c"
    t.fit(batches, epochs=200, **options, early_stopping=s)
    assert s.stopped
    losses = [v["loss"] for v in t.history["validation"]]
    assert s.best == min(losses)
    assert len(losses) == losses.index(min(losses)) + 1 + 3
    assert t.evaluate(held_out())["loss"] == pytest.approx(s.best, rel=1e-6)


def test_an_unknown_monitor():
    with pytest.raises(ValueError, match=r"monitor must be one of \['loss'\], got 'f1'"):
        EarlyStopping("f1").update(nn.Identity(), {"loss": 1.0})


# -------------------------------------------------------------------------------- interruption


class Press(Callback):
    """Ctrl-C during one step."""

    def __init__(self, at):
        self.at = at

    def on_step(self, t):
        if t.step == self.at:
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_saves_and_says_so(tmp_path):
    rng.manual_seed(1)
    whole = trainer()
    whole.fit(loader(), steps=12)
    rng.manual_seed(1)
    t, path = trainer(callbacks=[Press(5)]), tmp_path / "c"
    with pytest.raises(
        TrainingInterrupted, match=r"interrupted after step 5; saved in .*c$"
    ) as stop:
        t.fit(loader(), steps=12, checkpoint_path=path)
    assert (stop.value.step, stop.value.checkpoint) == (5, str(path))
    assert isinstance(stop.value, KeyboardInterrupt)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    second = trainer()
    second.fit(loader(), steps=12, resume_from=path)
    assert second.history == whole.history


def test_ctrl_c_without_a_checkpoint():
    with pytest.raises(TrainingInterrupted, match=r"interrupted after step 5$") as stop:
        trainer(callbacks=[Press(5)]).fit(loader(), steps=12)
    assert stop.value.checkpoint is None


def test_sigterm_does_the_same(tmp_path):
    class Terminate(Press):
        def on_step(self, t):
            if t.step == self.at:
                os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(TrainingInterrupted, match="interrupted after step 5; saved in"):
        trainer(callbacks=[Terminate(5)]).fit(loader(), steps=12, checkpoint_path=tmp_path / "c")
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_does_not_wait():
    class Twice(Press):
        def on_step(self, t):
            super().on_step(t)
            super().on_step(t)

    with pytest.raises(KeyboardInterrupt) as stop:
        trainer(callbacks=[Twice(5)]).fit(loader(), steps=12)
    assert not isinstance(stop.value, TrainingInterrupted)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# ------------------------------------------------------------------------------------ display


def test_plain_lines_where_there_is_no_terminal(capsys):
    t = trainer()
    t.progress = None
    t.fit(loader(), epochs=2, validation=loader())
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert re.fullmatch(r"epoch 2  step 14  loss \d\.\d{4}  accuracy \d\.\d{4}", lines[1])


def test_a_live_bar_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    t = trainer()
    t.progress = True
    t.fit(loader(), epochs=1, validation=loader())
    assert "7/7" in capsys.readouterr().out
    t.fit(loader(), epochs=2)  # no validation brings the bar up to date
    assert "14/14" in capsys.readouterr().out


# ------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"epochs": 1.5}, TypeError, "epochs must be an int, got float"),
        ({"steps": "3"}, TypeError, "steps must be an int, got str"),
        (
            {"steps": 1, "checkpoint_path": "no/folder/c"},
            FileNotFoundError,
            "checkpoint_path must be in a folder that exists, got 'no/folder/c'",
        ),
        ({}, ValueError, "give epochs or steps, got epochs=None and steps=None"),
        ({"epochs": 1, "steps": 1}, ValueError, "give epochs or steps, got epochs=1 and steps=1"),
        ({"epochs": -1}, ValueError, "epochs must be >= 0, got -1"),
        ({"steps": 1, "validate_every": 0}, ValueError, "validate_every must be >= 1, got 0"),
        ({"steps": 1, "validate_every": 1}, ValueError, "validate_every needs validation="),
        (
            {"steps": 1, "early_stopping": EarlyStopping()},
            ValueError,
            "early_stopping needs valida",
        ),
        ({"steps": 1, "checkpoint_every": 1}, ValueError, "needs checkpoint_path="),
    ],
)
def test_contradictions(options, error, message):
    with pytest.raises(error, match=re.escape(message)):
        trainer().fit(loader(), **options)


def test_loaders_that_do_not_do():
    with pytest.raises(ValueError, match="train_loader has no batches"):
        trainer().fit([], steps=1)
    with pytest.raises(TypeError, match="train_loader must have a length, got list_iterator"):
        trainer().fit(iter([(X, Y)]), steps=1)
    with pytest.raises(TypeError, match="need a train_loader with state_dict, such as DataLoader"):
        trainer().fit([(X, Y)], steps=1, checkpoint_path="c")


@pytest.mark.parametrize(
    ("act", "message"),
    [
        (lambda: trainer(schedule_each="day"), "must be 'epoch' or 'step', got 'day'"),
        (lambda: trainer(clip_norm=0), "clip_norm must be > 0, got 0"),
        (lambda: EarlyStopping(patience=0), "patience must be >= 1, got 0"),
        (lambda: EarlyStopping(mode="up"), "mode must be 'min' or 'max', got 'up'"),
        (lambda: EarlyStopping(min_delta=-1), "min_delta must be >= 0, got -1"),
    ],
)
def test_arguments(act, message):
    with pytest.raises(ValueError, match=message):
        act()
    with pytest.raises(TypeError, match="loss must be callable, got int"):
        Trainer(nn.Identity(), None, 3)


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"model": None}, TypeError, "model must be an instance of Module, got NoneType"),
        ({"optimizer": 3}, TypeError, "optimizer must be an instance of Optimizer, got int"),
        ({"metrics": [accuracy]}, TypeError, "metrics must be functions by name, got list"),
        ({"metrics": {"loss": accuracy}}, ValueError, "metrics must not be called 'loss'"),
    ],
)
def test_parts_of_another_kind(changes, error, message):
    t = trainer()
    parts = {"model": t.model, "optimizer": t.optimizer, "loss": t.loss}
    with pytest.raises(error, match=message):
        Trainer(**{**parts, **changes})


def test_a_loss_that_is_no_tensor():
    t = trainer()
    t.loss = lambda output, target: 1.0
    with pytest.raises(TypeError, match="loss must give a Tensor, got float"):
        t.fit(loader(), steps=1)


def test_checkpoints_of_something_else(tmp_path):
    path = tmp_path / "c"
    trainer().fit(loader(), steps=1, checkpoint_path=path)
    with pytest.raises(
        CheckpointError, match=r"c: load_state_dict: .*wrong shapes: 0\.weight: exp"
    ):
        trainer(width=7).fit(loader(), steps=2, resume_from=path)
    with pytest.raises(CheckpointError, match=r"c: DataLoader.*batch_size must be this loader's 4"):
        trainer().fit(DataLoader(ArrayDataset(X, Y), 4), steps=2, resume_from=path)
    bare = trainer()
    bare.scheduler = None
    with pytest.raises(CheckpointError, match="there is no scheduler, the state was saved with a"):
        bare.fit(loader(), steps=2, resume_from=path)
    save(path, {"a": np.ones(1)})
    with pytest.raises(CheckpointError, match="holds tensors only"):
        trainer().fit(loader(), steps=2, resume_from=path)


def test_a_refused_checkpoint_changes_nothing(tmp_path):
    path = tmp_path / "c"
    trainer(kind=optim.Adam).fit(
        loader(),
        steps=9,
        validation=held_out(),
        validate_every=3,
        checkpoint_path=path,
        early_stopping=EarlyStopping(),
    )
    for options, batches in (
        ({"kind": optim.Adam, "width": 7}, loader()),
        ({"kind": optim.SGD}, loader()),
        ({"kind": optim.Adam}, DataLoader(ArrayDataset(X, Y), 4)),
    ):
        t, stopping = trainer(**options), EarlyStopping()
        before, position = copy.deepcopy(t.state_dict()), batches.state_dict()
        with pytest.raises(CheckpointError):
            t.load_checkpoint(path, batches, stopping)
        assert str(t.state_dict()) == str(before)
        assert batches.state_dict() == position
        assert stopping.best == np.inf


# ----------------------------------------------------------------------------------- divergence


def diverging(at, value=float("nan")):
    """A trainer whose loss is NaN from step `at` on."""
    made = trainer()
    loss = made.loss
    made.loss = lambda y, t: loss(y, t) * (value if made.step + 1 >= at else 1.0)
    return made


@pytest.mark.parametrize("options", [{"steps": 12}, {"epochs": 2, "validation": loader()}])
def test_a_loss_that_is_no_number_is_told(options):
    t = diverging(5)
    with pytest.warns(DivergenceWarning) as told:
        t.fit(loader(), **options)
    assert [str(w.message) for w in told] == [
        "Trainer: the loss became nan at step 5: the training has diverged. A smaller learning "
        "rate or clip_norm may help; detect_anomaly() finds the operation"
    ]
    assert told[0].filename == __file__
    assert t.diverged == 5


def test_an_infinite_loss_too_and_across_a_resumption(tmp_path):
    t = diverging(3, float("inf"))
    with pytest.warns(DivergenceWarning, match="became inf at step 3"):
        t.fit(loader(), steps=6, checkpoint_path=tmp_path / "c")
    second = trainer()
    second.fit(loader(), steps=6, resume_from=tmp_path / "c")
    assert second.diverged == 3  # known already: no warning


def test_a_healthy_training_has_not_diverged():
    t = trainer()
    t.fit(loader(), steps=4)
    assert t.diverged is None
