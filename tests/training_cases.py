"""What the training tests share: a tiny network, its data, and (as a script) a run that kills itself.

python training_cases.py RUN_DIR train [what:count]   trains; kill -9 at a call of "batch", "fsync" or "replace"
python training_cases.py RUN_DIR write count          writes checkpoints and is killed at random moments, so many times
"""

import io
import itertools
import json
import os
import signal
import sys
import time
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np

from hemokit import training
from hemokit.losses import weighted_log_loss
from hemokit.models.sequence import scan_lstm
from hemokit.training.checkpoints import BEST, LAST, read_state, write_checkpoint

EPOCHS = 4
QUICK = {"epochs": EPOCHS, "batch_size": 4, "learning_rate": 0.03, "patience": 3, "schedule": "cosine"}


def build():
    """A network of 65 parameters with all that a resumed run can lose: batch statistics, dropout, two branches."""
    image = keras.Input((8, 8, 1), name="image")
    first = x = keras.layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    x = keras.layers.Dropout(0.3)(keras.layers.BatchNormalization()(x))
    x = keras.layers.Conv2D(1, 1, dtype="float32")(keras.layers.Concatenate()([first, x]))
    return keras.Model(image, keras.layers.Activation("sigmoid", dtype="float32")(x))


def arrays(count=8, *, seed=0):
    """Noise with its bright pixels as mask: (count, 8, 8, 1) twice."""
    x = np.random.default_rng(seed).random((count, 8, 8, 1), np.float32)
    return x, (x > 0.7).astype(np.float32)


def build_simple():
    """One convolution of 10 parameters, which TensorFlow compiles in a third of the time."""
    return keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid")])


def fit(run_dir, model=build, **options):
    """A short run on the shared data."""
    return training.fit(model, arrays(), arrays(4, seed=1), run_dir=run_dir, **{**QUICK, **options})


def fit_simple(run_dir, model=build_simple, **options):
    """A short run of the simple network, at a constant rate."""
    return fit(run_dir, model, **{"epochs": 2, "schedule": "constant", "optimizer": "sgd", **options})


def fit_sequence(run_dir, **options):
    """A short run of a small sequence model on eight scans of three to eight slices, four a batch."""
    rng, lengths = np.random.default_rng(0), (3, 8, 5, 4, 7, 6, 8, 3)
    slices = np.zeros((8, 8, 12), np.float32)
    for scan, length in zip(slices, lengths, strict=True):
        scan[:length] = rng.random((length, 12))
        scan[:length, 0] = 1
    there = slices[..., 0]
    data = slices, (slices[..., 1:7] > 0.6).astype(np.float32), there * there.size / there.sum()
    how = {"loss": weighted_log_loss, "optimizer": "sgd", "epochs": 2, "batch_size": 4, **options}
    return training.fit(lambda: scan_lstm(5, units=3), data, data, run_dir=run_dir, **how)


def state_of(run_dir):
    """Everything last.keras holds that a later epoch could depend on: arrays, random states, history without times."""
    model = training.load(run_dir, "last")
    saved = read_state(Path(run_dir) / LAST)
    history = [{name: value for name, value in row.items() if name != "seconds"} for row in saved["history"]]
    return _stored_arrays(Path(run_dir) / LAST), saved["random_states"], history, len(model.weights)


def _stored_arrays(path):
    """The bytes of each array in a .keras file, weights and optimizer."""
    found = {}
    with zipfile.ZipFile(path) as archive, h5py.File(io.BytesIO(archive.read("model.weights.h5"))) as file:
        file.visititems(lambda name, one: found.update({name: one[()].tobytes()}) if hasattr(one, "shape") else None)
    return found


class KillAtBatch(keras.callbacks.Callback):
    """kill -9 at the end of a training batch, counted over all epochs."""

    def __init__(self, count):
        super().__init__()
        self.left = count

    def on_train_batch_end(self, batch, logs=None):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at_call(name, count):
    """From now on the given call of os.fsync or os.replace is kill -9 instead."""
    real, left = getattr(os, name), [count]

    def call(*args):
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args)

    setattr(os, name, call)


def killed_writers(run_dir, count):
    """Fork writers of checkpoints, kill each at a random moment; print what each had reported and what is there then.

    Forks are used because a new process takes seconds to import Keras, and dies no differently.
    """
    model = keras.Sequential([keras.Input((500,)), keras.layers.Dense(500)])
    model.compile(keras.optimizers.SGD(), "mse")
    for place in range(count):
        folder = Path(run_dir) / str(place)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            write_forever(model, folder, writing)
        os.close(writing)
        os.read(reading, 1)  # the first is on disk
        time.sleep(np.random.default_rng(place).uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        with os.fdopen(reading, "rb") as pipe:
            reported = len(pipe.read())
        leftovers = len(list(folder.glob("*.part*")))
        print(json.dumps([reported, leftovers, *(found(folder, name) for name in (BEST, LAST))]))


def write_forever(model, folder, writing):
    """Checkpoints whose every weight is the number of the checkpoint; a byte goes out when one is on disk."""
    for number in itertools.count():
        model.set_weights([np.full(one.shape, number, np.float32) for one in model.get_weights()])
        for name in (BEST, LAST):
            write_checkpoint(model, folder / name, {"number": number}, with_optimizer=name == LAST)
        os.write(writing, b".")


def found(folder, name):
    """The number that a checkpoint and all of its weights hold, or None if they do not agree."""
    number = read_state(folder / name)["number"]
    weights = training.load(folder, name.removesuffix(".keras")).get_weights()
    return number if all((one == number).all() for one in weights) else None


if __name__ == "__main__":
    folder, task, *rest = sys.argv[1:]
    if task == "write":
        killed_writers(folder, int(rest[0]))
    else:
        where, count = (rest or ["batch:0"])[0].split(":")
        if where != "batch":
            kill_at_call(where, int(count))
        fit(folder, callbacks=[KillAtBatch(int(count) if where == "batch" else 0)])
