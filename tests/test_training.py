"""Training: what a run leaves, that a resumed one equals an uninterrupted one (T2), and what is refused (T3, L3)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from training_cases import EPOCHS, arrays, build, build_simple, fit, fit_simple, state_of

from hemokit import training
from hemokit.checks import HemokitError
from hemokit.training import epochs

SCRIPT = Path(__file__).parent / "training_cases.py"
number = keras.ops.convert_to_numpy


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run that nobody interrupted: its folder and its history."""
    folder = tmp_path_factory.mktemp("whole")
    return folder, fit(folder)


class Interrupt(keras.callbacks.Callback):
    """Ctrl-C at one batch of one epoch (from 0)."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.place, self.epoch = (epoch, batch), 0

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_begin(self, batch, logs=None):
        if (self.epoch, batch) == self.place:
            raise KeyboardInterrupt


def interrupted(folder, epoch, batch=1, **options):
    """Start a run and interrupt it."""
    with pytest.raises(KeyboardInterrupt):
        fit(folder, callbacks=[Interrupt(epoch, batch)], **options)


def test_what_a_run_leaves(whole_run):
    """Four files; a history with a row an epoch, on disk as returned; a record of data, settings and versions."""
    folder, history = whole_run
    assert sorted(os.listdir(folder)) == ["best.keras", "history.csv", "last.keras", "run.json"]
    assert list(history) == ["epoch", "seconds", "loss", "val_loss", "learning_rate"]
    assert history["epoch"].tolist() == [1, 2, 3, 4] and history["loss"].iloc[-1] < history["loss"].iloc[0]
    pd.testing.assert_frame_equal(pd.read_csv(folder / "history.csv"), history)
    record = json.loads((folder / "run.json").read_text())
    assert record["notice"] == "education only, not a medical device" and record["finished"]
    assert record["settings"]["loss"] == "hemokit>dice_bce" and record["settings"]["learning_rate"] == 0.03
    assert record["settings"]["model"]["parameters"] == build().count_params() and record["settings"]["seed"] == 0
    assert len(record["sessions"]) == 1 and record["sessions"][0]["versions"]["keras"] == keras.__version__


def test_cosine_schedule(whole_run):
    """The full rate first, then along half a cosine towards zero."""
    expected = [0.03 * (1 + np.cos(np.pi * epoch / EPOCHS)) / 2 for epoch in range(EPOCHS)]
    assert whole_run[1]["learning_rate"].to_numpy() == pytest.approx(expected, rel=1e-6)


def test_one_line_an_epoch(tmp_path, capsys):
    """Where no terminal listens, an epoch is one line with its losses."""
    fit_simple(tmp_path)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and lines[0].startswith("epoch 1/2 ") and "val_loss" in lines[1]


def test_model_is_trained_in_place_and_best_is_kept(tmp_path):
    """The model ends with the last weights, in its own precision; best.keras has those of the best epoch."""
    model = build()
    history = fit(tmp_path, model, learning_rate=0.5, schedule="constant", patience=None)
    last, best = training.load(tmp_path, "last"), training.load(tmp_path)
    assert all(np.array_equal(one, two) for one, two in zip(model.get_weights(), last.get_weights(), strict=True))
    assert {layer.dtype_policy.name for layer in (*model.layers, *last.layers, *best.layers)} == {"float32"}
    best.compile(loss=training.fitting.dice_bce)
    scored = best.evaluate(*arrays(4, seed=1), verbose=0)
    assert scored == pytest.approx(history["val_loss"].min(), rel=0.02)  # it may have been trained in bfloat16


@pytest.mark.slow
def test_same_seed_same_run(tmp_path, whole_run):
    """A builder and a seed make the whole run repeatable to the last bit; another seed is another run."""
    assert state_of_again(tmp_path / "again") == state_of(whole_run[0])
    assert state_of_again(tmp_path / "other", seed=1) != state_of(whole_run[0])


def state_of_again(folder, **options):
    """The state at the end of another run."""
    fit(folder, **options)
    return state_of(folder)


@pytest.mark.slow
@pytest.mark.parametrize("epoch, batch", [(0, 1), (2, 0)])
def test_resumed_equals_uninterrupted(tmp_path, whole_run, epoch, batch):
    """Interrupted anywhere and gone on with, a run ends with the same bytes: weights, optimizer, random states."""
    interrupted(tmp_path, epoch, batch)
    history = fit(tmp_path, build())  # another model with weights of its own: they are replaced
    assert state_of(tmp_path) == state_of(whole_run[0])
    assert history.drop(columns="seconds").equals(whole_run[1].drop(columns="seconds"))


@pytest.mark.slow
def test_killed_and_resumed(tmp_path, whole_run):
    """The same after kill -9 of the process just before a checkpoint gets its name."""
    killed(tmp_path, "replace:6")
    fit(tmp_path)
    assert state_of(tmp_path) == state_of(whole_run[0]) and not list(tmp_path.glob(".*"))


KILLS = {"batch": range(1, 9), "replace": range(1, 9), "fsync": (3, 8, 11, 16)}


@pytest.mark.promises
@pytest.mark.parametrize("place", [f"{call}:{number}" for call, numbers in KILLS.items() for number in numbers])
def test_killed_and_resumed_at_20_points(tmp_path, whole_run, place):
    """T2: after kill -9 at 20 points, in training and while writing, the run ends as an uninterrupted one."""
    killed(tmp_path, place)
    fit(tmp_path)
    assert state_of(tmp_path) == state_of(whole_run[0])


def killed(folder, place):
    """Run the script in a process of its own until it kills itself."""
    command = [sys.executable, str(SCRIPT), str(folder), "train", place]
    done = subprocess.run(command, capture_output=True, text=True, cwd=SCRIPT.parent.parent, env=environment())
    assert done.returncode == -9, done.stderr[-2000:]


def environment():
    """The environment with this checkout first on the path."""
    return os.environ | {"PYTHONPATH": str(SCRIPT.parent.parent)}


def test_finished_run_trains_nothing(tmp_path):
    """Asked again, a run that stopped early gives its history and the last weights, and its file is not touched."""
    options = {"learning_rate": 1e-9, "patience": 1, "epochs": 8}
    first = fit_simple(tmp_path, **options)
    assert len(first) < 8  # at that rate nothing gets better for long
    before = (tmp_path / "last.keras").stat().st_mtime_ns
    model = build_simple()
    pd.testing.assert_frame_equal(first, fit_simple(tmp_path, model, **options))
    assert (tmp_path / "last.keras").stat().st_mtime_ns == before
    assert np.array_equal(model.get_weights()[0], training.load(tmp_path, "last").get_weights()[0])


@pytest.mark.slow
def test_more_epochs(tmp_path, capsys):
    """A longer run goes on where the shorter ended, says so, and equals one that was long from the start."""
    fit_simple(tmp_path / "long", epochs=3)
    fit_simple(tmp_path / "short", epochs=2)
    capsys.readouterr()
    fit_simple(tmp_path / "short", epochs=3)
    assert "going on after epoch 2 of 3" in capsys.readouterr().out
    assert state_of(tmp_path / "short") == state_of(tmp_path / "long")
    assert len(json.loads((tmp_path / "short" / "run.json").read_text())["sessions"]) == 2
    with pytest.raises(HemokitError, match="epochs is 2, and the run in .* has 3"):
        fit_simple(tmp_path / "short", epochs=2)


@pytest.mark.slow
def test_best_is_never_overwritten_by_a_worse_one(tmp_path):
    """After a resumption the best of all epochs counts, not that of the session."""
    options = {"patience": None, "epochs": 5, "learning_rate": 50, "model": build_simple}
    options |= {"schedule": "constant", "optimizer": "sgd"}
    interrupted(tmp_path, 3, **options)
    history = fit(tmp_path, **options)
    saved = epochs.read_state(tmp_path / "best.keras")["history"]
    assert saved[-1]["epoch"] == epochs.best_row(history.to_dict("records"), "val_loss")["epoch"]


@pytest.mark.parametrize("history, patience, stops", [
    ([3, 2, 1], 1, False), ([3, 2, 2], 1, True), ([1, 2, 3], 2, True), ([1, 2, 0.5], 2, False),
    ([1, 9, 9], None, False), ([], 1, False),
])  # fmt: skip
def test_patience(history, patience, stops):
    """A run stops when so many epochs brought nothing strictly better; for scores, higher is better."""
    for monitor, sign in (("val_loss", 1), ("val_dice", -1)):
        rows = [{"epoch": place + 1, monitor: sign * value} for place, value in enumerate(history)]
        assert epochs.has_stopped(rows, monitor, patience) == stops


OTHERS = {
    "loss": ({"loss": "mse"}, "loss is mse and was hemokit>dice_bce"),
    "optimizer": ({"optimizer": "sgd"}, "optimizer name is SGD and was Adam"),
    "learning rate": ({"learning_rate": 0.01}, "learning_rate is 0.01 and was 0.03"),
    "schedule": ({"schedule": "constant"}, "schedule is constant and was cosine"),
    "length of the cosine": ({"epochs": 9}, "epochs is 9 and was 4"),
    "batch size": ({"batch_size": 3}, "batch_size is 3 and was 4"),
    "seed": ({"seed": 7}, "seed is 7 and was 0"),
    "patience": ({"patience": 2}, "patience is 2 and was 3"),
    "metrics": ({"metrics": ["mae"]}, r"metrics is \['mae'\] and was \[\]"),
    "settings": ({"settings": {"balance": True}}, "settings balance is True and was None"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_settings_are_refused(tmp_path, whole_run, name):
    """T3: a resumption with other settings names the difference and both values, and leaves the run as it was."""
    options, told = OTHERS[name]
    before = state_of(whole_run[0])
    with pytest.raises(HemokitError, match=told):
        fit(whole_run[0], **options)
    assert state_of(whole_run[0]) == before


@pytest.mark.slow
def test_other_precision_is_refused(tmp_path):
    """A run in float32 does not go on in bfloat16; "auto" goes on as it was."""
    fit_simple(tmp_path, epochs=1, precision="float32")
    with pytest.raises(HemokitError, match="precision is mixed_bfloat16 and was float32"):
        fit_simple(tmp_path, precision="mixed_bfloat16")
    assert len(fit_simple(tmp_path, epochs=2)) == 2


def test_other_model_and_data_are_refused(whole_run):
    """T3: another network, other images, other masks and other validation data are refused."""
    with pytest.raises(HemokitError, match="model parameters is 10 and was 65"):
        fit(whole_run[0], build_simple)
    (x, y), validation = arrays(), arrays(4, seed=1)
    changed = x.copy()
    changed[3, 2, 1] += 1e-6
    options = {"run_dir": whole_run[0], "epochs": EPOCHS, "batch_size": 4, "learning_rate": 0.03, "patience": 3}
    for train, judged, told in [
        ((changed, y), validation, "data train fingerprint is"),
        ((x, 1 - y), validation, "data train fingerprint is"),
        ((x, y), arrays(4, seed=2), "data validation fingerprint is"),
    ]:
        with pytest.raises(HemokitError, match=told):
            training.fit(build, train, judged, schedule="cosine", **options)


@pytest.mark.slow
def test_resume_false_begins_anew(tmp_path):
    """The old run's files go, other files stay."""
    fit_simple(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    assert len(fit_simple(tmp_path, epochs=1, seed=5, resume=False)) == 1
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_resume_false_with_a_wrong_argument_deletes_nothing(tmp_path):
    """A call that is refused leaves the run as it was."""
    fit_simple(tmp_path, epochs=1)
    with pytest.raises(HemokitError, match="schedule is 'steps'"):
        fit_simple(tmp_path, schedule="steps", resume=False)
    assert sorted(os.listdir(tmp_path)) == ["best.keras", "history.csv", "last.keras", "run.json"]


@pytest.mark.slow
def test_callbacks_may_lower_a_constant_rate(tmp_path):
    """What a callback such as ReduceLROnPlateau sets at the end of an epoch stays, also over a resumption."""

    class Halve(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.optimizer.learning_rate = float(number(self.model.optimizer.learning_rate)) / 2

    rates = fit_simple(tmp_path / "whole", epochs=3, callbacks=[Halve()])["learning_rate"].tolist()
    assert rates == pytest.approx([0.03, 0.015, 0.0075])


def test_folder_of_something_else(tmp_path):
    """A folder with files of such names that are no run is refused, and they stay."""
    (tmp_path / "history.csv").write_text("mine")
    with pytest.raises(HemokitError, match="holds history.csv, but expected last.keras beside it"):
        fit_simple(tmp_path)
    assert (tmp_path / "history.csv").read_text() == "mine"


@pytest.mark.slow
def test_loss_that_is_not_finite(tmp_path):
    """A loss of NaN ends the run with a sentence, and the checkpoint of the epoch before stays."""
    fit_simple(tmp_path, epochs=1)

    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.model.set_weights([one * np.nan for one in self.model.get_weights()])

    with pytest.raises(HemokitError, match="loss is nan in epoch 2"):
        fit_simple(tmp_path, callbacks=[Poison()])
    assert len(epochs.read_state(tmp_path / "last.keras")["history"]) == 1


@pytest.mark.parametrize("options, told", [
    ({"monitor": "val_dice"}, "monitor is 'val_dice', but expected one of 'epoch'"),
    ({"precision": "float16"}, "precision is 'float16'"),
    ({"schedule": "linear"}, "schedule is 'linear'"),
    ({"optimizer": keras.optimizers.SGD(), "learning_rate": 0.1}, "a learning_rate beside an optimizer object"),
    ({"settings": {"array": np.zeros(3)}}, "settings that JSON cannot hold"),
    ({"epochs": 0}, "epochs is 0, but expected a whole number from 1"),
    ({"epochs": 2.5}, "epochs is 2.5"),
    ({"patience": 0}, "patience is 0"),
    ({"seed": -1}, "seed is -1, but expected a whole number from 0"),
    ({"model": 3}, "model is int"),
    ({"model": keras.Sequential([keras.layers.Dense(1)])}, "a model without weights as yet"),
])  # fmt: skip
def test_bad_arguments(tmp_path, options, told):
    """Each bad argument is one sentence."""
    with pytest.raises(HemokitError, match=told):
        fit_simple(tmp_path, **options)


def test_bad_arrays(tmp_path):
    """Arrays without targets, of two lengths or empty are refused."""
    x, y = arrays()
    for train, told in [
        (x, "an array without targets"),
        ((x, y[1:]), "lengths 8, 7"),
        ((x[:0], y[:0]), "lengths 0, 0"),
    ]:
        with pytest.raises(HemokitError, match=told):
            training.fit(build, train, None, run_dir=tmp_path, epochs=1)


def test_without_validation(tmp_path):
    """Training without validation data needs a monitor that exists, which is seen before the first epoch."""
    with pytest.raises(HemokitError, match="monitor is 'val_loss', and there are no validation data"):
        training.fit(build_simple, arrays(9), None, run_dir=tmp_path / "none", epochs=1)
    assert not (tmp_path / "none").exists()
    history = training.fit(build_simple, arrays(9), None, batch_size=4, run_dir=tmp_path, epochs=1, monitor="loss")
    assert list(history) == ["epoch", "seconds", "loss", "learning_rate"]


def test_own_optimizer_stays_untouched(tmp_path):
    """An optimizer object is copied, so that a second run with it starts as the first did."""
    optimizer = keras.optimizers.SGD(0.1, momentum=0.9)
    histories = [fit_simple(tmp_path / name, optimizer=optimizer, learning_rate=None) for name in ("a", "b")]
    assert histories[0]["loss"].tolist() == histories[1]["loss"].tolist()
    assert number(optimizer.iterations) == 0


def test_tensorboard_on_request(tmp_path, monkeypatch):
    """Without TensorBoard installed, asking for it is one clear sentence; live curves need a notebook."""
    monkeypatch.setattr("hemokit.training.reporting.find_spec", lambda name: None)
    with pytest.raises(HemokitError, match="tensorboard is not installed.*pip install tensorboard"):
        fit(tmp_path, tensorboard=True)
    with pytest.raises(HemokitError, match="live=True outside a notebook"):
        fit(tmp_path, live=True)
