"""Checkpoints: whole at any moment (T1), loadable anywhere, and refused in a sentence when they are not."""

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from training_cases import build, build_simple, fit_simple

from hemokit.checks import HemokitError
from hemokit.training import load
from hemokit.training.checkpoints import BEST, LAST, read_state, remove_leftovers, restore, write_checkpoint

SCRIPT = Path(__file__).parent / "training_cases.py"


def compiled(builder=build):
    """A compiled network with a built optimizer."""
    model = builder()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    return model


def test_restore_brings_everything_back(tmp_path):
    """Weights, optimizer and the random generators of dropout come back to the last bit, and the state with them."""
    model, other = compiled(), compiled()
    x = np.ones((4, 8, 8, 1), np.float32)
    model.fit(x, x, verbose=0)
    write_checkpoint(model, tmp_path / LAST, {"number": 0.1})
    state = read_state(tmp_path / LAST)
    restore(other, tmp_path / LAST, state)
    assert state["number"] == 0.1
    number = keras.ops.convert_to_numpy
    pairs = zip(model.variables + model.optimizer.variables, other.variables + other.optimizer.variables, strict=True)
    assert all(number(one).tobytes() == number(two).tobytes() for one, two in pairs)
    assert number(other.optimizer.iterations) == 1


def test_best_is_a_plain_keras_file(tmp_path):
    """It has no optimizer in it, Keras alone can load it, and the model it was written from can still be trained."""
    model = compiled()
    write_checkpoint(model, tmp_path / BEST, {}, with_optimizer=False)
    write_checkpoint(model, tmp_path / LAST, {})
    assert not keras.saving.load_model(tmp_path / BEST).compiled
    assert isinstance(keras.saving.load_model(tmp_path / LAST).optimizer, keras.optimizers.Adam)
    assert model.compiled and model.optimizer is not None


def test_load_says_what_is_wrong(tmp_path):
    """A missing run, an unknown choice, a damaged file and unknown objects are one sentence each."""
    (tmp_path / ".last.keras.abc.part.keras").write_text("")  # of a writer that was killed
    with pytest.raises(HemokitError, match="no .keras file in .* but expected best.keras"):
        load(tmp_path)
    with pytest.raises(HemokitError, match="which is 'first'"):
        load(tmp_path, "first")
    (tmp_path / BEST).write_bytes(b"PK\3\4 and no more")
    with pytest.raises(HemokitError, match="Keras cannot load it"):
        load(tmp_path)
    with pytest.raises(HemokitError, match="best.keras in .* but expected last.keras"):
        load(tmp_path, "last")


def test_load_runs_no_code_of_the_file(tmp_path):
    """A model that carries Python code (a Lambda layer) is refused."""
    layers = [keras.Input((2,)), keras.layers.Lambda(lambda x: x + 1)]
    write_checkpoint(keras.Sequential(layers), tmp_path / BEST, {})
    with pytest.raises(HemokitError, match="Keras cannot load it"):
        load(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "flip", "foreign", "text"])
def test_damaged_checkpoint_is_refused(tmp_path, damage):
    """A file that is cut, has a flipped bit, or is none of ours is never resumed from."""
    path = tmp_path / LAST
    fit_simple(tmp_path, epochs=1)
    content = bytearray(path.read_bytes())
    if damage == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flip":
        with zipfile.ZipFile(path) as archive:
            place = archive.getinfo("model.weights.h5").header_offset + 5000
        content[place] ^= 1
        path.write_bytes(content)
    elif damage == "foreign":
        build_simple().save(path)
    else:
        path.write_text("not a model")
    with pytest.raises(HemokitError, match="last.keras: a file that is damaged or no checkpoint of a run"):
        fit_simple(tmp_path)


def test_remove_leftovers(tmp_path):
    """Temporary files of a killed run go, files of others stay."""
    for name in (
        ".last.keras.abc.part.keras",
        ".best.keras.x.part.keras",
        ".run.json.x.part",
        LAST,
        ".notes.part",
        "notes.txt",
    ):
        (tmp_path / name).write_text("")
    remove_leftovers(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [".notes.part", LAST, "notes.txt"]
    remove_leftovers(tmp_path, everything=True)
    assert sorted(os.listdir(tmp_path)) == [".notes.part", "notes.txt"]


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kill -9 and fork are POSIX matters")
@pytest.mark.parametrize("count", [5, pytest.param(100, marks=pytest.mark.promises)])
def test_killed_while_writing(tmp_path, count):
    """T1: after kill -9 at random moments, both files load, are whole, and are as new as what was reported."""
    command = [sys.executable, str(SCRIPT), str(tmp_path), "write", str(count)]
    environment = os.environ | {"PYTHONPATH": str(SCRIPT.parent.parent), "CUDA_VISIBLE_DEVICES": "-1"}
    told = subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=600).stdout
    rows = [json.loads(line) for line in told.splitlines()]
    assert len(rows) == count
    for reported, _, best, last in rows:
        assert best in (reported, reported + 1) and last in (reported, reported + 1)
    assert count < 100 or any(leftovers for _, leftovers, _, _ in rows)  # some were hit in the middle of a file
